"""The UCI digits, bundled: 1,797 grey 8x8 handwritten digits, enough to train a network in seconds without a download.

E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49, licensed under CC BY 4.0 (see digits.LICENSE.txt beside this file). These are the
repository's 1,797 test images, the same and in the same order as scikit-learn's `load_digits`.
"""

from importlib import resources

import numpy as np

from fastcnn.utils.arrays import train_test_split

CLASS_NAMES = [str(digit) for digit in range(10)]


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The digits in a fixed split: `(x_train, y_train), (x_test, y_test)`.

    x: uint8 (1437, 8, 8) and (360, 8, 8); a value counts the inked pixels of 16, so 0 is paper and 16 is ink.
    y: uint8 (1437,) and (360,), 0 .. 9.

    The split is `train_test_split(images, labels, test_size=0.2, random_state=0)`, here as in scikit-learn.
    """
    with resources.as_file(resources.files(__package__) / "digits.npz") as path, np.load(path) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=0.2, random_state=0)
    return (x_train, y_train), (x_test, y_test)
