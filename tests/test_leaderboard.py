from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from boards import digit_board
from pegboard.errors import RunFolderError
from pegboard.evaluate import Evaluation
from pegboard.leaderboard import (
    Leaderboard,
    ModelRow,
    SeedFigures,
    assemble,
    choose_best,
    machine_info,
    pareto_front,
    seed_mean,
    seed_sd,
)
from pegboard.table import duration, leaderboard_table, print_leaderboard, size

MODEL_KEYS = [
    *("name", "baseline", "params", "n", "accuracy", "accuracy_ci", "macro_f1", "macro_f1_ci"),
    *("macro_precision", "macro_recall", "weighted_precision", "weighted_recall", "weighted_f1"),
    *("loss", "ece", "roc_auc", "average_precision", "validation_accuracy"),
    *("validation_macro_f1", "top_confusions", "per_class"),
    *("train_seconds", "epochs", "latency_ms_p50", "latency_ms_p95", "images_per_second"),
    *("size_bytes", "peak_memory_bytes", "pareto", "collapsed", "collapsed_reason", "seeds"),
    *("mean", "sd"),
]


def row(name: str, accuracy: float, validation: float, latency: float | None, **more) -> ModelRow:
    figures = dict.fromkeys(Evaluation.__dataclass_fields__, accuracy) | {
        "n": 100,
        "accuracy_ci": (accuracy, accuracy),
        "macro_f1_ci": (accuracy, accuracy),
        "top_confusions": (),
        "per_class": (),
        "confusion": None,
    }
    return ModelRow(
        name,
        Evaluation(**figures),
        validation_macro_f1=validation,
        latency_ms_p50=latency,
        **more,
    )


def test_its_keys_are_the_contract_s() -> None:
    data = digit_board(3).to_json()
    assert list(data) == [
        *("schema", "dataset", "machine", "best", "models", "comparisons", "not_trained")
    ]
    assert list(data["dataset"]) == ["name", "classes", "counts", "left_out",
        "left_out_reasons", "fingerprint"]  # fmt: skip
    assert list(data["machine"]) == [
        *("cpu", "cores", "memory_bytes", "gpu", "os", "python", "versions")
    ]
    assert all(list(model) == MODEL_KEYS for model in data["models"])
    assert data["models"][0]["seeds"][2].keys() == {"seed", "accuracy", "macro_f1"}
    assert data["models"][0]["sd"].keys() == {"accuracy", "macro_f1"}


@pytest.mark.parametrize("seeds", [1, 3])
def test_it_survives_json(seeds: int) -> None:
    board = digit_board(seeds)
    text = json.dumps(board.to_json(), allow_nan=False)
    again = Leaderboard.from_json(json.loads(text))
    assert again == board
    assert json.dumps(again.to_json()) == text


def test_what_is_not_finite_becomes_null() -> None:
    board = digit_board()
    odd = replace(board.models[0], train_seconds=float("nan"), size_bytes=np.int64(5))
    board = replace(board, models=(replace(odd, test=replace(odd.test, loss=float("inf"))),))
    model = json.loads(json.dumps(board.to_json(), allow_nan=False))["models"][0]
    assert (model["train_seconds"], model["loss"], model["size_bytes"]) == (None, None, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "expected a leaderboard of schema 1, found 2"),
        ({"models": [{}]}, "written by pegboard, found something else"),
        ({"models": 3}, "found something else"),
        ({"dataset": {"unknown": 1}}, "found something else"),
    ],
)
def test_another_file_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RunFolderError, match=message):
        Leaderboard.from_json(digit_board().to_json() | change)
    with pytest.raises(RunFolderError, match="found something else"):
        Leaderboard.from_json({})


def test_the_best_is_chosen_on_validation_and_never_on_test() -> None:
    rows = [
        row("lucky", accuracy=0.99, validation=0.80, latency=1.0),
        row("steady", accuracy=0.90, validation=0.85, latency=9.0),
        row("majority", accuracy=1.0, validation=1.0, latency=0.1, baseline=True),
    ]
    assert choose_best(rows) == "steady"


def test_among_equals_the_faster_is_best() -> None:
    slow, fast = row("slow", 0.9, 0.9, 5.0), row("fast", 0.8, 0.9, 2.0)
    unknown = row("unknown", 0.9, 0.9, None)
    assert choose_best([unknown, slow, fast]) == "fast"
    assert choose_best([slow, unknown]) == "slow"


def test_without_a_model_nothing_is_best() -> None:
    assert choose_best([]) is None
    assert choose_best([row("majority", 0.5, 0.5, None, baseline=True)]) is None
    assert choose_best([row("diverged", 0.1, float("nan"), 1.0)]) is None


def test_pareto_front_by_hand() -> None:
    rows = [
        row("slow and good", 0.95, 0, 9.0),
        row("fast and fair", 0.90, 0, 1.0),
        row("dominated", 0.90, 0, 2.0),
        row("twin", 0.90, 0, 1.0),
        row("collapsed", 0.1, 0, 0.2, collapsed=True),
        row("majority", 0.1, 0, 0.1, baseline=True),
        row("never timed", 0.99, 0, None),
    ]
    front = {"slow and good", "fast and fair", "twin"}
    assert pareto_front(rows) == front
    board = digit_board()
    marked = assemble(board.dataset, board.machine, rows).models
    assert {model.name for model in marked if model.pareto} == front


