"""The log of decisions: nothing acknowledged is ever lost, whatever happens."""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pegboard.corrections import (
    COLUMNS,
    Correction,
    CorrectionsLog,
    Ledger,
    merge_corrections,
    read_corrections,
)
from pegboard.corrections.lines import end_of_whole_lines, format_lines
from pegboard.errors import PegboardError

HEADER = (",".join(COLUMNS) + "\n").encode()


def line(path: str, action: str = "drop", after: str = "", reason: str = "") -> Correction:
    return Correction(action, path, f"5a{len(path)}", "cat", after, reason=reason)


def plain(corrections: list[Correction]) -> list[Correction]:
    return [replace(one, time="", reviewer="") for one in corrections]


names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
) | st.sampled_from(["a,b", 'a"b', "a\nb", "a\r\nb", "a\rb", '"', "\udcff", " "])
decisions = st.builds(
    line,
    names,
    st.sampled_from(["keep", "drop", "accept", "relabel"]),
    st.sampled_from(["dog", "a,b"]),
    names,
)


class TestWriting:
    def test_a_line_has_the_columns_of_the_contract(self, tmp_path: Path) -> None:
        log = CorrectionsLog(tmp_path / "corrections.csv", "ann")
        assert not log.path.exists()
        log.append([line("cat/1.jpg", "relabel", "dog", "looks like one")])
        (row,) = csv.DictReader(log.path.open(newline=""))
        assert tuple(row) == COLUMNS
        time = row.pop("time")
        assert time.endswith("+00:00")
        assert len(time) == 32
        assert list(row.values()) == [
            "ann", "relabel", "cat/1.jpg", "5a9", "cat", "dog", "looks like one",
        ]  # fmt: skip

    @given(st.lists(decisions, max_size=6))
    @settings(
        deadline=None,
        max_examples=40,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_what_is_written_is_read_whatever_names_hold(
        self, tmp_path: Path, made: list[Correction]
    ) -> None:
        path = tmp_path / "corrections.csv"
        path.unlink(missing_ok=True)
        log = CorrectionsLog(path, "ann")
        for one in made:
            log.append([one])
        again = CorrectionsLog(path, "ben")
        assert not again.told
        if made:
            assert plain(read_corrections(path)) == made
            assert again.ledger.standing() == log.ledger.standing()

    def test_a_file_that_is_no_log_is_left_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "corrections.csv"
        path.write_text("my notes\nkeep out")
        with pytest.raises(PegboardError, match="lack the columns"):
            CorrectionsLog(path, "ann")
        assert path.read_text() == "my notes\nkeep out"
        assert [file.name for file in tmp_path.iterdir()] == ["corrections.csv"]

    def test_a_table_programs_file_is_gone_on_with(self, tmp_path: Path) -> None:
        path = tmp_path / "corrections.csv"
        path.write_bytes(
            b"\xef\xbb\xbfpath,action,note,sha256,time,reviewer,label_before,label_after,reason\r\n"
            b"a.jpg,drop,mine,,,,,,"
        )
        log = CorrectionsLog(path, "ann")
        log.append([line("b.jpg")])
        assert [one.path for one in read_corrections(path)] == ["a.jpg", "b.jpg"]
        assert b"a.jpg,drop,mine" in path.read_bytes()

    def test_a_folder_that_cannot_be_written_is_told_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(PegboardError, match="cannot be written"):
            CorrectionsLog(tmp_path / "none" / "corrections.csv", "ann")

    def test_a_full_disk_loses_nothing_and_is_told(self, tmp_path: Path) -> None:
        script = (
            "import resource, signal, sys\n"
            "from pathlib import Path\n"
            "from pegboard.corrections import Correction, CorrectionsLog\n"
            "from pegboard.errors import PegboardError\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "log = CorrectionsLog(Path(sys.argv[1]), 'ann')\n"
            "log.append([Correction('drop', 'a.jpg', '', 'cat', '')])\n"
            "size = log.path.stat().st_size + 20\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
            "try:\n    log.append([Correction('drop', 'b.jpg', '', 'cat', '')])\n"
            "except PegboardError as error:\n    print(error)\n"
            "print(len(log.ledger.standing()))\n"
        )
        path = tmp_path / "corrections.csv"
        done = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
        )
        assert "the decision was not saved" in done.stdout, done.stderr
        assert done.stdout.endswith("\n1\n")
        assert [one.path for one in read_corrections(path)] == ["a.jpg"]
        assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


