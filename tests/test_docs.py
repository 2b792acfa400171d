"""The documentation's examples run, its links lead somewhere, and no command is missing."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.exists()]
PROGRAM = str(Path(sys.executable).with_name("pegboard"))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: (\S.*?) -->\n\Z")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    line: int
    language: str
    text: str
    not_run: str | None
    """Why it is not run, if it is not."""

    @property
    def runnable(self) -> bool:
        if self.not_run is not None:
            return False
        return self.language == "python" or (
            self.language == "console" and self.text.startswith("$ pegboard ")
        )


def blocks_of(text: str) -> Iterator[Block]:
    for fence in _FENCE.finditer(text):
        before = text[: fence.start()]
        reason = _NOT_RUN.search(before)
        yield Block(
            line=before.count("\n") + 1,
            language=fence[1],
            text=fence[2],
            not_run=reason[1] if reason else None,
        )


@dataclass(frozen=True)
class Command:
    """One command of a console block with the lines it is said to print."""

    arguments: list[str]
    expected: list[str]


def commands_of(block: str) -> list[Command]:
    commands: list[Command] = []
    lines = iter(block.splitlines())
    for line in lines:
        if line.startswith("$ "):
            typed = line[2:]
            while typed.endswith("\\"):
                typed = typed[:-1] + next(lines).strip()
            commands.append(Command(shlex.split(typed), []))
        elif line.strip():
            commands[-1].expected.append(line)
    return commands


def assert_printed(printed: str, expected: list[str]) -> None:
    """Each expected line stands in the output, in order; … matches anything."""
    position = 0
    for line in expected:
        if line.strip() == "…":
            continue
        pattern = ".*".join(re.escape(part.strip()) for part in line.split("…"))
        found = re.compile(r"\s+".join(pattern.split(r"\ "))).search(printed, position)
        assert found, f"expected {line!r} in what is left of the output:\n{printed[position:]}"
        position = found.end()


def run_console(block: Block, folder: Path) -> None:
    for command in commands_of(block.text):
        assert command.arguments[0] == "pegboard", f"cannot run {command.arguments[0]!r}"
        done = subprocess.run(
            [PROGRAM, *command.arguments[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(command.arguments)}\n{done.stderr}"
        assert_printed(done.stdout + done.stderr, command.expected)


def run_python(block: Block, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, photo_folder: Callable[..., Path]) -> None:
    """A page's blocks run in order in one folder: later ones may use what earlier ones made."""
    folder = photo_folder(per_class=12).parent
    for block in blocks_of(page.read_text("utf-8")):
        if not block.runnable:
            continue
        try:
            (run_python if block.language == "python" else run_console)(block, folder)
        except AssertionError as error:
            pytest.fail(f"{page.name}, line {block.line}: {error}", pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_reason_belongs_to_a_block(page: Path) -> None:
    text = page.read_text("utf-8")
    reasons = sum(block.not_run is not None for block in blocks_of(text))
    assert reasons == text.count("<!-- not run"), "a 'not run' comment stands before no block"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name) if name else page
        assert linked.exists(), f"{page.name} links to {target}, which does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE)
            assert anchor in {_slug(heading) for heading in headings}, target


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def every_command(group: click.Group, before: str = "") -> dict[str, click.Command]:
    """Commands by name; those of a group under both names, as in ``runs list``."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found[before + name] = command
        if isinstance(command, click.Group):
            found |= every_command(command, f"{before}{name} ")
    return found


class TestCommands:
    """docs/commands.md against the program itself."""

    @pytest.fixture
    def commands(self):
        from pegboard.cli import cli

        return every_command(cli)

    def test_every_command_has_help(self, commands) -> None:
        for name, command in commands.items():
            assert command.help, f"pegboard {name} has no help"
            for parameter in command.params:
                if parameter.param_type_name == "option":
                    assert parameter.help, f"pegboard {name} {parameter.opts[0]} has no help"

    def test_every_command_is_documented(self, commands) -> None:
        sections = _sections((REPOSITORY / "docs" / "commands.md").read_text("utf-8"))
        named = {
            name
            for title in sections
            for name in re.findall(r"`pegboard ([a-z-]+(?: [a-z-]+)*)", title)
        }
        assert named == {name for name, command in commands.items() if not command.hidden}

    def test_every_option_is_documented(self, commands) -> None:
        sections = _sections((REPOSITORY / "docs" / "commands.md").read_text("utf-8"))
        shared = sections["For every command"]
        for name, command in commands.items():
            if command.hidden:
                continue
            text = shared + "".join(
                body for title, body in sections.items() if f"`pegboard {name}" in title
            )
            for parameter in command.params:
                if parameter.param_type_name != "option" or parameter.hidden:
                    continue
                assert any(
                    re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text)
                    for option in parameter.opts
                ), f"pegboard {name}: {parameter.opts[0]} is not in docs/commands.md"


def _sections(text: str) -> dict[str, str]:
    """Body by heading of level 2 or 3."""
    parts = re.split(r"^###? (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class TestHowExamplesAreRead:
    """The runner itself finds what it should, or the tests above prove nothing."""

    PAGE = (
        "```console\n$ pegboard models --classes 3 \\\n    --json\nlm … 10\n```\n"
        "\n<!-- not run: takes minutes -->\n```console\n$ pegboard demo\n```\n"
        "\n```python\nprint(1)\n```\n\n```console\n$ make demo\n```\n"
    )

    def test_blocks(self) -> None:
        blocks = list(blocks_of(self.PAGE))
        assert [block.runnable for block in blocks] == [True, False, True, False]
        assert blocks[1].not_run == "takes minutes"
        assert blocks[0].line == 1

    def test_commands_join_continued_lines(self) -> None:
        (command,) = commands_of(next(blocks_of(self.PAGE)).text)
        assert command.arguments == ["pegboard", "models", "--classes", "3", "--json"]
        assert command.expected == ["lm … 10"]

    def test_expected_lines_are_compared(self) -> None:
        assert_printed("name  parameters\nlm    10\n", ["name parameters", "…", "lm … 10"])
        with pytest.raises(AssertionError, match="expected 'lm … 11'"):
            assert_printed("lm 10\n", ["lm … 11"])
        with pytest.raises(AssertionError):
            assert_printed("second\nfirst\n", ["first", "second"])

    def test_a_failing_example_fails(self, tmp_path: Path) -> None:
        block = Block(1, "python", "raise SystemExit(3)", None)
        with pytest.raises(AssertionError):
            run_python(block, tmp_path)


IMAGES = sorted((REPOSITORY / "docs" / "images").iterdir())


@pytest.mark.parametrize("file", IMAGES, ids=lambda file: file.name)
def test_a_picture_is_small_and_tells_nothing_else(file: Path) -> None:
    assert file.stat().st_size <= 300_000
    if file.suffix == ".svg":
        text = file.read_text("utf-8")
        fetched = re.findall(r"(?:url\(|href=[\"'])(?!#)[^)\"']*", text)
        assert fetched == []
        assert str(Path.home()) not in text
    else:
        with Image.open(file) as picture:
            assert not picture.getexif()
            assert set(picture.info) <= {"transparency"}
