"""Packages as conda names them, and what they are on PyPI. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from packaging.requirements import InvalidRequirement, Requirement

from gitml.environments.requirements import normal
from gitml.environments.spec import Spec, is_version
from gitml.errors import UsageError, shown

BUILD_TOOLS = ("pip", "setuptools", "wheel")

# Packages of conda that are the same code under the same versions on PyPI. What is not here may
# be something else there, or nothing.
_SAME = frozenset(
    """accelerate boto3 catboost click cloudpickle cython dask datasets dill fastapi flask fsspec
    gensim gitml h5py hyperopt imbalanced-learn jinja2 joblib jsonschema keras lightgbm matplotlib
    mlflow mlflow-skinny networkx nltk numba numpy onnx onnxruntime optuna orjson packaging pandas
    pillow pip polars prophet protobuf psutil pyarrow pydantic pytest python-dateutil pytz pyyaml
    requests s3fs scikit-image scikit-learn scipy seaborn setuptools shap skl2onnx skops spacy
    sqlalchemy starlette statsmodels sympy tensorflow tokenizers torchvision tqdm transformers
    uvicorn wheel xgboost""".split()
)
_OTHERWISE = {
    "matplotlib-base": "matplotlib",
    "py-xgboost": "xgboost",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
}
# Not gitml: no index need have it, so anybody may have put something there by that name.
WELL_KNOWN = (_SAME - {"gitml"}) | set(_OTHERWISE.values())
_PACKAGE = re.compile(r"(?:[\w./-]+::)?(?P<name>[a-zA-Z0-9_][\w.-]*)\s*(?P<version>[=<>!~\d ].*)?")
_BUILD = re.compile(r"(={1,2}[^=,|]+)=[^=,|]+")  # the build of a version: =1.2.3=py311_0


def on_pypi(spec: Spec, tell: Callable[[str], None] | None = None) -> Spec:
    """The spec with conda's packages as requirements, for a manager that knows only PyPI.

    `tell` hears which these are.
    Raises `UsageError` that names the packages of which no counterpart is known.
    """
    found = {item: _requirement(item) for item in spec.conda}
    unknown = [item for item, line in found.items() if line is None]
    if unknown:
        raise UsageError(
            f"{spec.source} asks for {_listed(unknown)}, of which no counterpart on PyPI is known;"
            " build the environment with conda (--env-manager conda), or list it there below pip"
        )
    lines = [line for line in found.values() if line is not None]
    tools = tuple(line for line in lines if Requirement(line).name in BUILD_TOOLS)
    others = tuple(line for line in lines if line not in tools)
    if tell is not None and others:
        tell(f"{spec.source}: packages of conda are taken from PyPI: {_listed(list(others))}")
    return replace(
        spec,
        requirements=spec.requirements + others,
        build=spec.build + tools,
        conda=(),
        channels=(),
    )


def _listed(items: list[str]) -> str:
    text = ", ".join(map(shown, items[:5]))
    return text if len(items) <= 5 else f"{text} and {len(items) - 5} more"


def _requirement(item: str) -> str | None:
    """What a package of conda is on PyPI, as a normal requirement; None when it is not there."""
    match = _PACKAGE.fullmatch(item)
    name = match["name"].lower() if match else ""
    if match is None or (name not in _SAME and name not in _OTHERWISE):
        return None
    version = specifier(match["version"] or "")
    try:
        return normal(Requirement(f"{_OTHERWISE.get(name, name)}{version}"))
    except InvalidRequirement:
        return None


def specifier(version: str) -> str:
    """What conda writes after a package's name, as PyPI writes it: `=1.2` is `==1.2.*`."""
    text = _BUILD.sub(r"\1", version.strip())
    parts = [part.strip() for part in text.split(",")]
    return ",".join(_one(part) for part in parts if part not in ("", "*"))


def _one(part: str) -> str:
    if re.match(r"\d", part):  # `numpy 1.26.4` and `numpy 1.26.*`
        return f"=={part}"
    if re.match(r"=[^=]", part):
        return f"={part}" if part.endswith("*") else f"={part}.*"
    return part


def python_of(item: str) -> str | None:
    """The version that conda's `python=3.11.7` asks for, as PyPI writes it; None for another."""
    match = _PACKAGE.fullmatch(item)
    if match is None or match["name"].lower() != "python":
        return None
    return specifier(match["version"] or "")


def packages(spec: Spec) -> Iterable[str]:
    """What conda itself installs for a spec: Python, pip and the packages that conda names."""
    if spec.python:
        yield f"python={spec.python}" if is_version(spec.python) else f"python{spec.python}"
    yield from spec.conda
    if not any(re.match(r"(?:.*::)?pip\b(?!-)", item) for item in spec.conda):
        yield "pip"
