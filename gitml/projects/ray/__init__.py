"""Entry points on a Ray cluster: each is a job of it, whose run is recorded through a spool."""