class TestCrash:
    """A log cut off anywhere keeps every whole line, and can be gone on with."""

    made = (line("a.jpg"), line('b",\n.jpg', "relabel", "dog", "x\ny"), line("c.jpg", "keep"))

    def test_cut_off_at_every_byte(self, tmp_path: Path) -> None:
        whole = HEADER + format_lines(COLUMNS, self.made)
        ends = [len(HEADER + format_lines(COLUMNS, self.made[:count])) for count in range(4)]
        for cut in range(len(HEADER), len(whole) + 1):
            path = tmp_path / f"{cut}.csv"
            path.write_bytes(whole[:cut])
            kept = sum(end <= cut for end in ends) - 1
            log = CorrectionsLog(path, "ann")
            read = plain(read_corrections(path))
            assert read[:kept] == list(self.made[:kept])
            # A last line that lacks its break, and at most words of its reason, still decides.
            for more, meant in zip(read[kept:], self.made[kept:], strict=False):
                assert replace(more, reason="") == replace(meant, reason=""), cut
                assert meant.reason.startswith(more.reason)
            log.append([line("d.jpg")])
            assert plain(read_corrections(path))[-1] == line("d.jpg")
            assert len(read_corrections(path)) == len(read) + 1

    def test_what_was_cut_off_is_kept_aside_and_said(self, tmp_path: Path) -> None:
        path = tmp_path / "corrections.csv"
        path.write_bytes(HEADER + format_lines(COLUMNS, self.made[:1]) + b"2026-01-01,ann,dr")
        told: list[str] = []
        assert plain(read_corrections(path, told.append)) == [self.made[0]]
        assert told == [f"corrections {path}: the last line is cut off and was left aside"]
        log = CorrectionsLog(path, "ann")
        (said,) = log.told
        assert "the last line was cut off" in said
        assert path.with_name("corrections.csv.cut-off").read_bytes() == b"2026-01-01,ann,dr\n"
        assert path.read_bytes() == HEADER + format_lines(COLUMNS, self.made[:1])

    def test_a_quote_within_a_cell_opens_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "corrections.csv"
        lines = (
            HEADER + b'2026,ann,drop,a.jpg,,,,a 5" nail\n' + 2 * b'2026,ann,drop,"b",,,,"x""y"\n'
        )
        path.write_bytes(lines)
        assert [one.path for one in read_corrections(path)] == ["a.jpg", "b", "b"]
        assert not CorrectionsLog(path, "ann").told
        assert path.read_bytes() == lines

    def test_a_header_cut_off_is_begun_again(self, tmp_path: Path) -> None:
        path = tmp_path / "corrections.csv"
        path.write_bytes(HEADER[:20])
        log = CorrectionsLog(path, "ann")
        log.append([line("a.jpg")])
        assert plain(read_corrections(path)) == [line("a.jpg")]
        assert path.with_name("corrections.csv.cut-off").read_bytes() == HEADER[:20] + b"\n"

    @given(st.lists(decisions, max_size=4), st.data())
    @settings(deadline=None, max_examples=60)
    def test_whole_lines_are_found_whatever_names_hold(
        self, made: list[Correction], data: st.DataObject
    ) -> None:
        whole = HEADER + format_lines(COLUMNS, made)
        assert end_of_whole_lines(whole) == len(whole)
        cut = data.draw(st.integers(0, len(whole)))
        end = end_of_whole_lines(whole[:cut])
        ends = {len(HEADER + format_lines(COLUMNS, made[:n])) for n in range(len(made) + 1)}
        assert end in ends | {0, cut}


