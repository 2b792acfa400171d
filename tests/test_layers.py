"""Imports point one way, and PyTorch is only where it must be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "pegboard"

# A module may import only modules that stand before it (a package's own modules may import
# one another: they are one layer).
ORDER = [
    *("errors", "photos", "budget", "progress", "files", "memory", "threads", "cache", "sampling"),
    *("metrics", "thresholds"),
    *("images", "pictures", "occlusion", "reading", "sources", "intake", "nearest"),
    *("alignment", "duplicates", "backgrounds", "backdrops"),
    *("corrections", "manifest", "leaks", "draw", "split"),
    *("inputs", "models", "recipes", "settings", "runs", "evidence"),
    *("embed", "audit", "loader", "views", "augment", "answer_views", "averaging", "train"),
    *("checkpoint", "learn"),
    *("evaluate", "calibrate", "significance", "leaderboard", "words", "table", "notebook"),
    *("audit_words", "audit_table", "history", "bundle", "report"),
    *("export", "rows", "photo_files", "predict", "kept_answers", "answers", "tallies", "speed"),
    *("verify", "release", "web"),
    *(
        "growing",
        "examples",
        "prepare",
        "trees",
        "sorting",
        "serve",
        "splitting",
        "checking",
        "cleaning",
        "review",
        "describe",
        "demo",
        "dryrun",
        "finish",
        "illustrate",
        "folds",
    ),
    "pipeline",
    *(
        "frames",
        "plots",
        "loaded",
        "results",
        "check_results",
        "fitting",
        "estimator",
        "api",
        "cli",
    ),
]

TORCH = {"torch", "torchvision", "timm", "onnxscript", "safetensors"}
MAY_IMPORT_TORCH = {
    "answer_views",
    "augment",
    "averaging",
    "models",
    "train",
    "checkpoint",
    "learn",
    "export",
    "dryrun",
}
LIGHT = [
    "pegboard",
    "pegboard.cli",
    "pegboard.predict",
    "pegboard.embed",
    "pegboard.report",
    "pegboard.serve.server",
]


def modules() -> list[tuple[str, Path]]:
    """Every module as (layer, file); the package's own ``__init__`` has no layer."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        layer = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if layer != "__init__":
            found.append((layer, file))
    return found


def imports_of(file: Path) -> Iterator[tuple[str, int]]:
    """Absolute name and line of everything a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}:{node.lineno} uses a relative import"
            # `from pegboard import images` imports the layer `images`.
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


CASES = [
    pytest.param(layer, file, id=file.relative_to(PACKAGE).as_posix()) for layer, file in modules()
]


@pytest.mark.parametrize(("layer", "file"), CASES)
def test_imports_point_one_way(layer: str, file: Path) -> None:
    assert layer in ORDER, f"{layer} has no place in the order"
    allowed = set(ORDER[: ORDER.index(layer) + 1])
    for name, line in imports_of(file):
        first, _, rest = name.partition(".")
        if first != "pegboard" or rest == "__version__":
            continue
        imported = rest.partition(".")[0]
        assert imported in allowed, f"{file.name}:{line} {layer} imports {imported}"


@pytest.mark.parametrize(("layer", "file"), CASES)
def test_only_some_modules_import_torch(layer: str, file: Path) -> None:
    if layer in MAY_IMPORT_TORCH:
        return
    for name, line in imports_of(file):
        assert name.partition(".")[0] not in TORCH, f"{file.name}:{line} imports {name}"


def test_the_order_names_only_modules_that_exist() -> None:
    assert sorted({layer for layer, _ in modules()}) == sorted(ORDER)


@pytest.mark.parametrize("module", LIGHT)
def test_importing_loads_no_torch(module: str) -> None:
    script = f"import sys, {module}\nprint(sorted({TORCH!r} & set(sys.modules)))\n"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["serve", "--help"]])
def test_help_loads_no_torch(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from pegboard.cli import main\n"
        f"sys.argv = ['pegboard', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"heavy = {TORCH | {'sklearn', 'scipy', 'matplotlib', 'polars'}!r} & set(sys.modules)\n"
        "print('loaded:', sorted(heavy))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "loaded: []", done.stderr
