"""What corrections did to the photos of a source: other labels, photos left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pegboard.corrections.ledger import Ledger
from pegboard.corrections.lines import ACTIONS, Correction
from pegboard.photos import Photo


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One photo whose label was corrected.

    Attributes
    ----------
    path, sha256
        The photo.
    before
        Its class in the source.
    after
        The class decided on; empty when the photo was dropped.
    """

    path: str
    sha256: str
    before: str
    after: str


def label_changes(before: Iterable[Photo], after: Iterable[Photo]) -> list[LabelChange]:
    """Return the photos that corrections relabelled or dropped, copies included.

    Parameters
    ----------
    before
        The photos as taken in.
    after
        The same in the same order, as :func:`apply_corrections` returned them.
    """
    left = iter(after)
    corrected = next(left, None)
    changes = []
    for photo in before:
        if corrected and (corrected.path, corrected.sha256) == (photo.path, photo.sha256):
            label, corrected = corrected.label, next(left, None)
        else:
            label = ""
        if label != photo.label:
            changes.append(LabelChange(photo.path, photo.sha256, photo.label, label))
    return changes


def decisions_by_action(corrections: Sequence[Correction]) -> dict[str, int]:
    """Return how many decisions hold, by action; every action but ``undo`` has an entry."""
    ledger = Ledger(corrections)
    counted = Counter(one.action for one in (*ledger.standing(), *ledger.same_objects()))
    return {action: counted[action] for action in ACTIONS if action != "undo"}