def test_mean_and_deviation_over_seeds() -> None:
    seeds = [SeedFigures(0, 0.8, 0.7), SeedFigures(1, 0.9, 0.7), SeedFigures(2, 0.85, 0.7)]
    mean, sd = seed_mean(seeds), seed_sd(seeds)
    assert (mean.accuracy, mean.macro_f1) == pytest.approx((0.85, 0.7))
    assert (sd.accuracy, sd.macro_f1) == pytest.approx((0.05, 0.0))
    assert seed_sd(seeds[:1]) is None
    assert seed_mean([]) is None


def test_the_machine_is_described() -> None:
    machine = machine_info()
    assert machine.cores >= 1
    assert machine.memory_bytes is None or machine.memory_bytes > 2**28
    assert machine.versions["numpy"] == np.__version__


def test_describing_the_machine_does_not_load_torch() -> None:
    code = (
        "import sys, pegboard.leaderboard as l, pegboard.words, pegboard.table; l.machine_info();"
        "print([m for m in ('torch', 'scipy', 'sklearn', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def rendered(width: int, seeds: int = 1, *, ascii_only: bool = False) -> str:
    console = Console(width=width)
    table = leaderboard_table(digit_board(seeds).to_json(), width=width, ascii_only=ascii_only)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_and_no_cell_wraps(width: int, seeds: int) -> None:
    text = rendered(width, seeds)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    for name in ("fastcnn", "cnn", "lm", "mobilenetv2", "majority"):
        assert sum(name in line.split() for line in lines) == 1
    assert "98.3 [97.0–99.7]" in text  # noqa: RUF001


def test_a_wide_table_shows_everything_and_a_narrow_one_the_chief_things() -> None:
    head = next(line for line in rendered(120, 3).splitlines() if "macro-F1" in line)
    titles = ("model", "accuracy %", "over seeds", "ms/photo", "photos/s", "size", "training")
    assert all(title in head for title in titles)
    narrow = rendered(80)
    assert "photos/s" not in narrow
    assert "ms/photo" in narrow
    assert "over seeds" not in rendered(120, 1)


def test_the_best_comes_first_and_ties_are_said_to_be_ties() -> None:
    lines = [line.strip() for line in rendered(80).splitlines() if line.strip()]
    first = next(index for index, line in enumerate(lines) if line.startswith("───")) + 1
    assert [line.split()[:2] for line in lines[first : first + 4]] == [
        ["★◆", "fastcnn"],
        ["≈◆", "cnn"],
        ["◆", "lm"],
        ["✗", "mobilenetv2"],
    ]
    assert lines[first + 4].startswith("majority")
    assert "≈ a tie: not shown to differ from the best with 297 photos" in lines


def test_with_folds_the_table_tells_the_photos_that_were_answered() -> None:
    board = digit_board().to_json()
    board["dataset"] |= {"folds": 3, "counts": {"train": 200, "validation": 50, "test": 47}}
    console = Console(width=100)
    with console.capture() as captured:
        console.print(leaderboard_table(board))
    assert "digits: 297 photos in 3 folds, 10 classes" in captured.get()
    assert "not shown to differ from the best with 297 photos" in captured.get()


def test_macro_f1_has_the_digits_that_the_photos_tell_apart() -> None:
    board = digit_board().to_json()
    board["models"][0] |= {"n": 5000, "macro_f1": 0.99981}
    console = Console(width=120)
    with console.capture() as captured:
        console.print(leaderboard_table(board))
    assert "0.9998" in captured.get()


def test_the_legend_explains_only_signs_that_occur() -> None:
    board = digit_board().to_json()
    board["comparisons"], board["models"] = [], board["models"][:1]
    console = Console(width=100)
    with console.capture() as captured:
        console.print(leaderboard_table(board))
    assert "★" in captured.get()
    assert "≈" not in captured.get()
    assert "collapsed" not in captured.get()


def test_a_console_without_unicode_gets_ascii(tmp_path) -> None:
    with (tmp_path / "out.txt").open("w", encoding="ascii") as file:
        print_leaderboard(Console(file=file, width=100), digit_board(3).to_json())
    assert "*^" in (tmp_path / "out.txt").read_text("ascii")


def test_names_with_brackets_are_shown_as_they_are() -> None:
    board = digit_board().to_json()
    board["models"][0]["name"] = board["best"] = "[red]x[/red]"
    console = Console(width=100)
    with console.capture() as captured:
        console.print(leaderboard_table(board))
    assert "[red]x[/red]" in captured.get()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(3.21, "3.2 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s")],
        *[(3599.7, "1 h 00 min"), (3720, "1 h 02 min")],
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (940, "940 B"),
        (12_345, "12.3 kB"),
        (999_960, "1.0 MB"),
        (18_200_000, "18.2 MB"),
        (3e9, "3.0 GB"),
    ],
)
def test_sizes(number: float, text: str) -> None:
    assert size(number) == text
