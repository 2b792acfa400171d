from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegboard.budget import Budget, parse_duration
from pegboard.errors import BudgetSpent, PegboardError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (".5m", 30)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "ten", "-3m", "0", "nan", "inf", "3d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(PegboardError, match="expected a duration such as 90s, 10m or"):
        parse_duration(text)


@given(st.floats(1, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_reserve_is_left_over(seconds: float, reserve: float, elapsed: float) -> None:
    now = [0.0]
    budget = Budget(seconds, reserve=reserve, clock=lambda: now[0])
    now[0] = elapsed
    assert budget.spent == (elapsed + reserve >= seconds) or budget.remaining == pytest.approx(0)
    if budget.spent:
        with pytest.raises(BudgetSpent):
            budget.check()


def test_no_budget_is_never_spent() -> None:
    now = [0.0]
    budget = Budget(None, clock=lambda: now[0])
    now[0] = 1e12
    assert not budget.spent
    budget.check(needed=1e9)


def test_a_part_is_bounded_by_seconds_and_by_what_is_left() -> None:
    now = [0.0]
    budget = Budget(10.0, reserve=4.0, clock=lambda: now[0])
    assert budget.at_most(2.0).remaining == 2.0
    assert budget.at_most(100.0).remaining == 6.0
    now[0] = 8.0
    assert budget.at_most(2.0).spent
    assert Budget(clock=lambda: now[0]).at_most(3.0).remaining == 3.0
