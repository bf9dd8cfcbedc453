"""Helpers of two kinds: for users' scripts (labels, splits), and for the rest of fastcnn (files, unknown names).

arrays   `to_categorical`, `train_test_split`
files    `write_atomically`: files that are complete or absent
suggest  `nearest`, `unknown`: the answer to a misspelled name
"""

from fastcnn.utils.arrays import to_categorical, train_test_split

__all__ = ["to_categorical", "train_test_split"]
