"""Data sets, as Keras's modules of the same names give them, and `load`, which takes any of them by name or path.

    from fastcnn.datasets import mnist
    (x_train, y_train), (x_test, y_test) = mnist.load_data()

digits   the UCI 8x8 digits, bundled: nothing is downloaded
mnist    28x28 grey digits, IDX files
cifar10  32x32 colour pictures of ten classes, the binary archive (never the pickled one)
npz      one .npz file with x_train, y_train, x_test, y_test
folder   a folder of pictures with one sub-folder a class
loading  `load` and `Dataset`: all of the above in one form, for programs that take a name
sources  where files lie: the folder that FASTCNN_DATA names (or a cache), and how they are downloaded into it
idx      the IDX file format

MNIST and CIFAR-10 are read from `sources.data_folder()` where they lie there, and downloaded into it where not.
"""

from fastcnn.datasets import cifar10, digits, folder, mnist, npz
from fastcnn.datasets.loading import Dataset, load

__all__ = ["Dataset", "cifar10", "digits", "folder", "load", "mnist", "npz"]
