"""Models that predict, whatever their framework: the python_function flavor seen from outside."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.errors import FormatError, UsageError, shown
from gitml.models import flavor as flavors
from gitml.models import load, python_model
from gitml.models.enforce import enforce_inputs, enforce_params
from gitml.models.flavor import Predict
from gitml.models.hinted import fit_items
from gitml.models.hints import item_hint
from gitml.models.locate import Located
from gitml.models.mlmodel import PYTHON_FUNCTION, Model


class PyFuncModel:
    """A loaded model. `metadata` is its MLmodel, `source` where it came from."""

    def __init__(self, metadata: Model, source: Located, native: Any, predict: Predict):
        self.metadata = metadata
        self.source = source
        self._native = native
        self._predict = predict

    def predict(
        self, data: Any, params: Mapping[str, Any] | None = None, *, strict: bool = False
    ) -> Any:
        """The predictions for `data`, made to fit the signature first.

        Raises SchemaError for data that does not fit; `strict` refuses extra columns and params.
        """
        signature = self.metadata.signature
        if self.metadata.is_signature_from_type_hint:
            data = data if self._item is None else fit_items(data, self._item)
        elif signature is not None and signature.inputs is not None:
            data = enforce_inputs(data, signature.inputs, strict=strict)
        if signature is not None and signature.params is not None:
            params = enforce_params(params, signature.params, strict=strict)
        return self._predict(data, params)

    @functools.cached_property
    def _item(self) -> object | None:
        """What an item of the data is by the hints of the model's function, if they can be read."""
        hint = item_hint(self._native.predict)
        function = getattr(self._native, "func", None)
        return item_hint(function) if hint is None and callable(function) else hint

    def get_raw_model(self) -> Any:
        """The framework's object, or the user's PythonModel."""
        return self._native

    def unwrap_python_model(self) -> Any:
        """The user's PythonModel; of a function the function."""
        return getattr(self._native, "func", self._native)

    @property
    def input_example(self) -> Any:
        """The data of the input example, with the signature's types; None without one."""
        from gitml.models import example

        info = self.metadata.saved_input_example_info
        schema = self.metadata.get_input_schema()
        return example.read(self.source.folder, info, schema)[0] if info else None

    def __repr__(self) -> str:
        return f"PyFuncModel({self.source.uri!r}, flavors: {', '.join(self.metadata.flavors)})"


def load_model(
    model_uri: str | Path,
    suppress_warnings: bool = False,
    dst_path: str | Path | None = None,
    model_config: Mapping[str, Any] | None = None,
    *,
    allow_code: bool = False,
) -> PyFuncModel:
    """Load a model for predictions, from a run, the registry or a folder.

    A model that can execute code is loaded from this repository's runs and registry only, unless
    `allow_code` is set; else UntrustedModelError. Of the address of a scoring server, such as
    `http://127.0.0.1:5000`, nothing is loaded: the model is asked there.
    """
    if str(model_uri).startswith("http://"):
        return _served(str(model_uri))
    target = None if dst_path is None else Path(dst_path)
    source, model = load.opened(model_uri, allow_code=allow_code, target=target)
    return loaded(source, model, model_config)


def _served(url: str) -> PyFuncModel:
    """The model that a scoring server has."""
    from gitml.models import served

    metadata = Model({PYTHON_FUNCTION: {}})
    return PyFuncModel(metadata, Located(url, Path()), url, served.predictor(url))


def loaded(
    source: Located, model: Model, model_config: Mapping[str, Any] | None = None
) -> PyFuncModel:
    """Load a model of which it is known that it may be loaded; see `gitml.models.load.opened`."""
    conf = model.flavor(PYTHON_FUNCTION)
    loader = str(conf.get("loader_module"))
    flavor = flavors.flavor_of_loader(loader)
    if flavor is None and conf.get("model_code_path"):
        raise UsageError(python_model.FROM_CODE)
    if flavor is None:
        raise FormatError(
            f"the model's loader_module {shown(loader)} belongs to no flavor that is installed"
        )
    load.add_code(source.folder, conf)
    options = {"model_config": model_config, "predicting": True}
    own = conf if flavor.NAME == PYTHON_FUNCTION else model.flavors.get(flavor.NAME, {})
    native = flavor.load(source.folder, {**conf, **own}, options)
    return PyFuncModel(model, source, native, flavor.predictor(native, conf))