class TestSeveralProcesses:
    def test_two_processes_at_once_lose_and_mix_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "corrections.csv"
        script = (
            "import sys\n"
            "from pathlib import Path\n"
            "from pegboard.corrections import Correction, CorrectionsLog\n"
            "log = CorrectionsLog(Path(sys.argv[1]), sys.argv[2])\n"
            "for number in range(60):\n"
            "    name = f'{sys.argv[2]}-{number}\\n' + 'x' * (number * 40)\n"
            "    log.append([Correction('drop', name, '', 'cat', '')])\n"
        )
        both = [
            subprocess.Popen([sys.executable, "-c", script, str(path), name])
            for name in ("ann", "ben")
        ]
        assert [process.wait(60) for process in both] == [0, 0]
        read = read_corrections(path)
        for name in ("ann", "ben"):
            own = [one.path.partition("\n")[0] for one in read if one.reviewer == name]
            assert own == [f"{name}-{number}" for number in range(60)]
        assert len(read) == 120

    def test_a_log_sees_what_another_wrote(self, tmp_path: Path) -> None:
        ann = CorrectionsLog(tmp_path / "c.csv", "ann")
        ben = CorrectionsLog(tmp_path / "c.csv", "ben")
        ann.append([line("a.jpg")])
        ben.refresh()
        assert [one.path for one in ben.ledger.standing()] == ["a.jpg"]
        assert ben.undo() == []
        assert [one.path for one in ann.undo()] == ["a.jpg"]
        ben.refresh()
        assert ben.ledger.standing() == []

    def test_a_file_replaced_by_an_editor_is_read_anew(self, tmp_path: Path) -> None:
        log = CorrectionsLog(tmp_path / "c.csv", "ann")
        log.append([line("a.jpg"), line("b.jpg")])
        new = tmp_path / "new.csv"
        new.write_bytes(HEADER + format_lines(COLUMNS, [line("longer-name/b.jpg"), line("c.jpg")]))
        new.replace(log.path)
        log.refresh()
        paths = [one.path for one in log.ledger.standing()]
        assert paths == ["longer-name/b.jpg", "c.jpg"]


