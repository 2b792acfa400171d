"""Going through findings: order, decisions, what is left, and when it stops paying off."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import SHAPES, draw_photo
from pegboard.audit.findings import Finding, write_findings
from pegboard.corrections import read_corrections
from pegboard.errors import PegboardError
from pegboard.evaluate import Predictions
from pegboard.evidence import Neighbour
from pegboard.images import to_pixels
from pegboard.manifest import read_manifest
from pegboard.review import pages
from pegboard.review.cases import cell_findings, parse_cell, queue_of
from pegboard.review.nearby import Arriving, ByFeatures, KeptNeighbours, Samples
from pegboard.review.opening import Opened, open_review
from pegboard.review.payoff import RARE, WINDOW, payoff
from pegboard.review.session import Refused
from pegboard.review.together import merge_files
from pegboard.runs import RunFolder
from review_folders import PAIR, SUSPECTS, open_folder, suspects, write_photos
from run_folders import make_run

LABELS: dict[str, str | None] = {
    "a/1": "a", "a/2": "a", "a/3": "a", "b/1": "b", "b/2": "b", "x": None,
}  # fmt: skip


def found(path: str, code: str, score: float = 0.9, **more: str) -> Finding:
    return Finding(path, code, "warning", score, **more)


class TestQueue:
    def order(self, *findings: Finding) -> list[str]:
        return [case.path for case in queue_of(findings, LABELS, ("a", "b")).cases]

    def test_sure_and_costly_problems_come_first_then_the_surest(self) -> None:
        assert self.order(
            found("a/1", "dark", 1.0),
            found("b/1", "label-suspect", 0.7),
            found("b/2", "label-suspect", 0.8),
            found("a/2", "label-conflict", 1.0, other_path="gone"),
            found("a/3", "near-duplicate", 1.0, other_path="a/1"),
        ) == ["a/2", "b/2", "b/1", "a/3", "a/1"]

    def test_a_photo_is_looked_at_once_with_all_that_was_found(self) -> None:
        queue = queue_of(
            [found("a/1", "dark"), found("a/1", "label-suspect", suggestion="b")],
            LABELS,
            ("a", "b"),
        )
        (case,) = queue.cases
        assert [one.code for one in case.findings] == ["label-suspect", "dark"]
        assert (case.kind, case.label, case.suggestion) == ("label-suspect", "a", "b")

    def test_a_photo_under_two_labels_is_asked_about_from_both_sides(self) -> None:
        queue = queue_of(
            [found("a/1", "label-conflict", 1.0, other_path="b/1")], LABELS, ("a", "b")
        )
        assert [(one.path, one.suggestion, one.others) for one in queue.cases] == [
            ("a/1", "b", ("b/1",)), ("b/1", "a", ("a/1",)),
        ]  # fmt: skip

    def test_what_no_decision_about_a_photo_settles_is_counted(self) -> None:
        queue = queue_of(
            [
                found("a/", "rare-class"),
                found("a/9", "label-suspect"),
                Finding("a/1", "label-suspect", "info", 0.1),
            ],
            LABELS,
            ("a", "b"),
        )
        assert queue.cases == ()
        assert (queue.missing, queue.elsewhere) == (1, {"rare-class": 1})

    def test_a_suggestion_that_is_no_class_is_none(self) -> None:
        queue = queue_of([found("a/1", "outlier", suggestion="drop it")], LABELS, ("a", "b"))
        assert queue.cases[0].suggestion == ""


class TestCells:
    answers = Predictions(
        paths=["1", "2", "3", "4"],
        labels=np.array([0, 0, 1, 0]),
        probabilities=np.array([[0.1, 0.9], [0.4, 0.6], [0.2, 0.8], [0.9, 0.1]]),
        classes=["a,b", "c"],
        groups=["1", "2", "3", "4"],
    )

    def test_a_cell_holds_its_photos_surest_first(self) -> None:
        findings = cell_findings("cnn", [self.answers], ("a,b", "c"))
        assert [(one.path, one.score, one.suggestion) for one in findings] == [
            ("1", 0.9, "c"), ("2", 0.6, "c"),
        ]  # fmt: skip
        assert findings[0].explanation == "cnn says c, 90% sure"

    def test_a_cell_of_right_answers_suggests_nothing(self) -> None:
        (one,) = cell_findings("cnn", [self.answers], ("c", "c"))
        assert (one.path, one.suggestion) == ("3", "")
        assert one.score == pytest.approx(0.2)

    def test_without_a_cell_all_mistakes_are_looked_at(self) -> None:
        assert [one.path for one in cell_findings("cnn", [self.answers])] == ["1", "2"]

    def test_a_class_may_hold_a_comma(self) -> None:
        assert parse_cell("a,b,c", ["a,b", "c"]) == ("a,b", "c")
        assert parse_cell("c,a,b", ["a,b", "c"]) == ("c", "a,b")
        with pytest.raises(PegboardError, match="two of the classes a,b, c; found 'a,c'"):
            parse_cell("a,c", ["a,b", "c"])


class TestPayoff:
    def test_it_stops_paying_off_when_hardly_any_changes(self) -> None:
        assert not payoff([True] * 5 + [False] * 15, 9).is_spent
        assert payoff([True] * 40 + [False] * 19 + [True], 9).is_spent
        assert not payoff([False] * (WINDOW - 1), 9).is_spent

    @given(st.lists(st.booleans(), max_size=50), st.integers(1, 9))
    @settings(deadline=None, max_examples=50)
    def test_the_interval_holds_the_share_of_the_last(self, made: list[bool], left: int) -> None:
        found = payoff(made, left)
        last = made[-WINDOW:]
        share = sum(last) / len(last) if last else 0
        assert 0 <= found.low <= share + 1e-9
        assert share <= found.high + 1e-9
        assert found.is_spent <= (share <= RARE)

    def test_it_is_said_in_words(self) -> None:
        assert payoff([], 7).in_words().startswith("7 of this kind are left")
        assert payoff([False] * 20, 7).in_words() == (
            "Of the last 20 decisions 0 changed something (0%, 95 % interval 0% to 16%). "
            "More of this kind hardly pays off; 7 are left."
        )
        assert payoff([True] * 12, 7).in_words().endswith("going on pays off. 7 are left.")
        assert payoff([True], 0).in_words() == "None of this kind is left."


class TestNearby:
    labels = dict.fromkeys(("a/1", "a/2", "a/3"), "a") | dict.fromkeys(("b/1", "b/2"), "b")
    features = np.array([[1, 0], [1, 0], [1, 0.5], [0, 1], [0.9, 1]], dtype=np.float32)

    def test_the_nearest_of_a_class_without_the_photo_and_its_copies(self) -> None:
        near = ByFeatures(list(self.labels), list(self.labels.values()), self.features)
        assert [one.path for one in near.of("a/1", "a", 4)] == ["a/3"]
        found = near.of("a/1", "b", 4)
        assert [one.path for one in found] == ["b/2", "b/1"]
        cosines = self.features[3:] @ self.features[0] / np.linalg.norm(self.features[3:], axis=1)
        assert [one.similarity for one in found] == pytest.approx(sorted(cosines)[::-1])
        assert near.of("nowhere", "a", 2) == []

    def test_without_features_photos_of_the_class_are_shown(self) -> None:
        near = Samples(self.labels)
        assert [one.path for one in near.of("a/2", "a", 2)] == ["a/1", "a/3"]
        assert near.of("a/2", "nothing", 2) == []

    def test_what_a_run_kept_comes_first(self) -> None:
        kept = {"a/1": [Neighbour("b/2", "b", 0.9), Neighbour("a/3", "a", 0.8)]}
        near = KeptNeighbours(kept, "by features", Samples(self.labels))
        assert [(one.path, one.similarity) for one in near.of("a/1", "a", 2)] == [
            ("a/3", 0.8), ("a/2", None),
        ]  # fmt: skip

    def test_a_better_way_replaces_the_first_when_it_is_ready(self) -> None:
        better = ByFeatures(list(self.labels), list(self.labels.values()), self.features)
        arriving = Arriving(Samples(self.labels), lambda: better)
        arriving.wait(10)
        assert arriving.words == better.words
        assert [one.path for one in arriving.of("a/1", "a", 4)] == ["a/3"]

    def test_one_that_cannot_be_had_changes_nothing(self) -> None:
        def fail() -> None:
            raise PegboardError("no weights")

        arriving = Arriving(Samples(self.labels), fail)
        arriving.wait(10)
        assert arriving.words == Samples.words


class TestDeciding:
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        return open_folder(tmp_path)

    def lines(self, opened: Opened) -> list[tuple[str, str, str, str]]:
        made = read_corrections(opened.review.log.path)
        return [(one.action, one.path, one.label_before, one.label_after) for one in made]

    def test_every_decision_is_a_line(self, opened: Opened) -> None:
        review = opened.review
        assert len(review.queue.cases) == SUSPECTS + 1
        review.decide(0, "accept")
        review.decide(1, "keep")
        review.decide(2, "relabel", "cross")
        review.decide(3, "drop")
        review.decide(SUSPECTS, "same-object")
        assert self.lines(opened) == [
            ("accept", "disc/000.jpg", "disc", "square"),
            ("keep", "disc/001.jpg", "disc", ""),
            ("relabel", "disc/002.jpg", "disc", "cross"),
            ("drop", "disc/003.jpg", "disc", ""),
            ("same-object", "cross/000.jpg", "cross", ""),
        ]
        made = read_corrections(review.log.path)
        assert made[0].reason == "label-suspect 0.98: a probe says square"
        assert made[4].reason == "cross/001.jpg"
        assert review.open_numbers() == [4, 5]
        assert review.decisions == 5

    def test_relabelling_to_the_class_it_has_is_keeping_it(self, opened: Opened) -> None:
        opened.review.decide(0, "relabel", " disc ")
        assert self.lines(opened) == [("keep", "disc/000.jpg", "disc", "")]

    @pytest.mark.parametrize(
        ("number", "action", "label", "new", "says"),
        [
            (SUSPECTS, "accept", "", False, "no class is suggested"),
            (0, "same-object", "", False, "no other photo"),
            (0, "drop-other", "", False, "no other photo"),
            (0, "relabel", "", False, "no class was named"),
            (0, "relabel", "circle", False, "'circle' is not a class here"),
            (0, "relabel", "../../etc", True, "no slashes"),
            (0, "relabel", "x" * 101, True, "up to 100 letters"),
            (0, "relabel", "a\nb", True, "letters, digits and signs"),
            (0, "delete", "", False, "'delete' is no decision"),
            (99, "keep", "", False, "none has number 100"),
            (-1, "keep", "", False, "none has number 0"),
        ],
    )
    def test_what_makes_no_sense_is_refused_and_not_written(
        self, opened: Opened, number: int, action: str, label: str, new: bool, says: str
    ) -> None:
        with pytest.raises(Refused, match=says):
            opened.review.decide(number, action, label, new=new)
        assert not opened.review.log.path.exists()

    def test_a_new_class_can_be_given_and_is_offered_from_then_on(self, opened: Opened) -> None:
        assert opened.review.classes == sorted(SHAPES)
        opened.review.decide(0, "relabel", "ring", new=True)
        assert opened.review.classes == sorted([*SHAPES, "ring"])
        opened.review.decide(1, "relabel", "ring")
        assert [line[3] for line in self.lines(opened)] == ["ring", "ring"]

    def test_dropping_the_other_settles_the_pair(self, opened: Opened) -> None:
        opened.review.decide(SUSPECTS, "drop-other")
        assert self.lines(opened) == [("drop", "cross/001.jpg", "cross", "")]
        assert opened.review.states()[SUSPECTS] == "settled"
        assert opened.review.undo().number == 0
        assert opened.review.states()[SUSPECTS] == "open"

    def test_dropping_the_other_counts_as_a_change(self, tmp_path: Path) -> None:
        pairs = [replace(PAIR, path=f"cross/00{n}.jpg", other_path="cross/007.jpg") for n in (0, 1)]
        pairs.append(replace(PAIR, path="cross/002.jpg", other_path="cross/006.jpg"))
        review = open_folder(tmp_path, pairs).review
        review.decide(0, "drop-other")
        review.decide(2, "keep")
        pay = review.payoff("near-duplicate")
        assert (pay.decided, pay.changed, pay.left) == (2, 1, 0)

    def test_one_answer_about_two_labels_is_enough(self, tmp_path: Path) -> None:
        pair = Finding("disc/000.jpg", "label-conflict", "error", 1.0, "", "square/000.jpg")
        copy = replace(pair, code="duplicate", severity="warning")
        review = open_folder(tmp_path, [pair, copy]).review
        assert [case.path for case in review.queue.cases] == ["disc/000.jpg", "square/000.jpg"]
        review.decide(0, "accept")
        assert review.states() == ["decided", "settled"]
        review.undo()
        review.decide(1, "drop")
        assert review.states() == ["settled", "decided"]

    def test_undo_opens_the_case_again(self, opened: Opened) -> None:
        review = opened.review
        review.decide(2, "drop")
        assert review.label("disc/002.jpg") is None
        done = review.undo()
        assert (done.number, done.words) == (2, "Taken back: drop, disc/002.jpg.")
        assert review.label("disc/002.jpg") == "disc"
        assert review.states()[2] == "open"
        with pytest.raises(Refused, match="no decision of ann to take back"):
            review.undo()

    def test_accepting_several_is_one_decision(self, opened: Opened) -> None:
        review = opened.review
        assert review.accept_all([0, 2, 4]).words == "3 suggestions accepted."
        assert review.open_numbers() == [1, 3, 5, 6]
        assert len({one.time for one in read_corrections(review.log.path)}) == 1
        review.undo()
        assert review.open_numbers() == list(range(SUSPECTS + 1))

    def test_several_are_accepted_together_or_not_at_all(self, opened: Opened) -> None:
        review = opened.review
        review.decide(2, "keep")
        with pytest.raises(Refused, match="photo 3 has been decided since the preview"):
            review.accept_all([1, 2])
        with pytest.raises(Refused, match="no class is suggested"):
            review.accept_all([1, SUSPECTS])
        with pytest.raises(Refused, match="no photo was chosen"):
            review.accept_all([])
        assert len(read_corrections(review.log.path)) == 1

    def test_what_another_reviewer_decided_since_the_preview_is_not_overridden(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        assert opened.review.open_numbers()
        open_folder(tmp_path, reviewer="ben").review.decide(2, "keep")
        with pytest.raises(Refused, match="photo 3 has been decided since the preview"):
            opened.review.accept_all([1, 2])
        assert [one[0] for one in self.lines(opened)] == ["keep"]

    def test_a_session_goes_on_where_the_last_one_stopped(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        opened.review.decide(0, "accept")
        again = open_folder(tmp_path, reviewer="ben").review
        assert again.next_open(-1) == 1
        again.decide(1, "keep")
        opened.review.refresh()
        assert opened.review.states()[1] == "decided"

    def test_a_photo_that_is_gone_cannot_be_decided_about(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        (tmp_path / "photos/disc/000.jpg").unlink()
        with pytest.raises(Refused, match=r"disc/000\.jpg cannot be read any more"):
            opened.review.decide(0, "accept")

    def test_the_time_left_is_the_reviewers_own(self, tmp_path: Path) -> None:
        now = iter([0.0, 5.0, 10.0, 1000.0, 1005.0, 1012.0])
        review = open_folder(tmp_path).review
        review._clock = lambda: next(now)
        for number in range(5):
            review.decide(number, "keep")
        assert review.seconds_left() is None
        review.decide(5, "keep")
        assert review.seconds_left() == 5.0  # the pause is not counted; one photo is left

    def test_photos_are_never_changed(self, opened: Opened, tmp_path: Path) -> None:
        before = {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in (tmp_path / "photos").rglob("*")
            if path.is_file()
        }
        opened.review.decide(0, "drop")
        opened.review.decide(1, "relabel", "ring", new=True)
        opened.review.undo()
        opened.review.gallery.shot(3, "large")
        after = {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in (tmp_path / "photos").rglob("*")
            if path.is_file()
        }
        assert before == after


class TestGallery:
    def test_a_picture_is_smaller_and_tells_nothing_of_its_file(self, tmp_path: Path) -> None:
        review = open_folder(tmp_path).review
        original = (tmp_path / "photos/disc/000.jpg").read_bytes()
        assert b"SECRET-CAMERA" in original
        number = review.gallery.number("disc/000.jpg")
        assert number is not None
        shot = review.gallery.shot(number, "large")
        assert b"SECRET-CAMERA" not in shot.data
        assert shot.data[8:12] == b"WEBP"
        assert (shot.width, shot.height, shot.file_bytes) == (96, 80, len(original))
        assert to_pixels(shot.data).shape[:2] == (80, 96)
        assert review.gallery.shot(number, "large") is shot

    def test_only_its_own_photos_have_numbers(self, tmp_path: Path) -> None:
        gallery = open_folder(tmp_path).review.gallery
        assert gallery.number("../../etc/passwd") is None
        for number in (-1, len(gallery.paths)):
            with pytest.raises(LookupError):
                gallery.shot(number, "small")
        with pytest.raises(LookupError):
            gallery.shot(0, "huge")


class TestOpening:
    def test_no_findings_yet(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_photos(tmp_path / "photos")
        with pytest.raises(PegboardError, match="make them with `pegboard check photos`"):
            open_review("photos")

    def test_nothing_to_go_through(self, tmp_path: Path) -> None:
        with pytest.raises(PegboardError, match="nothing to go through"):
            open_folder(tmp_path, [Finding("disc/000.jpg", "label-suspect", "info", 0.1)])

    def test_a_cell_needs_a_run(self, tmp_path: Path) -> None:
        write_photos(tmp_path / "photos")
        with pytest.raises(PegboardError, match="--cell needs a run folder"):
            open_review(str(tmp_path / "photos"), cell="disc,square")

    def test_notes_tell_what_is_not_shown(self, tmp_path: Path) -> None:
        findings = [*suspects(1), found("disc/999.jpg", "dark"), found("x.txt", "unreadable")]
        notes = open_folder(tmp_path, findings).notes
        assert notes[0].startswith("1 findings name photos that are not there any more")
        assert notes[1].endswith("1 unreadable")

    def test_a_photo_folder_without_classes_can_be_gone_through(self, tmp_path: Path) -> None:
        write_photos(tmp_path / "photos")
        (tmp_path / "photos/disc").rename(tmp_path / "flat")
        (tmp_path / "found").mkdir()
        write_findings(tmp_path / "found/findings.csv", [found("000.jpg", "dark")])
        review = open_review(str(tmp_path / "flat"), findings=tmp_path / "found").review
        assert review.classes == []
        with pytest.raises(Refused, match="no classes"):
            review.decide(0, "relabel", "x", new=True)
        review.decide(0, "drop")
        assert "Another class" not in pages.render(
            "case.html.j2", pages.case_page(review, 0, "token")
        )

    def test_the_next_command_can_be_typed(self, tmp_path: Path) -> None:
        folder = tmp_path / "my tools"
        folder.mkdir()
        opened = open_folder(folder)
        assert opened.next_commands[0] == (
            f"pegboard compare '{folder}/photos' --corrections '{folder}/found/corrections.csv'"
        )


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run folder whose photos are there."""
    base = tmp_path_factory.mktemp("run")
    make_run(base / "out", classes=sorted(SHAPES), per_class=20, models={"lm": 1.3}, draws=20)
    folder = RunFolder(base / "out")
    rng = np.random.default_rng(0)
    for row in read_manifest(folder.manifest):
        path = base / "photos" / row.path
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_photo(row.label, rng).save(path)
    data = json.loads(folder.run.read_text())
    data["source"] = {"name": "photos", "location": str(base / "photos")}
    data["settings"]["corrections"] = str(base / "earlier.csv")
    folder.run.write_text(json.dumps(data))
    return folder


