"""The tutorials' notebooks run, show every figure, and are stored as their sources say."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pegboard.plots import Plots

nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra dev")

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("tools", "digits")

QUICK: dict[str, dict[str, Any]] = {
    "tools": {"PER_CLASS": 6, "MODELS": "fastcnn,efficientnet_lite0:frozen", "EPOCHS": 2},
    "digits": {"EPOCHS": 2},
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "build_notebooks", ROOT / "scripts" / "build_notebooks.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def kernel_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython keeps its history and settings here and not in the user's home."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


def stored(name: str) -> Any:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_what_its_source_says(script: ModuleType, name: str) -> None:
    wanted = [(cell.id, cell.cell_type, cell.source) for cell in script.source_notebook(name).cells]
    found = [(cell.id, cell.cell_type, cell.source) for cell in stored(name).cells]
    assert found == wanted, "run: python scripts/build_notebooks.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_notebook_was_run_from_top_to_bottom(name: str) -> None:
    cells = code_cells(stored(name))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds <= {"display_data", "execute_result", "stream"}


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_notebook_is_small_and_names_no_machine(script: ModuleType, name: str) -> None:
    file = ROOT / "notebooks" / f"{name}.ipynb"
    assert file.stat().st_size <= script.MOST_BYTES
    assert script.machine_traces(stored(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_every_figure(script: ModuleType, name: str) -> None:
    source = "\n".join(cell.source for cell in code_cells(script.source_notebook(name)))
    shown = set(re.findall(r"\.plots\.(\w+)\(", source))
    assert shown == {figure for figure in vars(Plots) if not figure.startswith("_")}


def pictures(notebook: Any) -> int:
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("kernel_home")
def test_a_notebook_runs(script: ModuleType, tmp_path: Path, name: str) -> None:
    quick = script.with_parameters(script.source_notebook(name), QUICK[name])
    done = script.execute(quick, tmp_path)
    assert pictures(done) >= 13
    board = json.loads((tmp_path / f"{name}-run" / "leaderboard.json").read_text("utf-8"))
    texts = "".join(
        output["text"] for cell in code_cells(done) for output in cell.outputs if "text" in output
    )
    assert f"The best model is {board['best']}" in texts


@pytest.mark.slow
@pytest.mark.usefixtures("kernel_home")
def test_the_digits_notebook_runs_on_mnist(
    script: ModuleType, tmp_path: Path, data_folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEGBOARD_DATA", str(data_folder("mnist.npz").parent))
    values = {"MNIST": True, "MODELS": ["lm", "cnn"], "EPOCHS": 2}
    script.execute(script.with_parameters(script.source_notebook("digits"), values), tmp_path)
    board = json.loads((tmp_path / "digits-run" / "leaderboard.json").read_text("utf-8"))
    accuracy = {row["name"]: row["accuracy"] for row in board["models"]}
    assert board["dataset"]["counts"] == {"train": 50_000, "validation": 10_000, "test": 10_000}
    assert accuracy["cnn"] > 0.98
    assert 0.88 < accuracy["lm"] < 0.95


@pytest.mark.slow
@pytest.mark.usefixtures("kernel_home")
def test_the_tools_notebook_runs_on_real_photos(
    script: ModuleType, tmp_path: Path, data_folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEGBOARD_DATA", str(data_folder("tools15").parent))
    values = {"REAL_PHOTOS": True, "MODELS": "fastcnn,efficientnet_lite0:frozen", "EPOCHS": 2}
    script.execute(script.with_parameters(script.source_notebook("tools"), values), tmp_path)
    board = json.loads((tmp_path / "tools-run" / "leaderboard.json").read_text("utf-8"))
    assert board["best"] == "efficientnet_lite0:frozen"
    assert len(board["dataset"]["classes"]) == 15


def test_unknown_parameters_are_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="PER_KLASS"):
        script.with_parameters(script.source_notebook("tools"), {"PER_KLASS": 6})


def test_places_on_a_machine_are_found(script: ModuleType) -> None:
    stream = nbformat.v4.new_output("stream", text="models/lm /tmp/run/x classes:\\n")
    table = nbformat.v4.new_output(
        "display_data",
        data={"text/html": f"<td>{Path.home()}/a.py</td>", "image/png": "aaaa/tmp/aaaa"},
    )
    mine = nbformat.v4.new_output("stream", text="C:\\Users\\ada")
    cell = nbformat.v4.new_code_cell("x", outputs=[stream, table, mine])
    assert len(script.machine_traces(nbformat.v4.new_notebook(cells=[cell]))) == 3
