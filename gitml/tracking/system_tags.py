"""The tags that MLflow sets on every run: here they follow from the record's own fields."""

from __future__ import annotations

from gitml.tracking.record import RunRecord

USER = "mlflow.user"
RUN_NAME = "mlflow.runName"
NOTE = "mlflow.note.content"
PARENT_RUN_ID = "mlflow.parentRunId"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
GIT_COMMIT = "mlflow.source.git.commit"
GIT_BRANCH = "mlflow.source.git.branch"
GIT_REPO_URL = "mlflow.source.git.repoURL"
PROJECT_ENTRY_POINT = "mlflow.project.entryPoint"
PROJECT_ENV = "mlflow.project.env"
PROJECT_BACKEND = "mlflow.project.backend"
DOCKER_IMAGE_URI = "mlflow.docker.image.uri"
DOCKER_IMAGE_ID = "mlflow.docker.image.id"

NAMES = (
    USER, RUN_NAME, NOTE, PARENT_RUN_ID, SOURCE_NAME, SOURCE_TYPE,
    GIT_COMMIT, GIT_BRANCH, GIT_REPO_URL,
)  # fmt: skip

FIELDS = {RUN_NAME: "name", NOTE: "description"}  # tags that set a field of the record


def system_tags(record: RunRecord) -> dict[str, str]:
    """MLflow's tags for this run, only those that say something."""
    return {name: value for name, value in zip(NAMES, system_values(record), strict=True) if value}


def system_values(record: RunRecord) -> tuple[str | None, ...]:
    """The values of MLflow's tags in the order of `NAMES`; empty or None for those not set."""
    source, code = record.source, record.code
    return (
        record.user, record.name, record.description, record.parent_run, source.name, source.type,
        code.commit, code.branch, code.remote,
    )  # fmt: skip


def all_tags(record: RunRecord) -> dict[str, str]:
    """The run's tags as MLflow shows them: what a person set or deleted wins over MLflow's own."""
    tags: dict[str, str | None] = {**system_tags(record), **record.tags}
    return {key: value for key, value in tags.items() if value is not None}
