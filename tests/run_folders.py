"""Run folders for tests, written through the writers that ``compare`` uses, and pages read back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from pegboard.evaluate import (
    Predictions,
    evaluate,
    is_collapsed,
    majority_predictions,
    write_predictions,
)
from pegboard.leaderboard import (
    DatasetInfo,
    Leaderboard,
    ModelRow,
    NotTrained,
    SeedFigures,
    assemble,
    machine_info,
)
from pegboard.manifest import ManifestRow, fingerprint, write_manifest
from pegboard.report.run import slug_of
from pegboard.runs import RunFolder, write_history, write_json
from pegboard.significance import compare_models

TOOLS = ("hammer", "pliers", "saw", "screwdriver", "wirecutter", "wrench")
MODELS = {"efficientnet_lite0": 2.6, "probe": 2.2, "cnn4": 1.1, "timm:resnet18:frozen": -9.0}


def answers(
    rows: Sequence[ManifestRow], classes: Sequence[str], skill: float, seed: int
) -> Predictions:
    """Answers of a made-up model: the right class leads by ``skill``, its neighbour by half."""
    rng = np.random.default_rng(seed)
    labels = np.array([classes.index(row.label) for row in rows])
    logits = rng.normal(0, 1, (len(rows), len(classes)))
    if skill < 0:  # always the first class: a collapsed model
        logits[:, 0] -= skill
    else:
        logits[np.arange(len(rows)), labels] += 1.6 * skill
        logits[np.arange(len(rows)), (labels + 1) % len(classes)] += 0.6 * skill
    powers = np.exp(logits)
    return Predictions(
        [row.path for row in rows],
        labels,
        powers / powers.sum(axis=1, keepdims=True),
        classes,
        [row.group for row in rows],
    )


def manifest_rows(classes: Sequence[str], per_class: int) -> list[ManifestRow]:
    rows = []
    for place, label in enumerate(classes):
        for index in range(per_class + 5 * (place % 3)):
            split = ("train", "train", "train", "validation", "test", "test")[index % 6]
            path = f"{label}/{index:04d}.jpg"
            rows.append(ManifestRow(path, label, split, path, f"{place:032x}{index:032x}"))
    return rows


def history_rows(epochs: int, skill: float) -> Iterator[dict[str, float]]:
    for epoch in range(1, epochs + 1):
        learned = 1 - np.exp(-epoch * max(skill, 0.1) / 5)
        late = max(0, epoch - 8) * 0.012
        yield {
            "epoch": epoch,
            "seconds": 4.2,
            "loss": 2.2 * (1 - learned) + 0.02,
            "accuracy": 0.2 + 0.79 * learned,
            "macro_f1": 0.15 + 0.84 * learned,
            "val_loss": 2.2 * (1 - 0.9 * learned) + 2 * late,
            "val_accuracy": 0.2 + 0.72 * learned - late,
            "val_macro_f1": 0.15 + 0.76 * learned - late,
        }


def make_run(
    folder: Path,
    *,
    classes: Sequence[str] = TOOLS,
    models: dict[str, float] | None = None,
    per_class: int = 120,
    seeds: int = 1,
    epochs: int = 14,
    name: str = "tools",
    draws: int = 200,
    left_out: Sequence[dict[str, str]] = (),
    warnings: Sequence[str] = (),
) -> Leaderboard:
    """Write a run folder through the writers that ``compare`` uses."""
    run = RunFolder(folder)
    models = MODELS if models is None else models
    rows = manifest_rows(classes, per_class)
    by_split = {
        split: [row for row in rows if row.split == split]
        for split in ("train", "validation", "test")
    }
    folder.mkdir(parents=True)
    write_manifest(run.manifest, rows)
    train_labels = np.array([classes.index(row.label) for row in by_split["train"]])
    tests, model_rows = {}, []
    for number, (model, skill) in enumerate(models.items()):
        files = run.model(slug_of(model))
        files.path.mkdir(parents=True)
        validation = answers(by_split["validation"], classes, skill, number)
        tests[model] = answers(by_split["test"], classes, skill, 100 + number)
        write_predictions(files.predictions, {"validation": validation, "test": tests[model]})
        history = list(history_rows(1 if model == "probe" else epochs, skill))
        write_history(files.history, history)
        best_epoch = max(history, key=lambda row: row["val_macro_f1"])["epoch"]
        notes = ["Stopped early."] if number == 0 else []
        write_json(files.training, {"best_epoch": best_epoch, "notes": notes})
        on_validation = evaluate(validation, draws=1)
        model_rows.append(
            ModelRow(
                model,
                evaluate(tests[model], draws=draws),
                params=3_400_000 // (number + 1),
                validation_accuracy=on_validation.accuracy,
                validation_macro_f1=on_validation.macro_f1,
                train_seconds=745.0 / (number + 1),
                epochs=len(history),
                latency_ms_p50=(9.1, 8.2, 3.3, 14.0)[number % 4],
                latency_ms_p95=(11.4, 9.9, 4.1, 1234.0)[number % 4],
                images_per_second=(138.0, 140.2, 410.0, 61.0)[number % 4],
                size_bytes=18_200_000 // (number + 1),
                peak_memory_bytes=210_000_000,
                seeds=tuple(
                    SeedFigures(seed, 0.9 + 0.01 * seed, 0.89 + 0.012 * seed)
                    for seed in range(seeds)
                ),
            )
        )
    if tests:
        majority = majority_predictions(train_labels, next(iter(tests.values())))
        tests["majority"] = majority
        model_rows = [with_verdict(row, evaluate(majority, draws=1)) for row in model_rows]
        model_rows.append(ModelRow("majority", evaluate(majority, draws=draws), baseline=True))
    board = assemble(
        DatasetInfo(
            name,
            tuple(classes),
            {split: len(of_split) for split, of_split in by_split.items()},
            {entry["reason"]: 1 for entry in left_out},
            fingerprint(rows),
        ),
        machine_info(),
        model_rows,
        compare_models(tests, draws=draws) if tests else [],
        [NotTrained("vgg16", "the time budget was spent")],
    )
    write_json(run.leaderboard, board.to_json())
    intake = {"found": len(rows) + len(left_out), "used": len(rows), "left_out": list(left_out)}
    run.intake.write_text(json.dumps(intake), "utf-8")
    write_json(
        run.run,
        {
            "pegboard": "0.1.0",
            "command": f"pegboard compare {name} --models {','.join(models)}",
            "started": "2025-11-21T13:34:00+00:00",
            "settings": {"seed": 0, "recipe": "default", "weights": ["xception=x.safetensors"]},
            "seeds": list(range(seeds)),
            "warnings": list(warnings),
            "fit": {"chosen": "letterbox", "reason": "best on validation", "scores": None},
            "models": {model: {"recipe": {"epochs": epochs}} for model in models},
            "test_opened": ["2025-11-21T13:50:10+00:00"],
        },
    )
    return board


def with_verdict(row: ModelRow, majority) -> ModelRow:
    collapsed, reason = is_collapsed(row.test, majority)
    return replace(row, collapsed=collapsed, collapsed_reason=reason)


class Page(HTMLParser):
    """Reads a page into its tables, links, ids, headings and tags."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.exact: dict[str, list[list[float | None]]] = {}
        self.headings: list[tuple[int, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self._table = ""
        self._cell: list[str] | None = None
        self.feed(text)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag, attrs) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "table":
            self._table = attributes.get("id") or f"table {len(self.tables)}"
            self.tables[self._table], self.exact[self._table] = [], []
        elif tag == "tr":
            self.tables[self._table].append([])
            self.exact[self._table].append([])
        elif tag in ("td", "th"):
            self._cell = []
            exact = attributes.get("data-exact")
            self.exact[self._table][-1].append(float(exact) if exact else None)
        elif re.fullmatch(r"h\d", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        if tag in self.VOID:
            return
        assert self._open.pop() == tag, f"</{tag}> closes something else"
        if tag in ("td", "th"):
            self.tables[self._table][-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data) -> None:
        if self._cell is not None:
            self._cell.append(data)
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)
        if any(re.fullmatch(r"h\d", tag) for tag in self._open):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]
