"""Whether more review pays off: how many of the last photos looked at were really wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pegboard.verify import wilson

WINDOW = 20
"""Decisions looked back on: fewer say little, more lag behind a list that grows surer to be
clean with every photo."""

RARE, SURELY_RARE = 0.1, 0.25
"""Review has stopped paying off when at most one photo in ten was wrong and the 95 % interval
ends below one in four: none or one of the last 20."""


@dataclass(frozen=True)
class Payoff:
    """What the last decisions say about the next ones.

    Attributes
    ----------
    decided, changed
        Of the last decisions (at most :data:`WINDOW`), and how many of them changed something.
    low, high
        Wilson's 95 % interval of that share; (0, 1) before there are any.
    left
        Photos of this kind without a decision.
    """

    decided: int
    changed: int
    low: float
    high: float
    left: int

    @property
    def is_spent(self) -> bool:
        """Whether going on finds little."""
        enough = self.decided >= WINDOW
        return enough and self.changed <= RARE * self.decided and self.high <= SURELY_RARE

    def in_words(self) -> str:
        """Return it as one or two sentences."""
        if not self.left:
            return "None of this kind is left."
        if self.decided < WINDOW // 2:
            return f"{self.left} of this kind are left; too few are decided to say more."
        share = (
            f"Of the last {self.decided} decisions {self.changed} changed something "
            f"({self.changed / self.decided:.0%}, 95 % interval {self.low:.0%} to {self.high:.0%})"
        )
        if self.is_spent:
            return f"{share}. More of this kind hardly pays off; {self.left} are left."
        return f"{share}: going on pays off. {self.left} are left."


def payoff(changes: Sequence[bool], left: int) -> Payoff:
    """Return what decisions say, in the order they were made; True: it changed something."""
    last = changes[-WINDOW:]
    low, high = wilson(sum(last), len(last)) if last else (0.0, 1.0)
    return Payoff(len(last), sum(last), low, high, left)
