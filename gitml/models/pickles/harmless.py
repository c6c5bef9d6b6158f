"""Names that a pickle may import without running code of whoever wrote it.

They make plain data only: tensors as `torch.load(weights_only=True)` allows them, arrays of NumPy,
containers. A whole package is never on the list: in every large one is something that runs text.
"""

from __future__ import annotations

import re

_NAMES = frozenset(
    """
    _codecs.encode
    builtins.bool builtins.bytearray builtins.bytes builtins.complex builtins.dict builtins.float
    builtins.frozenset builtins.int builtins.list builtins.object builtins.range builtins.set
    builtins.slice builtins.str builtins.tuple
    collections.Counter collections.OrderedDict collections.deque
    copyreg._reconstructor
    datetime.date datetime.datetime datetime.time datetime.timedelta datetime.timezone
    decimal.Decimal fractions.Fraction uuid.UUID
    numpy.dtype numpy.ndarray
    numpy._core.multiarray._reconstruct numpy.core.multiarray._reconstruct
    numpy._core.numeric._frombuffer numpy.core.numeric._frombuffer
    torch.Size torch.Tensor torch.device torch.nn.parameter.Parameter
    torch.serialization._get_layout
    torch.storage.TypedStorage torch.storage.UntypedStorage
    torch._tensor._rebuild_from_type_v2
    torch._utils._rebuild_device_tensor_from_cpu_tensor
    torch._utils._rebuild_device_tensor_from_numpy
    torch._utils._rebuild_meta_tensor_no_storage
    torch._utils._rebuild_nested_tensor
    torch._utils._rebuild_parameter
    torch._utils._rebuild_parameter_with_state
    torch._utils._rebuild_qtensor
    torch._utils._rebuild_sparse_tensor
    torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v2 torch._utils._rebuild_tensor_v3
    torch._utils._rebuild_wrapper_subclass
    torch.bool torch.bfloat16
    """.split()
)
_TORCH = re.compile(
    r"torch\.(?:"
    r"(?:cuda\.)?(?:sparse\.)?(?:BFloat16|Byte|Char|Double|Float|Half|Int|Long|Short)Tensor"
    r"|(?:cuda\.)?(?:BoolTensor|(?:BFloat16|Bool|Byte|Char|ComplexDouble|ComplexFloat|Double|Float"
    r"|Half|Int|Long|Short)Storage)|(?:QInt8|QInt32|QUInt8|QUInt4x2|QUInt2x4)Storage"
    r"|u?int\d{1,2}|float\d{1,2}(?:_[a-z0-9]+)*|complex\d{2,3}|bits\d{1,2}(?:x\d)?"
    r"|qint\d{1,2}|quint\d(?:x\d)?"
    r"|per_(?:tensor|channel)_(?:affine|symmetric|affine_float_qparams)"
    r")"
)


def is_harmless(name: str) -> bool:
    """Whether importing and calling `name` (`module.name`) gives data and does nothing else."""
    return name in _NAMES or _TORCH.fullmatch(name) is not None
