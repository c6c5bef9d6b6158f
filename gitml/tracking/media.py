"""Figures, images and dictionaries as the bytes of artifacts, in MLflow's forms."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from gitml.documents import dump_yaml_of_users
from gitml.errors import UsageError, shown
from gitml.tracking.tables import append_table as append_table
from gitml.tracking.tables import load_table as load_table

_KEY = re.compile(r"[A-Za-z0-9_\-./ ]+")
_YAML = (".yaml", ".yml")


# -- dictionaries --------------------------------------------------------------------------


def dict_bytes(dictionary: Any, artifact_file: str) -> bytes:
    """A dictionary or list as YAML where the name ends in .yaml or .yml, else as JSON.

    What these formats do not have becomes text by `str`. UsageError when it holds itself.
    """
    try:
        return _dict_bytes(dictionary, artifact_file)
    except (RecursionError, ValueError) as error:
        why = "holds itself" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{shown(artifact_file)} can't be written: {why}") from None


def _dict_bytes(dictionary: Any, artifact_file: str) -> bytes:
    if PurePosixPath(artifact_file).suffix.lower() not in _YAML:
        return json.dumps(dictionary, indent=2, default=_plain).encode("utf-8")
    try:
        return dump_yaml_of_users(dictionary)
    except ValueError:
        return dump_yaml_of_users(json.loads(json.dumps(dictionary, default=_plain)))


def _plain(value: Any) -> Any:
    """A value that JSON does not have: numbers and arrays of numpy as such, the rest as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


# -- figures -------------------------------------------------------------------------------

_PLOTLY_IMAGES = (".png", ".jpeg", ".jpg", ".webp", ".svg", ".pdf")


def figure_bytes(
    figure: Any, artifact_file: str, save_kwargs: Mapping[str, Any] | None = None
) -> bytes:
    """A matplotlib or plotly figure in the format of the name's suffix.

    `save_kwargs` goes to matplotlib's `savefig`, or to plotly's `write_html` or `write_image`.
    """
    options, suffix = dict(save_kwargs or {}), PurePosixPath(artifact_file).suffix.lower()
    if callable(getattr(figure, "savefig", None)):  # also seaborn's grids
        target = io.BytesIO()
        figure.savefig(target, **{**({"format": suffix[1:]} if suffix else {}), **options})
        return target.getvalue()
    if callable(getattr(figure, "write_html", None)):
        return _plotly_bytes(figure, artifact_file, suffix, options)
    raise UsageError(f"a figure must be matplotlib's or plotly's, not {type(figure).__name__}")


def _plotly_bytes(figure: Any, name: str, suffix: str, options: dict[str, Any]) -> bytes:
    if suffix == ".html":
        page = io.StringIO()
        figure.write_html(page, **{"include_plotlyjs": "cdn", **options})
        return page.getvalue().encode("utf-8")
    if suffix not in _PLOTLY_IMAGES:
        raise UsageError(
            f"a plotly figure can't be written as {shown(name)};"
            f" use .html or one of {', '.join(_PLOTLY_IMAGES)}"
        )
    image = io.BytesIO()
    figure.write_image(image, **{"format": suffix[1:], **options})
    return image.getvalue()


# -- images --------------------------------------------------------------------------------


class Image:
    """An image from an array, a PIL image, a list of pixels or a file, as `mlflow.Image`."""

    def __init__(self, image: Any):
        if isinstance(image, (str, Path)):
            self.image = _pil().open(image)
        elif isinstance(image, list):
            import numpy as np

            self.image = to_pil(np.array(image))
        else:
            self.image = to_pil(image)
        self.size: tuple[int, int] = self.image.size

    def to_pil(self) -> Any:
        """The PIL image."""
        return self.image

    def to_array(self) -> Any:
        """The pixels as a numpy array."""
        import numpy as np

        return np.array(self.image)

    def to_list(self) -> list[Any]:
        """The pixels one after the other, numbers or tuples."""
        array = self.to_array()
        flat = array.reshape(-1, *array.shape[2:]).tolist()
        return [tuple(pixel) for pixel in flat] if array.ndim > 2 else flat

    def save(self, path: str | Path) -> None:
        """Write the image to a file, in the format of its suffix."""
        self.image.save(path)

    def resize(self, size: tuple[int, int]) -> Image:
        """A copy of another size (width, height)."""
        return Image(self.image.resize(size))


