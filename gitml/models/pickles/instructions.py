"""Pickles followed instruction by instruction, without executing any.

They are followed as the interpreter does it, not as would be sensible: what runs before an error
counts, a name counts whatever detours it takes through the memo, and an argument that `pickletools`
would fail at is passed by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gitml.models.pickles import arrays
from gitml.models.pickles.machine import Imported, Machine, Made
from gitml.models.pickles.opcodes import OPCODES, Argument, Opcode
from gitml.models.pickles.stream import Budget, Stream, UnreadableError

Handler = Callable[[Machine], None]

_HIGHEST = 5  # the newest protocol that any Python reads


def follow(stream: Stream, budget: Budget) -> Machine:
    """Follow the pickle that begins here to its end; `problem` says why when that can't be."""
    machine = Machine(stream, budget)
    try:
        _run(machine)
    except UnreadableError as error:
        machine.problem = str(error)
    return machine


def _run(machine: Machine) -> None:
    budget, next_byte = machine.budget, machine.stream.byte
    code = next_byte()
    machine.marked = _HANDLERS[code] is _protocol
    while budget.steps > 0:
        budget.steps -= 1
        handler = _HANDLERS[code]
        handler(machine)
        if handler is _stop:
            return
        code = next_byte()
    budget.step()


def _unknown_instruction(machine: Machine) -> None:
    raise UnreadableError("has an instruction that there is none of")


def _stop(machine: Machine) -> None:
    machine.pop()


# -- constants -----------------------------------------------------------------------------


def _plain(opcode: Opcode) -> Handler:
    """An instruction whose values don't matter."""
    _, argument, to_mark, pops, pushes = opcode

    def apply(machine: Machine) -> None:
        if argument is not None:
            argument(machine.stream)
        if to_mark:
            machine.cut()
        for _ in range(pops):
            machine.pop()
        for _ in range(pushes):
            machine.stack.append(None)

    return apply


def _constant(argument: Argument, decode: Callable[[bytes], Any]) -> Handler:
    """An instruction that pushes its argument, None for a long one."""

    def apply(machine: Machine) -> None:
        data = argument(machine.stream)
        machine.stack.append(None if data is None else decode(data))

    return apply


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise UnreadableError("has a text that is not UTF-8") from None


def _escaped(data: bytes) -> str:
    try:
        return data.decode("raw-unicode-escape")
    except UnicodeDecodeError:
        raise UnreadableError("has a text with a wrong escape") from None


def _quoted(data: bytes) -> str | None:
    """A text of Python 2; with escapes it could be anything."""
    return None if b"\\" in data else data[1:-1].decode("latin-1")


def _latin(data: bytes) -> str:
    return data.decode("latin-1")


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _decimal(data: bytes) -> int:
    try:
        return int(data)
    except ValueError:
        raise UnreadableError("has a number that is none") from None


# -- stack and memo ------------------------------------------------------------------------


def _protocol(machine: Machine) -> None:
    machine.protocol = machine.stream.byte()
    if machine.protocol > _HIGHEST:
        raise UnreadableError("is of a protocol that there is none of")


def _pop(machine: Machine) -> None:
    if machine.marks and machine.floor == len(machine.stack):
        machine.cut()
    else:
        machine.pop()


def _dup(machine: Machine) -> None:
    machine.stack.append(machine.top())


def _memoize(machine: Machine) -> None:
    machine.memo.add(machine.top())


def _put(argument: Argument, number: Callable[[bytes], int]) -> Handler:
    """An instruction that keeps the topmost value in the memo."""

    def apply(machine: Machine) -> None:
        key = number(argument(machine.stream) or b"")
        machine.memo.put(key, machine.top())

    return apply


def _get(argument: Argument, number: Callable[[bytes], int]) -> Handler:
    """An instruction that pushes a value of the memo."""

    def apply(machine: Machine) -> None:
        key = number(argument(machine.stream) or b"")
        machine.stack.append(machine.memo.get(key))

    return apply


# -- containers ----------------------------------------------------------------------------


def _tuple(count: int) -> Handler:
    def apply(machine: Machine) -> None:
        values = tuple(machine.pop() for _ in range(count))
        machine.stack.append(values[::-1])

    return apply


def _tuple_to_mark(machine: Machine) -> None:
    machine.stack.append(tuple(machine.cut()))


def _empty_dict(machine: Machine) -> None:
    machine.stack.append({})


def _dict(machine: Machine) -> None:
    table: dict[str, Any] = {}
    _enter(table, machine.cut())
    machine.stack.append(table)


