"""Decisions of several reviewers put together, and where they disagree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pegboard.corrections.ledger import Ledger
from pegboard.corrections.lines import Correction


@dataclass(frozen=True)
class Conflict:
    """One photo about which files disagree.

    ``decisions`` holds the decision of each file that has one, in the order of the files.
    """

    decisions: tuple[Correction, ...]

    @property
    def path(self) -> str:
        """The photo."""
        return self.decisions[0].path

    def in_words(self) -> str:
        """Return who decided what, in one line."""
        return "; ".join(f"{one.reviewer or 'someone'}: {outcome(one)}" for one in self.decisions)


@dataclass(frozen=True)
class Merged:
    """What all agree on, in the order it was decided, and what they do not agree on."""

    corrections: tuple[Correction, ...]
    conflicts: tuple[Conflict, ...]


def merge_corrections(files: Sequence[Sequence[Correction]]) -> Merged:
    """Put the decisions of several files together.

    Of each file only what holds at its end counts: what was taken back, or decided anew later,
    is gone. Two files agree about a photo when it comes out the same, however they say it
    (``accept`` and ``relabel`` of one class, or a class that was kept); then the first is kept.

    Parameters
    ----------
    files
        The lines of each file, from :func:`read_corrections`.
    """
    ledgers = [Ledger(lines) for lines in files]
    by_photo: defaultdict[tuple[str, str], list[Correction]] = defaultdict(list)
    for ledger in ledgers:
        for one in ledger.standing():
            by_photo[one.photo].append(one)
    agreed, conflicts = [], []
    for decisions in by_photo.values():
        if len({outcome(one) for one in decisions}) > 1:
            conflicts.append(Conflict(tuple(decisions)))
        else:
            agreed.append(min(decisions, key=lambda one: one.time))
    said = {(one.photo, one.reason): one for ledger in ledgers for one in ledger.same_objects()}
    merged = sorted([*agreed, *said.values()], key=lambda one: one.time)
    return Merged(tuple(merged), tuple(conflicts))


def outcome(correction: Correction) -> str:
    """Return in words what becomes of the photo."""
    return "dropped" if correction.action == "drop" else correction.label or "left as it is"