def series_path(key: str | None, step: int | None = None, timestamp: int | None = None) -> str:
    """The artifact path of an image in the series `key`, named as MLflow 3 names it.

    `images/KEY+step+STEP+timestamp+MS+ID.png`, with `~` for `/` in the key. The step is 0 and the
    time, in milliseconds, now by default.
    """
    if key is None:
        raise UsageError("log_image needs artifact_file, or key for an image of a series")
    if not _KEY.fullmatch(key):
        raise UsageError(
            f"the image key {shown(key)} may have letters, digits, '_', '-', '.', '/' and spaces"
        )
    if timestamp is None:
        import time

        timestamp = time.time_ns() // 1_000_000
    name = key.replace("/", "~")
    return f"images/{name}+step+{step or 0}+timestamp+{timestamp}+{uuid.uuid4()}.png"


def image_bytes(image: Any, artifact_file: str) -> bytes:
    """An image in the format of the name's suffix, PNG without one.

    An array may be of bool, of integers from 0 to 255 or of floats from 0 to 1 (others are
    scaled to that), H x W or H x W x 1, 3 or 4.
    """
    pil = to_pil(image)
    suffix = PurePosixPath(artifact_file).suffix.lower() or ".png"
    format_name = _pil().registered_extensions().get(suffix)
    if format_name is None:
        raise UsageError(f"images can't be written as {shown(artifact_file)}; use .png or .jpg")
    if format_name == "JPEG" and pil.mode in ("RGBA", "LA", "P"):
        pil = pil.convert("RGB")
    target = io.BytesIO()
    pil.save(target, format=format_name)
    return target.getvalue()


def to_pil(image: Any) -> Any:
    """An array, PIL image or `Image` as a PIL image."""
    if callable(getattr(image, "to_pil", None)):
        return image.to_pil()
    if callable(getattr(image, "save", None)) and hasattr(image, "mode"):
        return image
    if not hasattr(image, "__array__"):
        kind = type(image).__name__
        raise UsageError(f"an image must be an array, a PIL image or gitml.Image, not {kind}")
    import numpy as np

    return _pil().fromarray(_pixels(np.asarray(image)))


def _pil() -> Any:
    try:
        import PIL.Image
    except ImportError:
        raise UsageError("images need Pillow; run: pip install pillow") from None
    PIL.Image.init()
    return PIL.Image


def _pixels(array: Any) -> Any:
    """The array as bytes that PIL takes."""
    if array.dtype.kind not in "biuf":
        raise UsageError(f"an image must be of bool, integers or floats, not {array.dtype}")
    if not array.size or array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)):
        shape = " x ".join(map(str, array.shape))
        raise UsageError(
            f"an image must be H x W or H x W x 1, 3 or 4, not {shape or 'one number'}"
        )
    flat = array[:, :, 0] if array.shape[2:] == (1,) else array
    if array.dtype.kind in "iu":
        low, high = flat.min(), flat.max()
        if low < 0 or high > 255:
            raise UsageError(f"the integers of an image must be 0 to 255, not {low} to {high}")
        return flat.astype("uint8")
    return (_scaled(flat) * 255).astype("uint8")


def _scaled(pixels: Any) -> Any:
    """Floats from 0 to 1: as they are, or the whole range moved there."""
    import numpy as np

    pixels = np.nan_to_num(pixels.astype("float64"))
    low, high = pixels.min(), pixels.max()
    if low >= 0 and high <= 1:
        return pixels
    return (pixels - low) / ((high - low) or 1)