def _set_item(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _enter(machine.top(), [key, value])


def _set_items(machine: Machine) -> None:
    values = machine.cut()
    _enter(machine.top(), values)


def _enter(table: Any, values: list[Any]) -> None:
    """Put pairs of key and value into a dictionary, as far as anyone asks for them."""
    if isinstance(table, dict):
        for key, value in zip(values[::2], values[1::2], strict=False):
            if isinstance(key, str) and key in arrays.FIELDS:
                table[key] = value


# -- imports and calls ---------------------------------------------------------------------


def _name(machine: Machine) -> str | None:
    line = machine.stream.line()
    return None if line is None else _utf8(line)


def _global(machine: Machine) -> None:
    module, name = _name(machine), _name(machine)
    machine.stack.append(machine.load(module, name))


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.stack.append(machine.load(module, name))


def _extension(argument: Argument) -> Handler:
    """An instruction that imports something to which other code has given a number."""

    def apply(machine: Machine) -> None:
        argument(machine.stream)
        machine.unresolved = True
        machine.stack.append(None)

    return apply


def _call(machine: Machine, function: object, args: object) -> None:
    """Put what a call gives on the stack."""
    if not isinstance(function, (Imported, Made, type(None))):
        raise UnreadableError("calls something that can't be called")
    if isinstance(args, int):  # Python's own unpickler takes all that can be gone through
        raise UnreadableError("calls something without arguments")
    machine.calls = True
    if isinstance(function, Imported) and function.name in arrays.CLASSES:
        machine.stack.append(Made(function.name, args))
    else:
        machine.stack.append(None)


def _reduce(machine: Machine) -> None:
    args, function = machine.pop(), machine.pop()
    _call(machine, function, args)


def _new_with_keywords(machine: Machine) -> None:
    machine.pop()
    _reduce(machine)


def _object(machine: Machine) -> None:
    values = machine.cut()
    if not values:
        raise UnreadableError("takes a value that is not there")
    _call(machine, values[0], tuple(values[1:]))


def _instance(machine: Machine) -> None:
    module, name = _name(machine), _name(machine)
    imported = machine.load(module, name)
    _call(machine, imported, tuple(machine.cut()))


def _build(machine: Machine) -> None:
    state, target = machine.pop(), machine.top()
    machine.calls = True
    if isinstance(target, Imported):  # it would change the thing itself
        machine.names.add(f"{target.name}.__dict__")
    elif isinstance(target, Made):
        target.state = state
        if target.name == arrays.WRAPPER:
            _array(machine, target)


def _array(machine: Machine, wrapper: Made) -> None:
    """Pass by the array that joblib has put behind the object that describes it."""
    if arrays.is_pickled(wrapper):
        inner = follow(machine.stream, machine.budget)
        machine.names |= inner.names
        machine.unresolved |= inner.unresolved
        if inner.problem is not None:
            raise UnreadableError(inner.problem)
    else:
        if arrays.is_padded(wrapper):
            machine.stream.skip(machine.stream.byte())
        machine.stream.skip(arrays.length(wrapper))


# -- the table -----------------------------------------------------------------------------

_SPECIAL: Mapping[str, Handler] = {
    "STOP": _stop,
    "PROTO": _protocol,
    "MARK": Machine.mark,
    "POP": _pop,
    "DUP": _dup,
    "MEMOIZE": _memoize,
    "EMPTY_TUPLE": _tuple(0),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": _tuple_to_mark,
    "EMPTY_DICT": _empty_dict,
    "DICT": _dict,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_keywords,
    "OBJ": _object,
    "INST": _instance,
    "BUILD": _build,
}
_CONSTANTS: Mapping[str, Callable[[bytes], Any]] = {
    "UNICODE": _escaped,
    "BINUNICODE": _utf8,
    "SHORT_BINUNICODE": _utf8,
    "BINUNICODE8": _utf8,
    "STRING": _quoted,
    "BINSTRING": _latin,
    "SHORT_BINSTRING": _latin,
    "BININT": _signed,
    "BININT1": _unsigned,
    "BININT2": _unsigned,
    "LONG1": _signed,
}
_NUMBERS = {"GET": _decimal, "PUT": _decimal}


def _handler(opcode: Opcode) -> Handler:
    name, argument = opcode.name, opcode.argument
    if name in _SPECIAL:
        return _SPECIAL[name]
    if argument is not None:
        if name in _CONSTANTS:
            return _constant(argument, _CONSTANTS[name])
        if name.endswith("GET"):
            return _get(argument, _NUMBERS.get(name, _unsigned))
        if name.endswith("PUT"):
            return _put(argument, _NUMBERS.get(name, _unsigned))
        if name.startswith("EXT"):
            return _extension(argument)
    return _plain(opcode)


_HANDLERS = tuple(
    _handler(OPCODES[code]) if code in OPCODES else _unknown_instruction for code in range(256)
)
