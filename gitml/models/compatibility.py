"""What a client of a model's old version notices when a new version takes its place.

A client sends what the old signature accepts, and reads what the new one promises. So inputs and
params may become wider and outputs narrower; the other way round is incompatible.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from gitml.errors import shown
from gitml.models.params import ParamSchema, ParamSpec
from gitml.models.schema import ColSpec, Schema, Spec, TensorSpec
from gitml.models.signature import ModelSignature
from gitml.models.types import AnyType, Array, DataType, Map, Object, Type, shown_type

Level = Literal["same", "compatible", "incompatible"]

# What enforcement converts: a value of the first type is taken where the second is declared.
_WIDER = {
    (DataType.integer, DataType.long),
    (DataType.integer, DataType.double),
    (DataType.float, DataType.double),
}
_WIDER_PARAMS = {
    *_WIDER,
    (DataType.integer, DataType.float),
    (DataType.long, DataType.float),
    (DataType.long, DataType.double),
}
_ANYTHING = ColSpec(AnyType())


@dataclass(frozen=True)
class Compatibility:
    """How a new signature relates to an old one, and why; what breaks clients comes first.

    `same` asks for a patch version, `compatible` for a minor and `incompatible` for a major one.
    """

    level: Level
    reasons: tuple[str, ...] = ()


class Change(NamedTuple):
    """One difference: what it is, and whether a client of the old version can live with it."""

    text: str
    is_compatible: bool


def compare(old: ModelSignature | None, new: ModelSignature | None) -> Compatibility:
    """How the signature of a new version relates to that of the old one.

    Without a signature, or without a part of it, anything is accepted and nothing is promised.
    """
    changes = [
        *_schemas(getattr(old, "inputs", None), getattr(new, "inputs", None), is_input=True),
        *_schemas(getattr(old, "outputs", None), getattr(new, "outputs", None), is_input=False),
        *_params(getattr(old, "params", None), getattr(new, "params", None)),
    ]
    if not changes:
        return Compatibility("same")
    changes.sort(key=lambda change: change.is_compatible)
    level: Level = "compatible" if changes[0].is_compatible else "incompatible"
    return Compatibility(level, tuple(change.text for change in changes))


# -- inputs and outputs --------------------------------------------------------------------


def _schemas(old: Schema | None, new: Schema | None, *, is_input: bool) -> Iterator[Change]:
    """The changes of the inputs, or of the outputs."""
    noun = "input" if is_input else "output"
    before, after = _form(old), _form(new)
    if old is None or new is None or before != after:
        if before != after:
            free = after == "anything" if is_input else before == "anything"
            yield Change(f"The {noun}s were {before}, now they are {after}.", free)
        return
    if before != "anything":
        yield from _specs(old, new, noun)


def _form(schema: Schema | None) -> str:
    """What a schema consists of; two schemas that differ in it have nothing in common."""
    if schema is None or schema.inputs == (_ANYTHING,):
        return "anything"
    kind = "tensors" if schema.is_tensor_spec() else "columns"
    return f"{kind} {'with' if schema.has_input_names() else 'without'} names"


def _specs(old: Schema, new: Schema, noun: str) -> Iterator[Change]:
    is_input = noun == "input"
    before = dict(zip(old.input_names(), old.inputs, strict=True))
    after = dict(zip(new.input_names(), new.inputs, strict=True))
    for name, spec in before.items():
        label = f"The {noun} {shown(name)}"
        if name in after:
            yield from _spec(label, spec, after[name], is_input)
        else:
            yield Change(f"{label} was removed.", is_input)
    for name, spec in after.items():
        if name not in before:
            yield _added(f"The {noun} {shown(name)}", spec, is_input, old.has_input_names())
    common = [name for name in before if name in after]
    if common != [name for name in after if name in before]:
        yield Change(f"The order of the {noun}s changed.", True)


def _added(label: str, spec: Spec, is_input: bool, is_named: bool) -> Change:
    """A client leaves out what is optional, and looks results up by name if they have one."""
    if is_input:
        how = "required" if spec.required else "optional"
        return Change(f"{label} was added and is {how}.", not spec.required)
    return Change(f"{label} was added.", is_named)


def _spec(label: str, old: Spec, new: Spec, is_input: bool) -> Iterator[Change]:
    """The changes of one column or tensor."""
    if old.required != new.required:
        how = "required" if new.required else "optional"
        yield Change(f"{label} became {how}.", new.required != is_input)
    if isinstance(old, TensorSpec) or isinstance(new, TensorSpec):
        yield from _tensor(label, old, new, is_input)
    elif old.type != new.type:
        yield _retyped(label, old.type, new.type, is_input)


def _retyped(label: str, old: Type, new: Type, is_input: bool) -> Change:
    wide, narrow = (new, old) if is_input else (old, new)
    obstacle = _obstacle(wide, narrow, extra=not is_input)
    detail = f": {obstacle}" if obstacle else ""
    text = f"{label} changed from {shown_type(old)} to {shown_type(new)}{detail}."
    return Change(text, obstacle is None)


def _obstacle(wide: Type, narrow: Type, *, extra: bool) -> str | None:
    """Why `wide` does not take every value of `narrow`, None if it does.

    `extra` says that fields which `wide` does not know are ignored, not refused.
    """
    if wide == narrow or isinstance(wide, AnyType):
        return None
    if isinstance(wide, Array) and isinstance(narrow, Array):
        return _obstacle(wide.dtype, narrow.dtype, extra=extra)
    if isinstance(wide, Map) and isinstance(narrow, Map):
        return _obstacle(wide.value_type, narrow.value_type, extra=extra)
    if isinstance(wide, Object) and isinstance(narrow, Object):
        return _object_obstacle(wide, narrow, extra=extra)
    if (narrow, wide) in _WIDER:
        return None
    return f"not every {shown_type(narrow)} is {shown_type(wide)}"


def _object_obstacle(wide: Object, narrow: Object, *, extra: bool) -> str | None:
    known = {item.name: item for item in narrow.properties}
    for item in wide.properties:
        there = known.pop(item.name, None)
        if item.required and (there is None or not there.required):
            return f"the field {shown(item.name)} may be missing"
        if there and (obstacle := _obstacle(item.dtype, there.dtype, extra=extra)):
            return f"in the field {shown(item.name)} {obstacle}"
    if known and not extra:
        return f"the field {shown(next(iter(known)))} is not known"
    return None


def _tensor(label: str, old: Any, new: Any, is_input: bool) -> Iterator[Change]:
    wide, narrow = (new, old) if is_input else (old, new)
    takes_all = (wide.dtype, wide.shape) == ("object", (-1,))
    if old.dtype != new.dtype:
        yield Change(f"{label} changed from {old.dtype} to {new.dtype}.", takes_all)
    if old.shape != new.shape:
        fits = takes_all or _takes_shape(wide.shape, narrow.shape)
        yield Change(f"{label} changed its shape from {old.shape} to {new.shape}.", fits)


def _takes_shape(wide: tuple[int, ...], narrow: tuple[int, ...]) -> bool:
    return len(wide) == len(narrow) and all(
        size in (-1, other) for size, other in zip(wide, narrow, strict=True)
    )


# -- params --------------------------------------------------------------------------------


def _params(old: ParamSchema | None, new: ParamSchema | None) -> Iterator[Change]:
    before = {spec.name: spec for spec in old or ()}
    after = {spec.name: spec for spec in new or ()}
    for name, spec in before.items():
        label = f"The param {shown(name)}"
        if name in after:
            yield from _param(label, spec, after[name])
        else:
            yield Change(f"{label} was removed.", False)
    for name in after:
        if name not in before:
            yield Change(f"The param {shown(name)} was added and has a default.", True)


def _param(label: str, old: ParamSpec, new: ParamSpec) -> Iterator[Change]:
    if old.shape != new.shape:
        kinds = ["a scalar" if spec.shape is None else "a list" for spec in (old, new)]
        yield Change(f"{label} was {kinds[0]}, now it is {kinds[1]}.", False)
    if (old.dtype, new.dtype) in _WIDER_PARAMS:
        yield Change(f"{label} changed from {old.dtype!r} to {new.dtype!r}.", True)
    elif old.dtype != new.dtype:
        yield _retyped(label, old.dtype, new.dtype, is_input=True)
    before, after = (spec.to_dict()["default"] for spec in (old, new))
    if before != after and _text(before) != _text(after):  # NaN differs from itself
        yield Change(f"{label} has another default.", True)


def _text(value: Any) -> str:
    return json.dumps(value, default=str)
