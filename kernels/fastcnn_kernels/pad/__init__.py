"""Zero padding and cropping."""
