"""The names of MLflow's own tags, as constants."""

from __future__ import annotations

from gitml.tracking import datasets, system_tags

MLFLOW_USER = system_tags.USER
MLFLOW_RUN_NAME = system_tags.RUN_NAME
MLFLOW_RUN_NOTE = system_tags.NOTE
MLFLOW_PARENT_RUN_ID = system_tags.PARENT_RUN_ID
MLFLOW_SOURCE_NAME = system_tags.SOURCE_NAME
MLFLOW_SOURCE_TYPE = system_tags.SOURCE_TYPE
MLFLOW_GIT_COMMIT = system_tags.GIT_COMMIT
MLFLOW_GIT_BRANCH = system_tags.GIT_BRANCH
MLFLOW_GIT_REPO_URL = system_tags.GIT_REPO_URL
MLFLOW_DATASET_CONTEXT = datasets.CONTEXT_TAG
MLFLOW_AUTOLOGGING = "mlflow.autologging"
MLFLOW_PROJECT_ENTRY_POINT = system_tags.PROJECT_ENTRY_POINT
MLFLOW_PROJECT_ENV = system_tags.PROJECT_ENV
MLFLOW_PROJECT_BACKEND = system_tags.PROJECT_BACKEND
MLFLOW_DOCKER_IMAGE_URI = "mlflow.docker.image.uri"
MLFLOW_DOCKER_IMAGE_ID = "mlflow.docker.image.id"
