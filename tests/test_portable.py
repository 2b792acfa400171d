"""The package does nothing that Windows or macOS cannot: no forks, no symbolic links it makes."""

from __future__ import annotations

import ast
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "pegboard"
FILES = sorted(PACKAGE.rglob("*.py"))

# Names by which a program starts a copy of itself, makes links that Windows refuses to most
# users, or asks for what only Unix has.
UNIX = {
    "os": {
        "fork", "forkpty", "symlink", "getuid", "geteuid", "getpwuid", "setuid", "chown", "mkfifo",
        "killpg", "setsid", "getloadavg", "sched_getaffinity", "O_NOFOLLOW", "register_at_fork",
    },
    "signal": {"SIGALRM", "SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "alarm", "setitimer"},
}  # fmt: skip
UNIX_METHODS = {"symlink_to", "set_start_method"}
UNIX_MODULES = {"fcntl", "pwd", "grp", "resource", "termios", "pty", "tty", "posix"}


def guarded(tree: ast.Module) -> set[ast.AST]:
    """Everything below a try, an if or a with: there the code asks first, or bears a failure."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.Try | ast.If | ast.IfExp | ast.With)
        for inner in ast.walk(node)
    }


def unix_only(tree: ast.Module) -> Iterator[str]:
    asked = guarded(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            is_unix = node.attr in UNIX.get(owner, ()) and node not in asked
            if is_unix or node.attr in UNIX_METHODS:
                yield f"line {node.lineno}: {owner}.{node.attr}"
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in asked:
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [module, *(f"{module}.{alias.name}".strip(".") for alias in node.names)]
            for name in names:
                owner, _, attribute = name.partition(".")
                if owner in UNIX_MODULES or attribute in UNIX.get(owner, ()):
                    yield f"line {node.lineno}: import {name}"


def joined_by_hand(tree: ast.Module) -> Iterator[str]:
    """Paths opened that were put together with "/" as texts."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        first = node.args[0]
        by_plus = isinstance(first, ast.BinOp) and isinstance(first.op, ast.Add)
        if node.func.id in ("Path", "open") and (by_plus or isinstance(first, ast.JoinedStr)):
            text = "".join(
                part.value
                for part in ast.walk(first)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )
            if "/" in text:
                yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_nothing_is_asked_for_that_only_unix_has(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    assert list(unix_only(tree)) == []
    assert list(joined_by_hand(tree)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import fcntl",
        "import os\nos.fork()",
        "from os import symlink",
        "path.symlink_to(other)",
        "multiprocessing.set_start_method('fork')",
        "open(folder + '/a.txt')",
        "Path(f'{folder}/a.txt')",
    ],
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    tree = ast.parse(line)
    assert [*unix_only(tree), *joined_by_hand(tree)]


@pytest.mark.parametrize("line", ["try:\n    import resource\nexcept ImportError:\n    pass"])
def test_what_is_asked_for_with_care_is_fine(line: str) -> None:
    assert list(unix_only(ast.parse(line))) == []


def test_a_process_that_was_spawned_can_import_and_predict(tmp_path: Path) -> None:
    """As on Windows and macOS: the child starts anew and gets everything by pickling names."""
    script = (
        "import multiprocessing, sys\n"
        "import numpy as np\n"
        "import pegboard\n"
        "def label(path):\n"
        "    pixels = np.full((40, 30, 3), (200, 20, 20), np.uint8)\n"
        "    return pegboard.load(path).predict([pixels])[0].label\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(label, [sys.argv[1]]))\n"
    )
    from small_bundle import colour_bundle

    assert "spawn" in multiprocessing.get_all_start_methods()
    (tmp_path / "script.py").write_text(script)
    bundle = colour_bundle(tmp_path / "a.pegboard")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(bundle)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "['red']", done.stderr
