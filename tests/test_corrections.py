from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegboard.corrections import (
    ACTIONS,
    COLUMNS,
    Correction,
    apply_corrections,
    read_corrections,
)
from pegboard.errors import PegboardError
from pegboard.photos import Intake, LeftOut, Photo
from pegboard.split import split_photos


def photo(path: str, sha256: str | None = None, pixels: str | None = None) -> Photo:
    sha256 = sha256 or f"sha of {path}"
    return Photo(
        path, path.split("/", maxsplit=1)[0], None, None, sha256, pixels or sha256, 8, 8, 1
    )


def decision(
    action: str, path: str, sha256: str | None = None, before: str = "", after: str = ""
) -> Correction:
    return Correction(action, path, f"sha of {path}" if sha256 is None else sha256, before, after)


def labels(intake: Intake) -> dict[str, str]:
    return {photo.path: photo.label for photo in intake.photos}


TWO = Intake([photo("cat/1.jpg"), photo("dog/1.jpg")], [LeftOut("x.txt", "not-an-image", "text")])


class TestReading:
    def write(self, path: Path, *rows: dict[str, str], header: tuple[str, ...] = COLUMNS) -> Path:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, header, restval="")
            table.writeheader()
            table.writerows(rows)
        return path

    def test_every_action_is_read(self, tmp_path: Path) -> None:
        rows = [
            {"action": action, "path": "a,b\n.jpg", "sha256": "AB", "label_after": "cat"}
            for action in ACTIONS
        ]
        read = read_corrections(self.write(tmp_path / "c.csv", *rows))
        assert [one.action for one in read] == list(ACTIONS)
        assert {(one.path, one.sha256, one.label_after) for one in read} == {
            ("a,b\n.jpg", "ab", "cat")
        }

    def test_a_table_programs_mark_at_the_start_does_no_harm(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "c.csv", {"action": "drop", "path": "a.jpg"})
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert read_corrections(path) == [Correction("drop", "a.jpg", "", "", "")]

    def test_a_decomposed_class_name_is_the_composed_one(self, tmp_path: Path) -> None:
        row = {"action": "relabel", "path": "a.jpg", "label_after": "cafe\u0301"}
        assert read_corrections(self.write(tmp_path / "c.csv", row))[0].label_after == "caf\u00e9"

    @pytest.mark.parametrize(
        ("row", "says"),
        [
            ({"action": "delete", "path": "a.jpg"}, "line 2: unknown action 'delete'"),
            ({"action": "relabel", "path": "a.jpg"}, "line 2: relabel needs a label_after"),
            ({"action": "accept", "sha256": "ab"}, "line 2: accept needs a label_after"),
            ({"action": "drop"}, "line 2: neither path nor sha256"),
        ],
    )
    def test_a_wrong_line_is_named(self, tmp_path: Path, row: dict[str, str], says: str) -> None:
        with pytest.raises(PegboardError, match=says):
            read_corrections(self.write(tmp_path / "c.csv", row))

    def test_missing_columns_are_named(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "c.csv", header=("action", "path"))
        with pytest.raises(PegboardError, match="lack the columns time, reviewer, sha256"):
            read_corrections(path)

    @pytest.mark.parametrize(
        ("mark", "encoding", "says"),
        [
            (";", "utf-8", "have semicolons between their cells; .* with commas"),
            ("\t", "utf-8-sig", "have tabs between"),
            (",", "utf-16", "are in UTF-16; save the file as CSV UTF-8"),
        ],
    )
    def test_what_a_table_program_made_of_it_is_named(
        self, tmp_path: Path, mark: str, encoding: str, says: str
    ) -> None:
        path = self.write(tmp_path / "c.csv", {"action": "drop", "path": "a.jpg"})
        path.write_bytes(path.read_text().replace(",", mark).encode(encoding))
        with pytest.raises(PegboardError, match=says):
            read_corrections(path)

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(PegboardError, match="no such file; pegboard review writes it"):
            read_corrections(tmp_path / "none.csv")


