"""From losses of samples to one number, and metrics."""
