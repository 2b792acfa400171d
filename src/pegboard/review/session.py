"""The state of a review: what is left, what was decided, and deciding."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pegboard.audit.findings import Finding
from pegboard.corrections import Correction, CorrectionsLog, Ledger
from pegboard.errors import PegboardError, UnusableImage
from pegboard.review.cases import PAIRS, Case, Queue
from pegboard.review.gallery import Gallery
from pegboard.review.nearby import Nearby
from pegboard.review.payoff import Payoff, payoff
from pegboard.sources.base import class_label

State = Literal["open", "decided", "settled"]
"""Settled: a decision about another photo has answered the question."""

CHANGES = frozenset(("accept", "relabel", "drop", "same-object"))
"""Decisions that change something."""

LONGEST_NAME = 100
"""Characters of a new class's name."""

LONGEST_PAUSE = 60.0
"""Seconds between two decisions; after a longer one the reviewer was away."""


class Refused(PegboardError):
    """A decision that makes no sense here, told to the reviewer."""


@dataclass(frozen=True)
class Done:
    """What a decision did.

    ``words`` tell it; ``number`` is the case it was about.
    """

    words: str
    number: int


class Review:
    """One reviewer going through a queue.

    Safe to use from several threads.

    Parameters
    ----------
    name
        Of what is reviewed, for people.
    queue, gallery, nearby, classes
        What is looked at, and what it is compared with.
    log
        Where decisions go.
    clock
        Seconds, for the time left.
    """

    def __init__(
        self,
        name: str,
        queue: Queue,
        gallery: Gallery,
        nearby: Nearby,
        classes: Sequence[str],
        log: CorrectionsLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.queue = queue
        self.gallery = gallery
        self.nearby = nearby
        self.log = log
        self.decisions = 0
        self._classes = list(classes)
        self._clock = clock
        self._times: list[float] = []
        self._lock = threading.RLock()
        self._states: Sequence[State] = ()
        self._states_of: tuple[Ledger | None, int] = (None, 0)
        self.kinds = queue.kinds()
        self._numbers = {case.path: number for number, case in enumerate(queue.cases)}

    # --- what holds -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take in what other reviewers have decided since."""
        with self._lock:
            self.log.refresh()

    @property
    def classes(self) -> list[str]:
        """All classes, those that reviewers have added too."""
        with self._lock:
            added = {one.label for one in self.log.ledger.standing()} - {""}
            return sorted({*self._classes, *added})

    def decision(self, path: str) -> Correction | None:
        """Return the decision about a photo's label that holds."""
        with self._lock:
            made = [one for one in self.log.ledger.about(path) if one.action != "same-object"]
            return made[-1] if made else None

    def label(self, path: str) -> str | None:
        """Return a photo's class after all decisions; None when it was dropped."""
        decision = self.decision(path)
        if decision and decision.action == "drop":
            return None
        return (decision and decision.label) or self.gallery.labels.get(path) or ""

    def is_example(self, path: str, label: str) -> bool:
        """Whether a photo may stand for its class: nobody and nothing says it is of another."""
        number = self._numbers.get(path)
        is_doubtful = number is not None and self.states()[number] == "open"
        return self.label(path) == label and not (
            is_doubtful and self.queue.cases[number or 0].suggestion
        )

    def states(self) -> Sequence[State]:
        """Return for every case whether it still asks for a decision."""
        with self._lock:
            now = self.log.ledger
            if self._states_of != (now, len(now)):
                self._states = [self._state(case) for case in self.queue.cases]
                self._states_of = (now, len(now))
            return self._states

    def _state(self, case: Case) -> State:
        if self.log.ledger.about(case.path):
            return "decided"
        # One decision may answer all that was found about the same two photos.
        answered = {one.other_path for one in case.findings if self._is_settled(one)}
        pairs = (one.code in PAIRS and one.other_path in answered for one in case.findings)
        return "settled" if all(pairs) else "open"

    def _is_settled(self, finding: Finding) -> bool:
        """Whether a decision about the other photo of a pair has answered the question."""
        other = finding.other_path
        if finding.code not in PAIRS or not other:
            return False
        if self.label(other) is None:
            return True
        if finding.code == "label-conflict":
            return self.decision(other) is not None and self.label(other) == self.label(
                finding.path
            )
        said = self.log.ledger.about(other)
        return any(one.action == "same-object" and one.reason == finding.path for one in said)

    def open_numbers(self) -> list[int]:
        """Return the cases that ask for a decision, in order."""
        return [number for number, state in enumerate(self.states()) if state == "open"]

    def next_open(self, after: int) -> int | None:
        """Return the next case that asks for a decision, from the start again at the end."""
        numbers = self.open_numbers()
        return next((n for n in numbers if n > after), numbers[0] if numbers else None)

    def payoff(self, kind: str) -> Payoff:
        """Return whether going on with one kind pays off."""
        with self._lock:
            numbers = self.kinds.get(kind, [])
            # One decision may have answered several cases.
            answers = {self._answer(self.queue.cases[number]) for number in numbers}
            last = sorted((one.time, one.action in CHANGES) for one in answers if one)
            left = sum(self.states()[number] == "open" for number in numbers)
            return payoff([changed for _, changed in last], left)

    def _answer(self, case: Case) -> Correction | None:
        """Return the last decision about a photo, or else the one that settled its case."""
        own = self.log.ledger.about(case.path)
        if own:
            return own[-1]
        others = {one.other_path for one in case.findings if self._is_settled(one)}
        made = [one for path in others for one in self.log.ledger.about(path)]
        return max(made, key=lambda one: one.time, default=None)

    def seconds_left(self) -> float | None:
        """Return how long the rest takes at the reviewer's pace; None before that shows."""
        pairs = zip(self._times, self._times[1:], strict=False)
        gaps = [gap for a, b in pairs if (gap := b - a) <= LONGEST_PAUSE]
        return statistics.median(gaps) * len(self.open_numbers()) if len(gaps) >= 4 else None

    # --- deciding ---------------------------------------------------------------------------

    def decide(self, number: int, action: str, label: str = "", *, new: bool = False) -> Done:
        """Decide about one case.

        Parameters
        ----------
        action
            ``accept``, ``keep``, ``relabel``, ``drop``, ``same-object``, or ``drop-other``: drop
            the other photo of a pair.
        label
            For ``relabel``.
        new
            Whether the label may be a class that is not there yet.

        Raises
        ------
        Refused
            When that cannot be decided here.
        PegboardError
            When it could not be saved.
        """
        with self._lock:
            case = self._case(number)
            made = self._corrections(case, action, class_label(label.strip()), new)
            self.log.append(made)
            self._count()
            return Done(self._said(case, made), number)

    def accept_all(self, numbers: Iterable[int]) -> Done:
        """Accept the suggestions of several cases as one decision.

        Raises
        ------
        Refused
            When one of them has been decided since, or has no suggestion; then none is accepted.
        """
        with self._lock:
            chosen = sorted(set(numbers))
            made: list[Correction] = []
            for number in chosen:
                self._need_open(number)
                made += self._corrections(self._case(number), "accept", "", False)
            if not made:
                raise Refused("no photo was chosen, so nothing was accepted")

            def still_open() -> list[Correction]:
                # Another reviewer may have decided since this ledger was read.
                for number in chosen:
                    self._need_open(number)
                return made

            self.log.decide(still_open)
            self._count()
            return Done(f"{len(made)} suggestions accepted.", chosen[-1])

    def undo(self) -> Done:
        """Take back this reviewer's last decision.

        Raises
        ------
        Refused
            When there is none.
        """
        with self._lock:
            taken = self.log.undo()
            if not taken:
                raise Refused(f"there is no decision of {self.log.reviewer} to take back")
            self.decisions = max(0, self.decisions - 1)
            first = taken[0]
            what = f"{len(taken)} decisions" if len(taken) > 1 else f"{first.action}, {first.path}"
            return Done(f"Taken back: {what}.", self._numbers.get(first.path, 0))

    def _count(self) -> None:
        self.decisions += 1
        self._times.append(self._clock())

    def _checked(self, number: int) -> int:
        if not 0 <= number < len(self.queue.cases):
            raise Refused(
                f"there are {len(self.queue.cases)} photos, and none has number {number + 1}"
            )
        return number

    def _need_open(self, number: int) -> None:
        if self.states()[self._checked(number)] != "open":
            raise Refused(
                f"photo {number + 1} has been decided since the preview, so nothing was "
                "accepted; look at the preview again"
            )

    def _case(self, number: int) -> Case:
        return self.queue.cases[self._checked(number)]

    def _corrections(self, case: Case, action: str, label: str, new: bool) -> list[Correction]:
        if action == "drop-other":
            self._need(case.others, "there is no other photo to drop")
            return [self._correction(other, "drop", "", case) for other in case.others]
        if action == "same-object":
            self._need(case.others, "there is no other photo that shows the same object")
            return [self._correction(case.path, action, "", case, other) for other in case.others]
        if action == "accept":
            self._need(case.suggestion, "no class is suggested")
            return [self._correction(case.path, action, case.suggestion, case)]
        if action == "relabel":
            self._check_class(label, new)
            if label == case.label:
                action, label = "keep", ""
            return [self._correction(case.path, action, label, case)]
        if action in ("keep", "drop"):
            return [self._correction(case.path, action, "", case)]
        raise Refused(f"{action!r} is no decision")

    def _check_class(self, label: str, new: bool) -> None:
        self._need(self._classes, "these photos have no classes, so none can be given")
        self._need(label, "no class was named")
        if label in self.classes:
            return
        if not new:
            raise Refused(f"{label!r} is not a class here; say that it is a new one, or choose one")
        if len(label) > LONGEST_NAME or not label.isprintable() or set(label) & set("/\\"):
            raise Refused(
                f"a class's name has up to {LONGEST_NAME} letters, digits and signs but no "
                "slashes, because it names a folder"
            )

    @staticmethod
    def _need(there: object, why_not: str) -> None:
        if not there:
            raise Refused(why_not)

    def _correction(
        self, path: str, action: str, label_after: str, case: Case, other: str | None = None
    ) -> Correction:
        try:
            sha256 = self.gallery.sha256(path)
        except (OSError, UnusableImage) as error:
            raise Refused(f"{path} cannot be read any more ({error})") from error
        before = self.gallery.labels.get(path) or ""
        finding = case.findings[0]
        why = f"{finding.code} {finding.score:.2f}"
        if finding.explanation:
            why += f": {finding.explanation}"
        return Correction(
            action, path, sha256, before, label_after, reason=why if other is None else other
        )

    @staticmethod
    def _said(case: Case, made: Sequence[Correction]) -> str:
        one = made[0]
        if one.action in ("accept", "relabel"):
            return f"Relabelled to {one.label_after}: {case.path}."
        if one.action == "keep":
            return f"Kept{f' as {case.label}' if case.label else ''}: {case.path}."
        if one.action == "same-object":
            return f"Same object as {', '.join(line.reason for line in made)}: {case.path}."
        return f"Dropped: {', '.join(line.path for line in made)}."
