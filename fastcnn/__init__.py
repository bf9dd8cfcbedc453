"""fastcnn: small convolutional networks on kernels written in Python, under Keras 3's names."""

__version__ = "0.1.0"
