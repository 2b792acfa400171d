"""`pegboard check`: what it finds in a folder of known faults, what it writes, how it ends."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import draw_photo
from pegboard.audit.codes import CODES, NAMES
from pegboard.audit.findings import Finding, read_findings, write_findings
from pegboard.audit.folder import CheckFolder
from pegboard.checking import Checked, CheckSettings, check_source, codes_to_fail_on
from pegboard.cli import run
from pegboard.errors import PegboardError, RunFolderError, SourceError
from pegboard.examples import write_tool_photos

QUICK = ("unreadable", "not-an-image", "wrong-extension", "dark", "imbalance", "leak")


@pytest.fixture(scope="module")
def untidy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, str]]]:
    """Untidy photos of tools, and by path what is true of each."""
    base = tmp_path_factory.mktemp("check")
    folder = write_tool_photos(base / "tools", per_class=12, size=160, truth=base / "truth.csv")
    with (base / "truth.csv").open(newline="") as file:
        return folder, {row["path"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def checked(untidy, tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """The untidy photos, checked without a cache of anything."""
    out = tmp_path_factory.mktemp("checked") / "pegboard-check"
    return check_source(CheckSettings(str(untidy[0]), out=out, threads=1))


def paths_of(checked: Checked, code: str) -> set[str]:
    return {one.path for one in checked.counted if one.code == code}


def pairs_of(checked: Checked, code: str) -> set[frozenset[str]]:
    return {frozenset((one.path, one.other_path)) for one in checked.counted if one.code == code}


class TestKnownFaults:
    """Against the list of faults that the drawn folder was given."""

    def test_unreadable_files(self, checked: Checked, untidy) -> None:
        broken = {path for path, row in untidy[1].items() if row["what"] in ("truncated", "empty")}
        assert paths_of(checked, "unreadable") == broken

    def test_notes_are_noted_and_not_counted(self, checked: Checked, untidy) -> None:
        notes = {path for path, row in untidy[1].items() if row["what"] == "not-an-image"}
        found = [one for one in checked.findings if one.code == "not-an-image"]
        assert {one.path for one in found} == notes
        assert {one.severity for one in found} == {"info"}

    def test_endings_that_lie(self, checked: Checked, untidy) -> None:
        misnamed = {
            path
            for path in untidy[1]
            if path.lower().endswith((".jpg", ".jpeg"))
            and (untidy[0] / path).read_bytes().startswith(b"\x89PNG")
        }
        assert misnamed
        assert paths_of(checked, "wrong-extension") == misnamed

    def test_copies(self, checked: Checked, untidy) -> None:
        made = {
            frozenset((path, row["other_path"]))
            for path, row in untidy[1].items()
            if row["what"] in ("copy", "two-labels")
        }
        assert pairs_of(checked, "duplicate") == made

    def test_one_photo_under_two_labels(self, checked: Checked, untidy) -> None:
        made = {
            frozenset((path, row["other_path"]))
            for path, row in untidy[1].items()
            if row["what"] == "two-labels"
        }
        assert pairs_of(checked, "label-conflict") == made

    def test_second_shots(self, checked: Checked, untidy) -> None:
        made = {
            frozenset((path, row["other_path"]))
            for path, row in untidy[1].items()
            if row["what"] == "second-shot"
        }
        found = pairs_of(checked, "near-duplicate")
        assert len(found & made) >= 0.9 * len(made)

    def test_class_names(self, checked: Checked) -> None:
        (variant,) = [one for one in checked.counted if one.code == "class-name-variant"]
        assert (variant.path, variant.suggestion) == ("Pliers/", "Pliers=pliers")

    def test_rare_classes(self, checked: Checked) -> None:
        errors = [
            one.path
            for one in checked.counted
            if (one.code, one.severity) == ("rare-class", "error")
        ]
        assert errors == ["to sort/"]

    def test_an_even_folder_has_no_uneven_class(self, tmp_path: Path) -> None:
        folder = write_tool_photos(tmp_path / "tools", per_class=4, untidy=False, size=80)
        found = check_source(CheckSettings(str(folder), out=tmp_path / "out", threads=1))
        assert not paths_of(found, "imbalance")
        assert not paths_of(found, "class-name-variant")

    def test_a_small_class_is_uneven(self, photo_folder, tmp_path: Path) -> None:
        folder = photo_folder(per_class=12)
        for path in sorted((folder / "cross").iterdir())[3:]:
            path.unlink()
        found = check_source(CheckSettings(str(folder), out=tmp_path / "out", threads=1))
        assert paths_of(found, "imbalance") == {"cross/"}


class TestOutcomes:
    def test_every_code_has_one(self, checked: Checked) -> None:
        codes = [outcome.code for outcome in checked.record.outcomes]
        assert len(codes) == len(set(codes))
        assert set(codes) <= set(NAMES)

    def test_counts_are_those_of_the_findings(self, checked: Checked) -> None:
        for outcome in checked.record.outcomes:
            count = sum(one.code == outcome.code for one in checked.counted)
            assert outcome.count == count
            assert (outcome.state == "found") == (count > 0)
            assert outcome.why or outcome.state != "not-applicable"

    def test_every_code_is_explained(self) -> None:
        for code in CODES:
            assert code.title
            assert code.meaning.endswith(".")
            assert code.advice.endswith(".")

    def test_thresholds_are_kept(self, checked: Checked) -> None:
        assert checked.record.thresholds["dark"]["blurry"] == 0.4

    def test_everything_met_is_counted(self, checked: Checked, untidy) -> None:
        record = checked.record
        files = sum(path.is_file() for path in untidy[0].rglob("*"))
        assert record.found == files == record.used + sum(record.left_out.values())


class TestSources:
    def test_without_classes(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        (tmp_path / "photos").mkdir()
        for number in range(6):
            draw_photo("disc", rng).save(tmp_path / "photos" / f"{number}.png")
        shutil.copy(tmp_path / "photos" / "0.png", tmp_path / "photos" / "copy.png")
        found = check_source(
            CheckSettings(str(tmp_path / "photos"), out=tmp_path / "out", threads=1)
        )
        assert found.record.used == 7
        assert found.record.classes == {}
        assert pairs_of(found, "duplicate") == {frozenset(("0.png", "copy.png"))}
        states = {one.code: one.state for one in found.record.outcomes}
        for code in ("label-conflict", "imbalance", "class-name-variant", "shortcut"):
            assert states[code] == "not-applicable"
        assert states["unreadable"] == "clean"

    def test_one_class_is_none(self, photo_folder, tmp_path: Path) -> None:
        folder = photo_folder(per_class=4, classes=("disc",))
        found = check_source(CheckSettings(str(folder), out=tmp_path / "out", threads=1))
        assert found.record.used == 4
        assert found.record.classes == {}

    def test_no_photo_can_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "photos" / "a").mkdir(parents=True)
        (tmp_path / "photos" / "a" / "1.jpg").write_bytes(b"nothing")
        found = check_source(
            CheckSettings(str(tmp_path / "photos"), out=tmp_path / "out", threads=1)
        )
        assert found.record.used == 0
        assert [one.code for one in found.counted] == ["not-an-image"]

    def test_an_empty_folder_is_a_mistake(self, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        with pytest.raises(SourceError, match="empty"):
            check_source(CheckSettings(str(tmp_path / "photos"), out=tmp_path / "out"))
        assert not (tmp_path / "out").exists()

    def test_findings_are_no_photos(self, checked: Checked, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="pegboard review"):
            check_source(CheckSettings(str(checked.folder.path), out=tmp_path / "out"))

    def test_given_splits_that_leak(self, photo_folder, tmp_path: Path) -> None:
        folder = photo_folder(per_class=6)
        tree = tmp_path / "tree"
        for split in ("train", "test"):
            shutil.copytree(folder, tree / split)
        for file in sorted((tree / "test").glob("*/*"))[1:]:
            draw_photo("disc", np.random.default_rng(hash(file.name) % 999)).save(file)
        found = check_source(CheckSettings(str(tree), out=tmp_path / "out", threads=1))
        leaks = [one for one in found.counted if one.code == "leak"]
        kept = sorted((tree / "test").glob("*/*"))[0].relative_to(tree).as_posix()
        assert any(kept in (one.path, one.other_path) for one in leaks)
        assert {one.severity for one in leaks} == {"error"}

    def test_a_table_that_contradicts_itself(self, photo_folder, tmp_path: Path) -> None:
        folder = photo_folder(per_class=4)
        paths = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))
        rows = [f"{path},{path.split('/')[0]}" for path in paths]
        (folder / "photos.csv").write_text(
            "\n".join(["path,label", *rows, f"{paths[0]},other"]) + "\n"
        )
        found = check_source(
            CheckSettings(str(folder / "photos.csv"), out=tmp_path / "out", threads=1)
        )
        assert paths[0] in paths_of(found, "label-conflict")

    def test_corrections_are_applied_first(self, photo_folder, tmp_path: Path) -> None:
        folder = photo_folder(per_class=4)
        shutil.copy(folder / "disc" / "000.jpg", folder / "cross" / "same.jpg")
        wanted = CheckSettings(str(folder), out=tmp_path / "out", threads=1)
        (conflict,) = paths_of(check_source(wanted), "label-conflict")
        assert conflict in ("disc/000.jpg", "cross/same.jpg")
        table = tmp_path / "corrections.csv"
        table.write_text(
            "time,reviewer,action,path,sha256,label_before,label_after,reason\n"
            "2026-01-01T00:00:00Z,me,drop,cross/same.jpg,,,,\n"
        )
        again = check_source(replace(wanted, corrections=table))
        assert not paths_of(again, "label-conflict")
        assert again.record.left_out == {"excluded": 1}

    def test_the_pair_in_the_real_photos(self, data_folder, tmp_path: Path) -> None:
        """A JPEG and a PNG of one pair of pliers, under pliers and wirecutter."""
        root = data_folder("tools15")
        for label, ending in (("pliers", "*"), ("wirecutter", "*.png")):
            (tmp_path / "photos" / label).mkdir(parents=True)
            for file in sorted((root / label).glob(ending)):
                (tmp_path / "photos" / label / file.name).symlink_to(file)
        found = check_source(
            CheckSettings(str(tmp_path / "photos"), out=tmp_path / "out", threads=1)
        )
        conflicts = pairs_of(found, "label-conflict")
        assert any(
            {Path(path).parts[0] for path in pair} == {"pliers", "wirecutter"}
            and {Path(path).suffix for path in pair} == {".jpg", ".png"}
            for pair in conflicts
        )
        assert len(conflicts) <= 3


class TestFolder:
    def test_what_is_written(self, checked: Checked) -> None:
        folder = checked.folder
        names = {file.name for file in folder.path.iterdir()}
        assert names == {
            "findings.csv", "check.json", "report.html", "pictures.zip", "photos.csv"
        }  # fmt: skip
        written = json.dumps(checked.record.to_json())
        assert json.dumps(folder.read().to_json()) == written
        assert [one.code for one in folder.read_findings()] == [
            one.code for one in checked.findings
        ]

    def test_nothing_of_the_users_is_changed(self, photo_folder, tmp_path: Path) -> None:
        folder = photo_folder(per_class=4)

        def state() -> dict[str, tuple[int, bytes]]:
            files = (path for path in folder.rglob("*") if path.is_file())
            return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

        before = state()
        check_source(CheckSettings(str(folder), out=tmp_path / "out", threads=1))
        assert state() == before

    def test_again_replaces_all_but_corrections(self, photo_folder, tmp_path: Path) -> None:
        out = tmp_path / "out"
        folder = photo_folder(per_class=4)
        wanted = CheckSettings(str(folder), out=out, threads=1)
        check_source(wanted)
        first = (out / "findings.csv").read_bytes()
        (out / "corrections.csv").write_text("what people decided")
        (folder / "disc" / "000.jpg").write_bytes(b"gone")
        again = check_source(wanted)
        assert (out / "findings.csv").read_bytes() != first
        assert paths_of(again, "not-an-image") == {"disc/000.jpg"}
        assert (out / "corrections.csv").read_text() == "what people decided"

    def test_a_foreign_folder_is_refused(self, photo_folder, tmp_path: Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "findings.csv").write_text("mine")
        with pytest.raises(RunFolderError, match="nothing in it is touched"):
            check_source(CheckSettings(str(photo_folder(per_class=3)), out=out, overwrite=True))
        assert (out / "findings.csv").read_text() == "mine"
        (tmp_path / "file").write_text("")
        with pytest.raises(RunFolderError, match="is a file"):
            check_source(CheckSettings(str(tmp_path / "photos"), out=tmp_path / "file"))

    def test_corrections_of_another_source_are_not_mixed_up(
        self, photo_folder, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        folder = photo_folder(per_class=3)
        other = shutil.copytree(folder, tmp_path / "other")
        check_source(CheckSettings(str(folder), out=out, threads=1))
        check_source(CheckSettings(str(other), out=out, threads=1))
        (out / "corrections.csv").write_text("what people decided")
        with pytest.raises(RunFolderError, match="corrections made for it"):
            check_source(CheckSettings(str(folder), out=out, threads=1))
        check_source(CheckSettings(str(folder), out=out, overwrite=True, threads=1))
        assert (out / "corrections.csv").read_text() == "what people decided"

    def test_a_check_inside_the_source_is_not_checked(self, photo_folder) -> None:
        folder = photo_folder(per_class=3)
        for _ in range(2):
            found = check_source(CheckSettings(str(folder), out=folder / "found", threads=1))
        assert found.record.used == 9
        assert "pegboard-output" in found.record.left_out

    def test_a_damaged_record_is_told(self, checked: Checked, tmp_path: Path) -> None:
        copy = CheckFolder(shutil.copytree(checked.folder.path, tmp_path / "copy"))
        data = json.loads(copy.record.read_text())
        copy.record.write_text(json.dumps(data | {"format": 99}))
        with pytest.raises(RunFolderError, match="update pegboard"):
            copy.read()
        del data["outcomes"]
        copy.record.write_text(json.dumps(data))
        with pytest.raises(RunFolderError, match="not what pegboard wrote"):
            copy.read()
        with pytest.raises(RunFolderError, match="pegboard check SOURCE"):
            CheckFolder(tmp_path).read()


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


class TestFindings:
    @given(
        st.lists(
            st.builds(
                Finding, TEXTS, TEXTS, st.sampled_from(["error", "warning", "info"]),
                st.floats(0, 1), TEXTS, TEXTS, TEXTS,
            ),
            max_size=4,
        )
    )  # fmt: skip
    @settings(deadline=None, max_examples=60)
    def test_what_is_written_is_read(self, tmp_path_factory, findings: list[Finding]) -> None:
        file = tmp_path_factory.mktemp("findings") / "findings.csv"
        write_findings(file, findings)
        read = read_findings(file)
        for was, now in zip(findings, read, strict=True):
            assert now.score == pytest.approx(was.score, abs=1e-4)
            for name in ("path", "code", "severity", "suggestion", "other_path", "explanation"):
                assert getattr(now, name) == getattr(was, name)

    @pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
    def test_scores_lie_between_0_and_1(self, score: float) -> None:
        with pytest.raises(ValueError, match="between 0 and 1"):
            Finding("a", "dark", "warning", score)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("path,code\n", "lack the columns"),
            ("path,code,severity,score,suggestion,other_path\na,dark,bad,1,,\n", "severity"),
            ("path,code,severity,score,suggestion,other_path\na,dark,info,x,,\n", "score"),
        ],
    )
    def test_a_table_of_something_else_is_told(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        (tmp_path / "findings.csv").write_text(text)
        with pytest.raises(PegboardError, match=message):
            read_findings(tmp_path / "findings.csv")

    def test_the_first_columns_are_those_promised(self, checked: Checked) -> None:
        header = checked.folder.findings.read_text().splitlines()[0]
        assert header.startswith("path,code,severity,score,suggestion,other_path")


class TestCommand:
    def test_the_table_and_what_to_type_next(
        self, photo_folder, tmp_path, monkeypatch, capsys
    ) -> None:
        monkeypatch.chdir(tmp_path)
        folder = photo_folder(per_class=4, classes=("disc", "Disc", "cross"))
        whole = (folder / "disc" / "000.jpg").read_bytes()
        (folder / "disc" / "000.jpg").write_bytes(whole[:300])
        shutil.copy(folder / "disc" / "001.png", folder / "disc" / "copy.png")
        assert run(["check", str(folder), "--threads", "1"]) == 0
        printed = capsys.readouterr().out
        assert "unreadable" in printed
        assert "truncated: JPEG" in printed
        assert f"pegboard review {folder}\n" in printed
        assert "--merge disc=Disc" in printed or "--merge Disc=disc" in printed
        assert "Not applicable: leak" in printed
        assert (tmp_path / "pegboard-check" / "report.html").exists()

    def test_json_is_all_that_is_printed(self, photo_folder, tmp_path, capsys) -> None:
        folder, out = photo_folder(per_class=4), str(tmp_path / "out")
        (folder / "disc" / "notes.txt").write_text("for information only")
        (folder / "disc" / "000.jpg").write_bytes(b"")
        assert run(["check", str(folder), "--out", out, "--json", "--threads", "1"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert (data["folder"], data["found"], data["used"]) == (out, 13, 11)
        assert {one["severity"] for one in data["findings"]} == {"error", "warning"}
        assert {one["code"] for one in data["outcomes"]} >= set(QUICK)

    def test_the_gate(self, photo_folder, tmp_path, capsys) -> None:
        folder = photo_folder(per_class=3)
        (folder / "disc" / "000.jpg").write_bytes(b"")
        arguments = ["check", str(folder), "--out", str(tmp_path / "out"), "--threads", "1"]
        assert run([*arguments, "--fail-on", "leak,unreadable"]) == 3
        assert "1 unreadable" in capsys.readouterr().err
        assert (tmp_path / "out" / "report.html").exists()
        assert run([*arguments, "--fail-on", "leak"]) == 0

    @pytest.mark.parametrize(
        ("codes", "told"),
        [("unreadable,leak", "2 unreadable"), ("bright", ""), ("leak", ""), ("not-an-image", "")],
    )
    def test_what_a_gate_looks_at(self, checked: Checked, codes: str, told: str) -> None:
        assert checked.gate(codes_to_fail_on(codes)) == told

    def test_a_gate_that_could_not_look_does_not_open(self, untidy, tmp_path, capsys) -> None:
        arguments = ["check", str(untidy[0]), "--out", str(tmp_path / "out"), "--budget", "0.001s"]
        assert run([*arguments, "--fail-on", "dark"]) == 1
        assert "budget" in capsys.readouterr().err
        # What intake knows needs no time.
        states = {one.code: one for one in CheckFolder(tmp_path / "out").read().outcomes}
        assert states["unreadable"].state == "found"
        assert states["dark"].blocked

    @pytest.mark.parametrize(
        ("arguments", "exit_code", "message"),
        [
            (["--fail-on", "darkness"], 1, "no code; expected any"),
            (["--fail-on", ","], 1, "found none"),
            (["--merge", "x"], 1, "FROM=INTO"),
            (["--merge", "nothing=here"], 1, "not a class"),
            (["--budget", "soon"], 1, "duration"),
            (["--threads", "0"], 2, ""),
        ],
    )
    def test_mistakes_are_one_line(
        self, untidy, tmp_path, capsys, arguments: list[str], exit_code: int, message: str
    ) -> None:
        out = tmp_path / "out"
        assert run(["check", str(untidy[0]), "--out", str(out), *arguments]) == exit_code
        told = capsys.readouterr().err
        assert message in told
        assert "Traceback" not in told
        assert not out.exists()

    def test_codes(self) -> None:
        assert codes_to_fail_on(None) == frozenset()
        assert codes_to_fail_on("leak, dark") == {"leak", "dark"}
        assert codes_to_fail_on("any") == set(NAMES)

    def test_torch_is_never_loaded(self, photo_folder, tmp_path: Path) -> None:
        script = (
            "import sys\n"
            "from pegboard.cli import run\n"
            f"code = run(['check', {str(photo_folder(per_class=3))!r}, "
            f"'--out', {str(tmp_path / 'out')!r}])\n"
            "loaded = {'torch', 'timm'} & set(sys.modules)\n"
            "sys.exit(code or bool(loaded))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


HOSTILE = "<script>alert('x')<\\script>&\"'=1+1{{7*7}}\u202egpj"


class TestPage:
    def test_it_stands_alone(self, checked: Checked) -> None:
        page = checked.folder.report.read_text("utf-8")
        assert not re.findall(r"(?:src|href)=\"(?!#|data:)", page)
        assert "<script" not in page
        assert "default-src 'none'" in page
        assert len(page) < 5_000_000

    def test_every_code_found_has_a_section_with_its_count(self, checked: Checked) -> None:
        page = checked.folder.report.read_text("utf-8")
        counts: defaultdict[str, int] = defaultdict(int)
        for finding in checked.counted:
            counts[finding.code] += 1
        for code, count in counts.items():
            assert re.search(
                rf'id="{code}-title">[^<]* <span class="note[^>]*>{count}</span>', page
            )

    def test_pairs_stand_side_by_side_with_their_pictures(self, checked: Checked) -> None:
        page = checked.folder.report.read_text("utf-8")
        section = page.split('<section id="label-conflict"')[1].split("</section>")[0]
        assert section.count('<use href="#p') == 2

    def test_the_next_commands_stand_there(self, checked: Checked, untidy) -> None:
        page = checked.folder.report.read_text("utf-8")
        assert f"pegboard review {untidy[0]} --findings {checked.folder.path}" in page
        assert str(checked.folder.corrections) in page

    def test_pictures_carry_nothing_but_pixels(self, checked: Checked) -> None:
        archive = checked.folder.pictures.read_bytes()
        for mark in (b"Exif", b"EXIF", b"XMP ", b"ICCP"):
            assert mark not in archive

    def test_hostile_names_are_only_text(self, tmp_path: Path) -> None:
        folder = tmp_path / "photos"
        rng = np.random.default_rng(0)
        names = [HOSTILE, "plain"]
        for label in names:
            (folder / label).mkdir(parents=True)
            for number in range(3):
                name = f"{HOSTILE}{number}\n.png"
                draw_photo("disc", rng).save(folder / label / name)
        first = next(iter((folder / "plain").iterdir()))
        shutil.copy(first, folder / names[0] / "copy\r.png")
        (folder / os.fsdecode(b"b\xe4d")).mkdir()
        (folder / os.fsdecode(b"b\xe4d") / "broken.jpg").write_bytes(b"\xff\xd8\xff")
        found = check_source(CheckSettings(str(folder), out=tmp_path / "out", threads=1))
        page = found.folder.report.read_text("utf-8")
        assert "<script" not in page
        assert "alert(&#39;x&#39;)" in page
        assert "{{7*7}}" in page
        read = found.folder.read_findings()
        assert {one.path for one in read} == {one.path for one in found.findings}
        assert run(["check", str(folder), "--out", str(tmp_path / "out"), "--threads", "1"]) == 0

    def test_it_stays_small_whatever_is_found(self, tmp_path: Path) -> None:
        folder = tmp_path / "photos" / "a"
        folder.mkdir(parents=True)
        for number in range(600):
            (folder / f"{'long name ' * 20}{number}.jpg").write_bytes(b"")
        Image.new("RGB", (80, 80)).save(folder / "one.png")
        found = check_source(
            CheckSettings(str(tmp_path / "photos"), out=tmp_path / "out", threads=1)
        )
        assert len(paths_of(found, "unreadable")) == 600
        page = found.folder.report.read_text("utf-8")
        assert "560 others in findings.csv" in page
        assert len(page) < 200_000
