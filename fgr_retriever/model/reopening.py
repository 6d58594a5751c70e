"""Copies and pickles of a model: it is opened again, from where it was opened."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from fgr_retriever.errors import InputError, ModelMismatchError

if TYPE_CHECKING:
    from fgr_retriever.config import Calibration


class Reopenable:
    """A model that another process opens again from the same place.

    In the same process `copy` and `deepcopy` give the model itself: nothing changes it, and it is made for many
    threads. A pickle has the place, the calibration and the fingerprints, and no weights.
    """

    name: str
    fingerprint: str
    _reopen: Callable[[], Any] | None = None

    def opened_by(self, call: Callable[..., Self], *args: Any, **options: Any) -> Self:
        """Say which call opens the model, and give the model itself."""
        self._reopen = partial(call, *args, **options)
        return self

    @property
    def known_as(self) -> str | None:
        """Folder or hub id that opens the same model as `model=`; None if a name alone does not."""
        call: Any = self._reopen
        by_name = call is not None and call.args and not call.keywords.get("revision")
        return call.args[0] if by_name else None

    def __copy__(self) -> Self:
        """Give the model itself."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Give the model itself."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to open the model again.

        Raises:
            InputError: It was made in this process, and lies in no folder.
        """
        if self._reopen is None:
            raise InputError(
                f"the model {self.name!r} was made in this process, so no other can open it: save it to a folder "
                "(`out`), and open that with Encoder.from_pretrained"
            )
        model: Any = self
        return _reopened, (self._reopen, (model.fingerprint, model.head_fingerprint), model.calibration)


def twin(model: Any) -> Any:
    """Make a second object with the same attributes, to change some of them."""
    other = object.__new__(type(model))
    other.__dict__.update(model.__dict__)
    return other


def _reopened(reopen: Callable[[], Any], fingerprints: tuple[str, str], calibration: Calibration) -> Any:
    """Open a model that was pickled.

    Raises:
        ModelMismatchError: There is another model in its place.
        CheckpointError: There is none.
    """
    model = reopen()
    if (model.fingerprint, model.head_fingerprint) != fingerprints:
        raise ModelMismatchError(
            f"{model.name!r} has changed since the model was pickled: open it anew, and pickle that"
        )
    return model if model.calibration == calibration else model.calibrated(calibration)
