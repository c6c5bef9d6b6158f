"""The bridge to MLEM: its models become gitml's and the other way round.

MLEM has had no release since 2023. Its files are read here without it; where its own code is
needed, that runs in an environment of the versions that it works with, built once.
"""
