"""Data in and out: gathering a batch from a data set, exporting results to the host."""
