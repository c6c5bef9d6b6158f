"""One request from its bytes to the bytes of its answer."""

from __future__ import annotations

import logging

from gitml.models.enforce import SchemaError
from gitml.models.pyfunc import PyFuncModel
from gitml.models.serving.answers import AnswerError, answer
from gitml.models.serving.limits import Limits
from gitml.models.serving.payload import Payload, Reader
from gitml.models.serving.refused import ModelFailedError, RefusedError, invalid

logger = logging.getLogger(__name__)


class Scorer:
    """Answers requests with the predictions of one model; `strict` refuses what it has no use for.

    It may be called from several threads at once.
    """

    def __init__(self, model: PyFuncModel, limits: Limits, *, strict: bool = False) -> None:
        self.model = model
        self._strict = strict
        self._reader = Reader(model.metadata, limits, strict=strict)

    def score(self, body: bytes, media: str) -> bytes:
        """The JSON that answers a body of this type. Raises RefusedError, whatever is wrong."""
        payload, predictions = self._asked(body, media)
        try:
            return answer(predictions, is_bare=payload.is_bare)
        except AnswerError as error:
            raise ModelFailedError(str(error)) from None

    def predictions(self, body: bytes, media: str) -> object:
        """The predictions for a body of this type, as the model gives them. Raises RefusedError."""
        return self._asked(body, media)[1]

    def _asked(self, body: bytes, media: str) -> tuple[Payload, object]:
        try:
            payload = self._reader.read(body, media)
            return payload, self._predictions(payload)
        except SchemaError as error:
            raise invalid(str(error)) from None

    def _predictions(self, payload: Payload) -> object:
        try:
            return self.model.predict(payload.data, payload.params, strict=self._strict)
        except SchemaError:
            raise
        except MemoryError:
            raise RefusedError("the data needs more memory than there is", 413) from None
        except BaseException as error:  # a model may raise anything, sys.exit() too
            logger.exception("the model failed")
            raise ModelFailedError(
                f"the model failed with {type(error).__name__}; check that the data is what it was"
                " trained for"
            ) from None
