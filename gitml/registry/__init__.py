"""The model registry: versions are tags, decisions are reviewed files. MLflow's names are here too.

A version is an annotated tag `NAME@v1.2.3` on the commit of the run that made the model.
"""
