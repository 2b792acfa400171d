"""The leaderboard, the comparisons and the figures that show all models at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pegboard.errors import PlotUnavailable
from pegboard.report import figures
from pegboard.report.context import (
    Chart,
    ComparisonRow,
    LeaderboardRow,
    NotTrained,
    Number,
    Tile,
)
from pegboard.report.numbers import MISSING, Figures, p_value, percentage, share, signed
from pegboard.report.run import Json, Run, Shelf
from pegboard.words import equally_good, is_tie, leads_of, listing, tie_break


def highlights(run: Run, n: int) -> tuple[Tile, ...]:
    """Return the few figures that matter most; empty without a model."""
    best = next((model for model in run.models if model["name"] == run.best), None)
    if best is None:
        return ()
    shown = figures_of(run, best, n)
    accuracy, macro_f1 = shown.percentage("accuracy"), shown.share("macro_f1")
    tiles = [
        Tile("Best model", Number(str(run.best)), _why_best(best, run.models)),
        Tile("Accuracy", accuracy, f"on n = {n:,} test photos"),
        Tile("Macro-F1", macro_f1, f"on n = {n:,} test photos"),
    ]
    if best.get("latency_ms_p50"):
        latency = shown.three_digits("latency_ms_p50", " ms")
        slow = shown.three_digits("latency_ms_p95", " ms").shown
        tiles.append(Tile("One photo takes", latency, f"median; 95 % within {slow}"))
    return tuple(tiles)


def _why_best(best: Json, models: Sequence[Json]) -> str:
    equal = equally_good(best, models)
    names = listing([model["name"] for model in equal])
    tie = f", as {names}; {tie_break(best, equal)}" if equal else ""
    return f"highest macro-F1 on the validation photos{tie}"


def figures_of(run: Run, model: Json, n: int) -> Figures:
    """Return a model's figures with their places in ``leaderboard.json``."""
    return Figures(model, f"/models/{run.leaderboard['models'].index(model)}", n)


def leaderboard(run: Run, n: int) -> tuple[LeaderboardRow, ...]:
    """Return a row for every model, the best on validation first, baselines last."""
    ties = _ties(run)
    return tuple(_leaderboard_row(model, run, n, ties) for model in run.models)


def _leaderboard_row(model: Json, run: Run, n: int, ties: set[str]) -> LeaderboardRow:
    name, shown = model["name"], figures_of(run, model, n)
    return LeaderboardRow(
        name=name,
        anchor=anchor_of(run, model),
        notes=_notes(model, best=name == run.best, tie=name in ties),
        best=name == run.best,
        baseline=bool(model.get("baseline")),
        collapsed=bool(model.get("collapsed")) and not model.get("baseline"),
        collapsed_reason=model.get("collapsed_reason") or "",
        accuracy=shown.percentage("accuracy"),
        macro_f1=shown.share("macro_f1"),
        validation_macro_f1=shown.share("validation_macro_f1"),
        loss=shown.plain("loss", "{:.3f}"),
        ece=replace(shown, n=0).share("ece"),
        latency=shown.three_digits("latency_ms_p50"),
        latency_p95=shown.three_digits("latency_ms_p95"),
        throughput=shown.plain("images_per_second", "{:,.0f}"),
        size=shown.bytes("size_bytes"),
        memory=shown.bytes("peak_memory_bytes"),
        parameters=shown.plain("params", "{:,.0f}"),
        train_time=shown.time("train_seconds"),
        epochs=shown.plain("epochs", "{:,.0f}"),
        seeds_accuracy=over_seeds(shown, "accuracy"),
        seeds_macro_f1=over_seeds(shown, "macro_f1"),
    )


def anchor_of(run: Run, model: Json) -> str:
    """Return the id of a model's section; empty for a model without predictions of its own."""
    folder = run.model_folder(model["name"])
    if not folder.predictions.exists():
        return ""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", folder.slug)
    # An id holds no spaces; what had to be changed could meet another name.
    number = "" if plain == folder.slug else f"-{run.leaderboard['models'].index(model)}"
    return f"model-{plain}{number}"


def _ties(run: Run) -> set[str]:
    """Models to choose from: not shown to differ from the best one, and not collapsed."""
    leads = leads_of(run.best, run.leaderboard["comparisons"])
    return {name for name, lead in leads.items() if is_tie(lead, run.model(name))}


def _notes(model: Json, *, best: bool, tie: bool) -> tuple[str, ...]:
    notes = (
        ("best", best),
        ("tied with the best", tie),
        ("Pareto front", bool(model.get("pareto"))),
        ("baseline", bool(model.get("baseline"))),
    )
    return tuple(note for note, holds in notes if holds)


