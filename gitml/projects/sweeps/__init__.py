"""Sweeps: many runs of one entry point with other parameters, as the children of one run."""