class TestApplying:
    def test_relabel_and_accept_change_the_label_only(self) -> None:
        for action in ("relabel", "accept"):
            after = apply_corrections(TWO, [decision(action, "cat/1.jpg", after="dog")])
            assert labels(after) == {"cat/1.jpg": "dog", "dog/1.jpg": "dog"}
            assert after.photos[0].sha256 == TWO.photos[0].sha256
            assert after.left_out == TWO.left_out
            assert after.warnings == ["corrections: 1 relabelled, 0 dropped, 0 confirmed"]

    def test_drop_leaves_out_with_a_reason(self) -> None:
        after = apply_corrections(TWO, [decision("drop", "cat/1.jpg")])
        assert labels(after) == {"dog/1.jpg": "dog"}
        assert after.left_out[-1] == LeftOut("cat/1.jpg", "excluded", "dropped by a correction")
        assert after.found == TWO.found

    def test_the_last_decision_holds(self) -> None:
        made = [
            decision("drop", "cat/1.jpg"),
            decision("relabel", "cat/1.jpg", after="cow"),
            decision("relabel", "cat/1.jpg", after="dog"),
        ]
        assert labels(apply_corrections(TWO, made))["cat/1.jpg"] == "dog"

    def test_undo_takes_back_the_last_decision(self) -> None:
        made = [
            decision("relabel", "cat/1.jpg", after="cow"),
            decision("drop", "cat/1.jpg"),
            decision("undo", "cat/1.jpg"),
        ]
        assert labels(apply_corrections(TWO, made))["cat/1.jpg"] == "cow"
        made.append(decision("undo", "cat/1.jpg"))
        made.append(decision("undo", "cat/1.jpg"))
        assert labels(apply_corrections(TWO, made)) == labels(TWO)

    def test_undo_finds_a_photo_that_moved(self) -> None:
        made = [
            decision("drop", "cat/1.jpg"),
            decision("undo", "cat/new.jpg", sha256="sha of cat/1.jpg"),
        ]
        assert labels(apply_corrections(TWO, made)) == labels(TWO)

    def test_a_photo_that_moved_is_found_by_its_checksum(self) -> None:
        moved = [decision("relabel", "old/name.jpg", sha256="sha of cat/1.jpg", after="dog")]
        assert labels(apply_corrections(TWO, moved))["cat/1.jpg"] == "dog"

    def test_another_photo_in_its_place_is_left_alone(self) -> None:
        other = [decision("drop", "cat/1.jpg", sha256="another")]
        after = apply_corrections(TWO, other)
        assert labels(after) == labels(TWO)
        assert after.warnings == ["corrections: 1 name photos that are not there"]

    def test_without_a_checksum_the_path_counts(self) -> None:
        after = apply_corrections(TWO, [decision("drop", "cat/1.jpg", sha256="")])
        assert labels(after) == {"dog/1.jpg": "dog"}

    def test_same_object_changes_no_label(self) -> None:
        after = apply_corrections(TWO, [decision("same-object", "cat/1.jpg", after="dog")])
        assert after.photos == TWO.photos
        assert not after.warnings

    def test_photos_of_one_object_get_one_group_and_so_one_split(self) -> None:
        many = [photo(f"{label}/{number}.jpg") for label in ("cat", "dog") for number in range(12)]
        many[5] = replace(many[5], group="mine")
        many[9] = replace(many[9], group="mine")
        made = [
            replace(decision("same-object", "cat/1.jpg"), reason="cat/2.jpg"),
            replace(decision("same-object", "cat/2.jpg"), reason="cat/5.jpg"),
            replace(decision("same-object", "dog/1.jpg"), reason="gone/1.jpg"),
            replace(decision("same-object", "dog/3.jpg"), reason="dog/4.jpg"),
            decision("undo", "dog/3.jpg"),
        ]
        after = apply_corrections(Intake(many, []), made)
        groups = {one.path: one.group for one in after.photos if one.group is not None}
        assert sorted(groups) == ["cat/1.jpg", "cat/2.jpg", "cat/5.jpg", "cat/9.jpg"]
        assert len(set(groups.values())) == 1
        assert labels(after) == {one.path: one.label for one in many}
        rows = {row.path: row.split for row in split_photos(after).rows}
        assert len({rows[path] for path in groups}) == 1

    def test_merge_and_exclude_hold_for_corrected_labels(self) -> None:
        made = [decision("relabel", "cat/1.jpg", after="Dogs")]
        after = apply_corrections(TWO, made, merge={"Dogs": "dogs", "dogs": "dog"})
        assert labels(after)["cat/1.jpg"] == "dog"
        after = apply_corrections(TWO, made, exclude=["Dogs"])
        assert labels(after) == {"dog/1.jpg": "dog"}
        assert after.found == TWO.found

    def test_a_new_class_that_is_no_text_is_refused(self) -> None:
        garbled = "größe".encode("cp1252").decode("utf-8", "surrogateescape")
        made = [decision("relabel", "cat/1.jpg", after=garbled)]
        with pytest.raises(PegboardError, match=r"gr.xf6.xdfe' is not in UTF-8.*CSV UTF-8"):
            apply_corrections(TWO, made)
        there = Intake([*TWO.photos, photo(f"{garbled}/1.jpg")], [])
        assert labels(apply_corrections(there, made))["cat/1.jpg"] == garbled

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(ACTIONS),
                st.sampled_from(["cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "gone/1.jpg"]),
                st.sampled_from(["cat", "dog", "cow"]),
            ),
            max_size=12,
        )
    )
    def test_every_photo_stays_accounted_for(self, made: list[tuple[str, str, str]]) -> None:
        intake = Intake([photo("cat/1.jpg"), photo("cat/2.jpg"), photo("dog/1.jpg")], [])
        corrections = [decision(action, path, after=label) for action, path, label in made]
        after = apply_corrections(intake, corrections)
        paths = [one.path for one in (*after.photos, *after.left_out)]
        assert sorted(paths) == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]
        undone = [*corrections, *(decision("undo", one.path) for one in corrections)]
        again = apply_corrections(intake, undone)
        assert labels(again) == labels(intake)