class TestRuns:
    def mistakes(self, folder: RunFolder) -> Counter[tuple[str, str]]:
        rows = list(csv.DictReader(folder.model("lm").predictions.open()))
        return Counter(
            (row["label"], row["predicted"]) for row in rows if row["label"] != row["predicted"]
        )

    def test_all_mistakes_of_the_best_model_can_be_gone_through(
        self, run_folder: RunFolder
    ) -> None:
        opened = open_review(str(run_folder.path), reviewer="ann")
        found = Counter((case.label, case.suggestion) for case in opened.review.queue.cases)
        assert found == self.mistakes(run_folder)
        assert opened.review.log.path == run_folder.path / "corrections.csv"
        scores = [case.score for case in opened.review.queue.cases]
        assert scores == sorted(scores, reverse=True)

    def test_one_cell_can_be_gone_through_and_decided(self, run_folder: RunFolder) -> None:
        ((true, predicted), count), *_ = self.mistakes(run_folder).most_common()
        cell = f"{true},{predicted}"
        review = open_review(str(run_folder.path), cell=cell, reviewer="ann").review
        assert len(review.queue.cases) == count
        page = pages.case_page(review, 0, "token")
        assert page.label == true
        assert page.suggestion == predicted
        assert "lm says" in page.reasons[0]
        review.decide(0, "accept")
        (line,) = read_corrections(run_folder.path / "corrections.csv")
        photo = run_folder.path.parent / "photos" / line.path
        assert line.sha256 == hashlib.sha256(photo.read_bytes()).hexdigest()
        review.log.path.unlink()

    def test_a_cell_without_photos_is_told(self, run_folder: RunFolder) -> None:
        others = {(a, b) for a in SHAPES for b in SHAPES if a != b} - self.mistakes(
            run_folder
        ).keys()
        for cell in others:
            with pytest.raises(PegboardError, match="nothing to go through; name another cell"):
                open_review(str(run_folder.path), cell=",".join(cell))
        assert others
        with pytest.raises(PegboardError, match="two of the classes cross, disc, square"):
            open_review(str(run_folder.path), cell="disc,moon")

    def test_corrections_of_the_run_itself_are_pointed_out(self, run_folder: RunFolder) -> None:
        (note,) = open_review(str(run_folder.path)).notes
        assert "this run was made with the corrections" in note
        assert "pegboard review --merge" in note

    def test_the_next_command_reads_the_photos_as_the_run_did(
        self, run_folder: RunFolder, tmp_path: Path
    ) -> None:
        copy = RunFolder(tmp_path / "copy")
        shutil.copytree(run_folder.path, copy.path)
        data = json.loads(copy.run.read_text())
        data["settings"] |= {
            "merge": {"round": "disc"}, "exclude_class": ["odd one"], "label_column": "kind",
        }  # fmt: skip
        copy.run.write_text(json.dumps(data))
        for command in open_review(str(copy.path)).next_commands:
            read_so = "--label-column kind --merge round=disc --exclude-class 'odd one'"
            assert f" {read_so} --corrections " in command

    def test_photos_that_have_moved_are_told(self, run_folder: RunFolder, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(run_folder.path, copy)
        text = (copy / "run.json").read_text().replace("/photos", "/gone")
        (copy / "run.json").write_text(text)
        with pytest.raises(PegboardError, match=r"the photos of .*copy cannot be opened"):
            open_review(str(copy))


class TestPages:
    def test_names_are_escaped_whatever_they_hold(self, tmp_path: Path) -> None:
        write_photos(tmp_path / "photos")
        evil = "<script>alert(1)</script>"
        (tmp_path / "photos/disc").rename(tmp_path / "photos" / evil.replace("/", "|"))
        folder = evil.replace("/", "|")
        finding = Finding(
            f"{folder}/000.jpg", "label-suspect", "warning", 0.9, "square", explanation=evil
        )
        review = open_folder(tmp_path, [finding]).review
        page = pages.render("case.html.j2", pages.case_page(review, 0, "token"))
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page

    def test_neighbours_are_examples_of_their_class(self, tmp_path: Path) -> None:
        review = open_folder(tmp_path).review
        page = pages.case_page(review, 0, "token")
        titles = [row.title for row in page.rows]
        assert titles == ["square (suggested)", "disc (the class now)"]
        doubtful = {f"disc/{index:03d}.jpg" for index in range(SUSPECTS)}
        assert {picture.path for picture in page.rows[1].pictures} == {
            "disc/006.jpg", "disc/007.jpg",
        }  # fmt: skip
        assert not doubtful & {picture.path for row in page.rows for picture in row.pictures}

    def test_of_two_labels_one_is_kept_and_of_two_copies_both(self, tmp_path: Path) -> None:
        conflict = Finding("disc/000.jpg", "label-conflict", "error", 1.0, "", "square/000.jpg")
        review = open_folder(tmp_path, [conflict, PAIR]).review
        shown = [
            pages.render("case.html.j2", pages.case_page(review, number, "token"))
            for number in range(3)
        ]
        kept = [page.partition('value="keep"')[2].partition(">")[2].split("<")[0] for page in shown]
        assert [words.strip() for words in kept] == ["Keep: disc", "Keep: square", "Keep both"]

    def test_when_a_kind_is_spent_the_next_one_is_offered(self, tmp_path: Path) -> None:
        photos = write_photos(tmp_path / "photos", per_class=30)
        many = [
            Finding(f"square/{index:03d}.jpg", "label-suspect", "warning", 0.8, "disc")
            for index in range(25)
        ]
        review = open_folder(photos.parent, [*many, PAIR]).review
        for number in range(20):
            review.decide(number, "keep")
        page = pages.case_page(review, 20, "token")
        assert page.is_spent
        assert page.next_kind is not None
        assert page.next_kind.code == "near-duplicate"
        text = pages.render("case.html.j2", page)
        assert "More of this kind hardly pays off; 5 are left." in text
        assert "Go on with: Near duplicates" in text


class TestMergingFiles:
    def test_conflicts_become_findings_to_review(self, tmp_path: Path) -> None:
        for name in ("ann", "ben"):
            opened = open_folder(tmp_path, reviewer=name)
            review = opened.review
            review.decide(0, "accept")
            review.decide(1, "keep" if name == "ann" else "accept")
            review.log.path.rename(tmp_path / f"{name}.csv")
        out = tmp_path / "both.csv"
        together = merge_files([tmp_path / "ann.csv", tmp_path / "ben.csv"], out)
        assert [one.path for one in read_corrections(out)] == ["disc/000.jpg"]
        data = json.loads(json.dumps(together.to_json()))
        assert [one["path"] for one in data["conflicts"]] == ["disc/001.jpg"]
        assert "conflict: disc/001.jpg: ann: disc; ben: square" in together.lines()
        assert together.findings is not None
        again = open_review(
            str(tmp_path / "photos"),
            findings=together.findings,
            corrections=out,
            reviewer="cleo",
        ).review
        (case,) = again.queue.cases
        assert (case.path, case.suggestion) == ("disc/001.jpg", "square")
        assert pages.case_page(again, 0, "t").question.startswith("Reviewers do not agree")
        again.decide(0, "accept")
        assert [one.reviewer for one in read_corrections(out)] == ["ann", "cleo"]

    def test_nothing_is_written_over(self, tmp_path: Path) -> None:
        opened = open_folder(tmp_path)
        opened.review.decide(0, "keep")
        log = opened.review.log.path
        with pytest.raises(PegboardError, match="is there already"):
            merge_files([log, log], log)

    def test_a_folder_that_is_missing_is_told_before_anything_is_read(self, tmp_path: Path) -> None:
        out = tmp_path / "none" / "both.csv"
        with pytest.raises(PegboardError, match=r"both\.csv: there is no folder .*none; make it"):
            merge_files([tmp_path / "a.csv", tmp_path / "b.csv"], out)
        assert list(tmp_path.iterdir()) == []


def test_findings_of_a_pair_keep_their_place() -> None:
    one = replace(PAIR, code="leak")
    queue = queue_of([one], {"cross/000.jpg": "cross", "cross/001.jpg": "cross"}, ("cross",))
    assert queue.cases[0].others == ("cross/001.jpg",)
