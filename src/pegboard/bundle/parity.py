"""The parity certificate: whether an exported model answers like the trained one.

Pure NumPy, so that it is made when a model is exported and made again anywhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import BundleError
from pegboard.metrics import confusion_matrix, macro_f1
from pegboard.words import listing

MAX_DIFFERENCE = 1e-4
"""Largest difference of a probability between the trained and the exported model in float32."""
MIN_AGREEMENT = 0.999
"""Least share of photos on which both name the same class, in float32."""
MAX_LOSS = 0.01
"""Largest loss of macro-F1 of a model in INT8: one point."""
TIE = 1e-4
"""Probabilities closer than this tie: either class is the same answer."""

Answers = NDArray[np.floating[Any]]
"""``(N, classes)`` probabilities."""


@dataclass(frozen=True)
class Parity:
    """How the exported model compares with the trained one on the same photos.

    Attributes
    ----------
    n
        Photos compared.
    max_difference
        Largest absolute difference of any probability.
    agreement
        Share of photos on which both name the same class, 0 to 1.
    macro_f1_trained, macro_f1_exported
        Of both on these photos; None where their classes were not given.
    precision
        Of the exported model's arithmetic: ``float32`` or ``int8``.
    kept_in_float
        Layers of a model in INT8 that stayed in float32, because it lost too much without.
    forced
        Whether it was written although it loses more than is accepted.
    """

    n: int
    max_difference: float
    agreement: float
    macro_f1_trained: float | None = None
    macro_f1_exported: float | None = None
    precision: str = "float32"
    kept_in_float: tuple[str, ...] = ()
    forced: bool = False

    @property
    def loss(self) -> float | None:
        """Macro-F1 that the export costs; below 0 where it gains, None where not measured."""
        if self.macro_f1_trained is None or self.macro_f1_exported is None:
            return None
        return self.macro_f1_trained - self.macro_f1_exported

    def check(self) -> None:
        """Raise BundleError unless the two are equal within the stated limits."""
        complaint = self.complaint()
        if complaint and not self.forced:
            raise BundleError(complaint)

    def complaint(self) -> str | None:
        """Return what is beyond the limits, or None."""
        return self._lossy() if self.precision == "int8" else self._unequal()

    def _unequal(self) -> str | None:
        # Written so that NaN fails too.
        if self.max_difference <= MAX_DIFFERENCE and self.agreement >= MIN_AGREEMENT:
            return None
        return (
            "the exported model does not answer like the trained one: "
            f"probabilities differ by up to {self.max_difference:.2g} "
            f"(at most {MAX_DIFFERENCE:g} is accepted) and {self.agreement:.2%} of {self.n} "
            f"photos get the same class (at least {MIN_AGREEMENT:.1%} is expected); "
            "no bundle was written"
        )

    def _lossy(self) -> str | None:
        loss = self.loss
        if loss is not None and loss <= MAX_LOSS and np.isfinite(self.max_difference):
            return None
        figures = f"{self.macro_f1_exported} instead of {self.macro_f1_trained}"
        if loss is not None:
            figures = f"{self.macro_f1_exported:.3f} instead of {self.macro_f1_trained:.3f}"
        return (
            f"in INT8 the model loses {100 * (loss or 0):.1f} points of macro-F1 on {self.n} test "
            f"photos ({figures}; at most {100 * MAX_LOSS:g} is accepted)"
            f"{self._although()}; nothing was written; --force writes it all the same"
        )

    def _although(self) -> str:
        if not self.kept_in_float:
            return ""
        return f", although {len(self.kept_in_float)} layers were kept in float"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"kept_in_float": list(self.kept_in_float)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Parity:
        """Rebuild from :meth:`to_json`, also as earlier formats wrote it."""
        return cls(**(data | {"kept_in_float": tuple(data.get("kept_in_float") or ())}))

    def words(self) -> str:
        """Say it in a sentence without its full stop."""
        text = (
            f"largest difference of a probability {self.max_difference:.1e}, same class for "
            f"{self.agreement:.2%} of {self.n:,} photo{'s' if self.n != 1 else ''}"
        )
        if self.loss is not None:
            text += (
                f"; macro-F1 on them {self.macro_f1_trained:.4f} trained, "
                f"{self.macro_f1_exported:.4f} exported"
            )
        if self.kept_in_float:
            text += f"; kept in float32: {listing(self.kept_in_float)}"
        if self.forced:
            text += "; written although this is more than is accepted (--force)"
        return text


def compare_answers(
    trained: Answers,
    exported: Answers,
    labels: NDArray[np.int64] | None = None,
    *,
    precision: str = "float32",
    kept_in_float: tuple[str, ...] = (),
) -> Parity:
    """Compare both models' answers to the same photos.

    Parameters
    ----------
    trained, exported
        ``(N, classes)`` probabilities, photo by photo; N at least 1.
    labels
        ``(N,)`` class indices, for macro-F1 (over the classes that are there or named).

    Raises
    ------
    ValueError
        When there is no photo, or not as many answers of both.
    """
    n = len(exported)
    if n == 0:
        raise ValueError("parity needs at least one photo")
    if len(trained) != n:
        raise ValueError(f"expected answers to {n} photos, got {len(trained)}")
    named = np.take_along_axis(exported, trained.argmax(axis=1)[:, None], axis=1)[:, 0]
    # A class that ties with the winner to within rounding is no other answer.
    same = exported.max(axis=1) - named <= TIE
    scores: list[float | None] = [None, None]
    if labels is not None:
        scores = [_macro_f1(labels, answers) for answers in (trained, exported)]
    return Parity(
        n=n,
        max_difference=float(np.abs(trained - exported).max()),  # NaN is handed on
        agreement=float(same.mean()),
        macro_f1_trained=scores[0],
        macro_f1_exported=scores[1],
        precision=precision,
        kept_in_float=kept_in_float,
    )


def _macro_f1(labels: NDArray[np.int64], answers: Answers) -> float:
    return macro_f1(confusion_matrix(labels, answers.argmax(axis=1), answers.shape[1]))