class TestUndo:
    def test_undo_takes_back_one_decision_after_another(self, tmp_path: Path) -> None:
        log = CorrectionsLog(tmp_path / "c.csv", "ann")
        log.append([line("a.jpg", "relabel", "dog")])
        log.append([line("b.jpg"), line("c.jpg")])
        log.append([line("a.jpg")])
        assert [one.path for one in log.undo()] == ["a.jpg"]
        assert {one.path: one.action for one in log.ledger.standing()} == {
            "a.jpg": "relabel", "b.jpg": "drop", "c.jpg": "drop",
        }  # fmt: skip
        assert [one.path for one in log.undo()] == ["b.jpg", "c.jpg"]
        # Another session goes on where this one stopped.
        again = CorrectionsLog(log.path, "ann")
        assert [one.path for one in again.undo()] == ["a.jpg"]
        assert again.undo() == []
        assert again.ledger.standing() == []

    def test_undo_of_same_object_leaves_the_label(self, tmp_path: Path) -> None:
        log = CorrectionsLog(tmp_path / "c.csv", "ann")
        log.append([line("a.jpg", "relabel", "dog")])
        log.append([line("a.jpg", "same-object", reason="b.jpg")])
        assert [one.reason for one in log.ledger.same_objects()] == ["b.jpg"]
        log.undo()
        assert log.ledger.same_objects() == []
        assert [one.label for one in log.ledger.standing()] == ["dog"]

    def test_several_lines_about_one_photo_are_one_decision(self, tmp_path: Path) -> None:
        log = CorrectionsLog(tmp_path / "c.csv", "ann")
        log.append([line("a.jpg")])
        log.append([line("a.jpg", "same-object", reason=other) for other in ("b.jpg", "c.jpg")])
        assert [one.reason for one in log.undo()] == ["b.jpg", "c.jpg"]
        again = CorrectionsLog(log.path, "ben").ledger
        assert again.same_objects() == log.ledger.same_objects() == []
        assert [one.action for one in again.standing()] == ["drop"]

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["ann", "ben"]),
                st.sampled_from(["keep", "drop", "relabel", "same-object", "undo"]),
                st.sampled_from(["a", "b", "c"]),
            ),
            max_size=14,
        )
    )
    @settings(
        deadline=None,
        max_examples=40,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_the_state_is_a_fold_over_the_lines(
        self, tmp_path: Path, steps: list[tuple[str, str, str]]
    ) -> None:
        path = tmp_path / "c.csv"
        path.unlink(missing_ok=True)
        logs = {name: CorrectionsLog(path, name) for name in ("ann", "ben")}
        for name, action, photo in steps:
            if action == "undo":
                logs[name].undo()
            else:
                logs[name].append([line(photo, action, "dog")])
        for log in logs.values():
            log.refresh()
        replayed = Ledger(read_corrections(path) if path.exists() else [])
        for log in logs.values():
            assert log.ledger.standing() == replayed.standing()
            assert log.ledger.same_objects() == replayed.same_objects()


class TestMerging:
    def by(self, who: str, path: str, action: str, after: str = "", at: int = 0) -> Correction:
        return replace(line(path, action, after), reviewer=who, time=f"2026-01-01T00:00:{at:02d}")

    def test_agreement_is_kept_once_and_conflicts_are_shown(self) -> None:
        ann = [
            self.by("ann", "a", "accept", "dog", 1),
            self.by("ann", "b", "drop", at=2),
            self.by("ann", "c", "keep", at=3),
            self.by("ann", "e", "drop", at=9),
        ]
        ben = [
            self.by("ben", "a", "relabel", "dog", 5),
            self.by("ben", "b", "keep", at=6),
            self.by("ben", "c", "relabel", "cat", 7),
            self.by("ben", "d", "drop", at=8),
        ]
        merged = merge_corrections([ann, ben])
        assert [(one.path, one.reviewer) for one in merged.corrections] == [
            ("a", "ann"), ("c", "ann"), ("d", "ben"), ("e", "ann"),
        ]  # fmt: skip
        (conflict,) = merged.conflicts
        assert conflict.path == "b"
        assert conflict.in_words() == "ann: dropped; ben: cat"

    def test_what_was_taken_back_is_no_conflict(self) -> None:
        ann = [self.by("ann", "a", "drop"), self.by("ann", "a", "undo")]
        ben = [self.by("ben", "a", "keep")]
        merged = merge_corrections([ann, ben])
        assert [one.reviewer for one in merged.corrections] == ["ben"]
        assert not merged.conflicts

    @given(
        st.lists(
            st.lists(
                st.tuples(
                    st.sampled_from(["keep", "drop", "relabel", "undo", "same-object"]),
                    st.sampled_from(["a", "b", "c"]),
                    st.sampled_from(["dog", "cow"]),
                ),
                max_size=8,
            ),
            min_size=2,
            max_size=3,
        )
    )
    @settings(deadline=None, max_examples=60)
    def test_every_photo_is_agreed_on_or_in_conflict(
        self, files: list[list[tuple[str, str, str]]]
    ) -> None:
        lines = [[line(path, action, after) for action, path, after in file] for file in files]
        merged = merge_corrections(lines)
        agreed = [one.path for one in Ledger(merged.corrections).standing()]
        disputed = [one.path for one in merged.conflicts]
        decided = {one.path for file in lines for one in Ledger(file).standing()}
        assert sorted([*agreed, *disputed]) == sorted(decided)
        backwards = merge_corrections(lines[::-1])
        assert {one.path for one in backwards.conflicts} == set(disputed)
