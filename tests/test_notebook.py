"""Progress and tables in a notebook, and silence where nobody looks."""

from __future__ import annotations

import re

import pytest

from pegboard.notebook import REDRAW_SECONDS, NotebookProgress, html_table, progress_here


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shown() -> list[str]:
    return []


class TestNotebookProgress:
    def test_lines_stay_and_the_bar_goes(self, shown: list[str]) -> None:
        progress = NotebookProgress(shown.append, Clock())
        progress.message("first <b>")
        with progress.step("lm", 3) as bar:
            bar.advance(note="loss 0.5")
            assert 'value="1" max="3"' in shown[-1]
            assert "loss 0.5" in shown[-1]
        progress.message("second")
        assert "<progress" not in shown[-1]
        assert re.search(r"first &lt;b&gt;<br>second", shown[-1])

    def test_the_bar_goes_when_the_work_fails(self, shown: list[str]) -> None:
        progress = NotebookProgress(shown.append, Clock())

        def work() -> None:
            with progress.step("lm", 3) as bar:
                bar.advance()
                raise RuntimeError

        with pytest.raises(RuntimeError):
            work()
        assert "<progress" not in shown[-1]

    def test_it_is_drawn_a_few_times_a_second_only(self, shown: list[str]) -> None:
        clock = Clock()
        progress = NotebookProgress(shown.append, clock)
        with progress.step("many", 10_000) as bar:
            for _ in range(10_000):
                bar.advance()
                clock.now += REDRAW_SECONDS / 1000
        assert 9 <= len(shown) <= 13

    def test_work_of_unknown_length(self, shown: list[str]) -> None:
        with NotebookProgress(shown.append, Clock()).step("reading", None) as bar:
            bar.advance()
        assert "<progress></progress>" in shown[0]


def test_outside_terminal_and_notebook_nothing_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    progress = progress_here()
    progress.message("nobody reads this")
    with progress.step("work", 3) as bar:
        bar.advance()
    assert capfd.readouterr() == ("", "")


def test_a_table_holds_texts_only() -> None:
    html = html_table(("a", "b"), [("<i>", "1"), ("x", "2")], strong=1)
    assert "<i>" not in html
    assert html.count("<tr") == 3
    assert 'bold"><td style="text-align:left">x' in html