def over_seeds(shown: Figures, quantity: str) -> Number:
    """Return a figure's mean ± standard deviation over seeds; a dash for a single seed."""
    mean, sd = shown.values.get("mean"), shown.values.get("sd")
    if not mean or not sd:
        return Number(MISSING)
    form = percentage if quantity == "accuracy" else share
    middle, spread = form(mean[quantity], shown.n), form(sd[quantity], shown.n)
    text = f"{middle.shown.removesuffix(' %')} ± {spread.shown}"
    return Number(text, middle.exact, place=f"{shown.place}/mean/{quantity}")


def comparisons(run: Run) -> tuple[ComparisonRow, ...]:
    """Return a row for every pair of models, those with the best one first."""
    pairs = [
        (_facing(run.best, comparison), Figures(comparison, f"/comparisons/{index}"))
        for index, comparison in enumerate(run.leaderboard["comparisons"])
    ]
    pairs.sort(key=lambda pair: pair[0]["a"] != run.best)
    return tuple(_comparison_row(facing, stored) for facing, stored in pairs)


def _facing(best: str | None, comparison: Json) -> Json:
    """Return the same comparison with the best model as ``a``, if it is one of the two."""
    if comparison["b"] != best:
        return comparison
    low, high = comparison["ci"]
    swapped = {"a_better": "b_better", "b_better": "a_better", "not_shown": "not_shown"}
    return dict(comparison) | {
        "a": comparison["b"],
        "b": comparison["a"],
        "difference": -comparison["difference"],
        "ci": (-high, -low),
        "verdict": swapped[comparison["verdict"]],
    }


def _comparison_row(comparison: Json, stored: Figures) -> ComparisonRow:
    verdicts = {
        "a_better": f"{comparison['a']} is better",
        "b_better": f"{comparison['b']} is better",
        "not_shown": "no difference shown",
    }
    low, high = (signed(100 * end, 1) for end in comparison["ci"])
    difference = comparison["difference"]
    # A difference that was turned round is not the one that stands in the file.
    place = f"{stored.place}/difference" if comparison["a"] == stored.values["a"] else ""
    return ComparisonRow(
        a=comparison["a"],
        b=comparison["b"],
        difference=Number(
            signed(100 * difference, 1), repr(difference), f"{low} to {high}", place=place
        ),
        p=stored.at("p_adjusted", p_value(comparison["p_adjusted"])),
        verdict=verdicts[comparison["verdict"]],
        shown=comparison["verdict"] != "not_shown",
    )


def not_trained(run: Run) -> tuple[NotTrained, ...]:
    """Return the models that were asked for and not trained."""
    return tuple(
        NotTrained(entry["name"], entry["reason"]) for entry in run.leaderboard["not_trained"]
    )


def score_chart(run: Run, shelf: Shelf) -> Chart | None:
    """Draw the accuracy of every model; None without any."""
    try:
        figure = figures.accuracy_bars(run)
    except PlotUnavailable:
        return None
    points = figures.points(run)
    return shelf.put(
        "accuracy",
        figure,
        caption="Accuracy of every model on the test photos, with its 95 % interval. Intervals "
        "of two models may overlap although the table of differences tells them apart: there, "
        "both answer the same photos.",
        alt="Accuracy with 95 % interval: "
        + "; ".join(f"{p.name} {p.value:.1f} % ({p.low:.1f} to {p.high:.1f})" for p in points),
    )


def pareto_chart(run: Run, shelf: Shelf) -> Chart | None:
    """Draw accuracy against speed; None when fewer than two models were timed."""
    try:
        figure = figures.pareto(run)
    except PlotUnavailable:
        return None
    points = [point for point in figures.points(run) if point.latency_ms]
    return shelf.put(
        "pareto",
        figure,
        caption="Accuracy against speed. For a model on the line, no other one is both faster "
        "and more accurate.",
        alt="Accuracy against milliseconds for one photo: "
        + "; ".join(f"{p.name} {p.value:.1f} % at {p.latency_ms:.3g} ms" for p in points),
    )


def curves_chart(run: Run, shelf: Shelf) -> Chart | None:
    """Draw the learning curves of all models; None when no model has any."""
    try:
        figure = figures.all_learning_curves(run)
    except PlotUnavailable:
        return None
    return shelf.put(
        "learning-curves",
        figure,
        caption="Learning curves of all models on one scale. Those of one model, with training "
        "and validation photos, stand in its section.",
        alt="Learning curves of all models on one scale; the figures are in the leaderboard",
    )
