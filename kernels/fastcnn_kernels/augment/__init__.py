"""Augmentation of pictures: random affine maps, brightness and contrast, erased rectangles."""
