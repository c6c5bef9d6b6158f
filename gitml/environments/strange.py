"""What of a spec nobody but its author vouches for.

To install a package is to run code of whoever made it. Anybody may put one on an index, or open a
channel, and then name it: of a stranger's spec only what is well known is somebody else's. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gitml.environments.counterparts import WELL_KNOWN
from gitml.environments.requirements import package
from gitml.environments.spec import Spec

_CHANNELS = ("conda-forge", "defaults", "main", "nodefaults", "nvidia", "pytorch")
# What the serializers and frameworks of the flavors bring with them, beside what conda has too.
_PACKAGES = WELL_KNOWN | {
    *("lightning", "onnxscript", "pytorch-lightning", "safetensors", "tensorflow-cpu", "tf-keras"),
    *("torchaudio", "xgboost-cpu", "ipython", "ipykernel", "threadpoolctl", "typing-extensions"),
}
# What conda takes in brackets may be another channel, or a URL.
_CONDA = re.compile(r"(?:(?P<channel>.*)::)?(?P<name>[\w.-]+)(?:[\s=<>!~][^\[:]*)?")
_CONDAS_OWN = ("matplotlib-base", "py-xgboost", "pytorch", "pytorch-cpu", "python")


def strange(spec: Spec) -> Iterator[str]:
    """The packages and channels of a spec that are not well known, as it names them."""
    yield from (channel for channel in spec.channels if channel not in _CHANNELS)
    yield from (item for item in spec.conda if not _is_known(item))
    for line in (*spec.requirements, *spec.build):
        wanted = package(line)
        if wanted is None or wanted.url or wanted.name not in _PACKAGES:
            yield line


def _is_known(item: str) -> bool:
    """Whether a package of conda is well known, and not taken from a channel that is not."""
    found = _CONDA.fullmatch(item)
    if found is None or (found["channel"] or _CHANNELS[0]) not in _CHANNELS:
        return False
    return found["name"].lower() in (*_PACKAGES, *_CONDAS_OWN)