class TestConflicts:
    """Equal pixels under two labels, left out until a decision."""

    def intake(self, *, equal_files: bool) -> Intake:
        many = [photo(f"{label}/{number}.jpg") for label in ("cat", "dog") for number in range(5)]
        twins = [
            photo("cat/twin.jpg", "s1", "p"),
            photo("dog/twin.jpg", "s1" if equal_files else "s2", "p"),
        ]
        return Intake([*many, *twins], [])

    def used(self, intake: Intake) -> dict[str, str]:
        rows = split_photos(intake).rows
        return {row.path: row.label for row in rows if "twin" in row.path}

    @pytest.mark.parametrize("equal_files", [True, False])
    def test_undecided_copies_are_left_out(self, equal_files: bool) -> None:
        intake = self.intake(equal_files=equal_files)
        assert self.used(intake) == {}
        out = split_photos(intake).left_out
        assert [(item.path, item.reason) for item in out] == [
            ("cat/twin.jpg", "label-conflict"),
            ("dog/twin.jpg", "label-conflict"),
        ]
        assert "dog (dog/twin.jpg)" in out[0].detail

    @pytest.mark.parametrize("equal_files", [True, False])
    @pytest.mark.parametrize("action", ["relabel", "accept", "keep"])
    def test_a_label_decided_on_one_copy_holds_for_all(
        self, equal_files: bool, action: str
    ) -> None:
        one = Correction(action, "cat/twin.jpg", "s1", "cat", "" if action == "keep" else "dog")
        after = apply_corrections(self.intake(equal_files=equal_files), [one])
        label = "cat" if action == "keep" else "dog"
        assert self.used(after) == {"cat/twin.jpg": label, "dog/twin.jpg": label}

    @pytest.mark.parametrize("equal_files", [True, False])
    def test_a_drop_leaves_the_other_copy(self, equal_files: bool) -> None:
        one = Correction("drop", "cat/twin.jpg", "s1", "cat", "")
        after = apply_corrections(self.intake(equal_files=equal_files), [one])
        assert self.used(after) == {"dog/twin.jpg": "dog"}

    def test_a_drop_leaves_equal_copies_in_the_same_class(self) -> None:
        copies = [photo(f"cat/{name}.jpg", "s1", "p") for name in ("a", "b", "c")]
        after = apply_corrections(
            Intake([*copies, photo("dog/1.jpg", "s2")], []),
            [Correction("drop", "cat/b.jpg", "s1", "cat", "")],
        )
        assert [one.path for one in after.photos] == ["cat/a.jpg", "cat/c.jpg", "dog/1.jpg"]

    def test_a_drop_follows_a_photo_that_was_renamed(self) -> None:
        moved = Intake([photo("cat/new.jpg", "s1"), photo("dog/1.jpg", "s2")], [])
        after = apply_corrections(moved, [Correction("drop", "cat/old.jpg", "s1", "cat", "")])
        assert [one.path for one in after.photos] == ["dog/1.jpg"]

    @pytest.mark.parametrize("code", ["duplicate", "label-conflict", "leak"])
    def test_a_copy_that_was_dropped_and_deleted_leaves_the_other(self, code: str) -> None:
        left = Intake([photo("cat/copy.jpg", "s1"), photo("dog/1.jpg", "s2")], [])
        drop = Correction("drop", "cat/twin.jpg", "s1", "cat", "", reason=f"{code} 1.00: equal")
        after = apply_corrections(left, [drop])
        assert [one.path for one in after.photos] == ["cat/copy.jpg", "dog/1.jpg"]

    def test_both_copies_can_be_dropped(self) -> None:
        both = [
            Correction("drop", "cat/twin.jpg", "s1", "cat", ""),
            Correction("drop", "dog/twin.jpg", "s1", "dog", ""),
        ]
        after = apply_corrections(self.intake(equal_files=True), both)
        assert not [one.path for one in after.photos if "twin" in one.path]

    def test_two_decisions_that_disagree_settle_nothing(self) -> None:
        both = [
            Correction("keep", "cat/twin.jpg", "s1", "cat", ""),
            Correction("keep", "dog/twin.jpg", "s1", "dog", ""),
        ]
        assert self.used(apply_corrections(self.intake(equal_files=True), both)) == {}

    def test_a_confirmed_photo_that_moved_since_stays_where_it_is(self) -> None:
        moved = Intake([photo("dog/1.jpg", "s1")], [])
        after = apply_corrections(moved, [Correction("keep", "cat/1.jpg", "s1", "cat", "")])
        assert labels(after) == {"dog/1.jpg": "dog"}
