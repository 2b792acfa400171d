from __future__ import annotations

import os

import pytest

from pegboard.prepare import threads_of
from pegboard.settings import CompareSettings
from pegboard.threads import cores, default_threads


@pytest.mark.parametrize(
    ("told", "expected"), [("3", 3), ("", None), ("0", None), ("many", None), ("2,1", None)]
)
def test_threads_are_as_many_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, told: str, expected: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert default_threads() == (expected or cores())


def test_what_is_asked_for_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_of(CompareSettings(source="photos", threads=2)) == 2
    assert threads_of(CompareSettings(source="photos")) == 3


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system cannot tell")
def test_only_cores_that_may_be_used_are_counted() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
