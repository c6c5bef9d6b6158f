"""Models: the MLmodel format, signatures, flavors and serving."""
