"""What holds after all decisions, in the order they were made."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from pegboard.corrections.lines import Correction

Photo = tuple[str, str]
"""Checksum and path."""


class Ledger:
    """The decisions made so far, those that were taken back excepted.

    The state is a fold over the lines: the same lines give the same ledger, however many
    processes wrote them, and whenever it is made.
    """

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._made: dict[Photo, list[tuple[int, Correction]]] = {}
        self._at: dict[str, list[Photo]] = {}
        self._count = 0
        for correction in corrections:
            self.add(correction)

    def __len__(self) -> int:
        return self._count

    def add(self, correction: Correction) -> None:
        """Read one more line."""
        self._count += 1
        if correction.action == "undo":
            self._undo(correction.photo)
        else:
            if correction.photo not in self._made:
                self._made[correction.photo] = []
                self._at.setdefault(correction.path, []).append(correction.photo)
            self._made[correction.photo].append((self._count, correction))

    def _undo(self, photo: Photo) -> None:
        """Take back the last decision about a photo, or else about its copies elsewhere."""
        sha256 = photo[0]
        alternatives = [self._made.get(photo, [])] if self._made.get(photo) else [
            made for (other, _), made in self._made.items() if sha256 and other == sha256
        ]  # fmt: skip
        if made := [decisions for decisions in alternatives if decisions]:
            max(made, key=lambda decisions: decisions[-1][0]).pop()

    def standing(self) -> list[Correction]:
        """Return the decision about each photo's label that holds, in the order they were made."""
        last = (
            next((one for one in reversed(made) if one[1].action != "same-object"), None)
            for made in self._made.values()
        )
        return [one for _, one in sorted((one for one in last if one), key=_number)]

    def same_objects(self) -> list[Correction]:
        """Return what holds about photos that show one object, in the order it was said."""
        said = (one for made in self._made.values() for one in made)
        return [one for _, one in sorted(said, key=_number) if one.action == "same-object"]

    def about(self, path: str) -> list[Correction]:
        """Return the decisions about the photo at a path that were not taken back, in order."""
        made = (one for photo in self._at.get(path, ()) for one in self._made[photo])
        return [one for _, one in sorted(made, key=_number)]

    def last_of(self, reviewer: str) -> list[Correction]:
        """Return the last decision of a reviewer that holds: one line, or all of a batch.

        Lines of one time were one decision, several about one photo too. Where another reviewer
        has since decided about the same photo, that photo is not among them: taking back would
        hit the wrong line.
        """
        tops = [made[-1] for made in self._made.values() if made]
        own = [one for one in tops if one[1].reviewer == reviewer]
        if not own:
            return []
        batch = reviewer, max(own, key=_number)[1].time

        def is_of_it(numbered: tuple[int, Correction]) -> bool:
            return (numbered[1].reviewer, numbered[1].time) == batch

        found = (one for made in self._made.values() for one in takewhile(is_of_it, reversed(made)))
        return [one for _, one in sorted(found, key=_number)]


def _number(numbered: tuple[int, Correction]) -> int:
    return numbered[0]
