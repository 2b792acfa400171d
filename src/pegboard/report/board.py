"""The leaderboard, the comparisons and the figures that show all models at once."""

from __future__ import annotations

from pegboard.errors import PlotUnavailable
from pegboard.report import figures
from pegboard.report.context import Chart, ComparisonRow, LeaderboardRow, NotTrained, Number
from pegboard.report.numbers import (
    MISSING,
    bytes_of,
    p_value,
    percentage,
    plain,
    share,
    three_digits,
    time_of,
)
from pegboard.report.run import Json, Run, Shelf
from pegboard.words import leads_of


def highlights(run: Run, n: int) -> tuple[tuple[str, str, str], ...]:
    """Return title, figure and explanation of what matters most; empty without a model."""
    best = next((model for model in run.models if model["name"] == run.best), None)
    if best is None:
        return ()
    accuracy = percentage(best.get("accuracy"), n, best.get("accuracy_ci"))
    macro_f1 = share(best.get("macro_f1"), n, best.get("macro_f1_ci"))
    tiles = [
        ("Best model", str(run.best), "highest macro-F1 on the validation photos"),
        ("Accuracy", accuracy.shown, f"95 % interval {accuracy.interval}, n = {n:,}"),
        ("Macro-F1", macro_f1.shown, f"95 % interval {macro_f1.interval}, n = {n:,}"),
    ]
    if best.get("latency_ms_p50"):
        latency = three_digits(best["latency_ms_p50"], " ms")
        slow = three_digits(best.get("latency_ms_p95"), " ms").shown
        tiles.append(("One photo takes", latency.shown, f"median; 95 % within {slow}"))
    return tuple(tiles)


def leaderboard(run: Run, n: int) -> tuple[LeaderboardRow, ...]:
    """Return a row for every model, the best on validation first, baselines last."""
    ties = _ties(run)
    return tuple(_leaderboard_row(model, run, n, ties) for model in run.models)


def _leaderboard_row(model: Json, run: Run, n: int, ties: set[str]) -> LeaderboardRow:
    name = model["name"]
    return LeaderboardRow(
        name=name,
        anchor=anchor_of(run, model),
        notes=_notes(model, best=name == run.best, tie=name in ties),
        best=name == run.best,
        baseline=bool(model.get("baseline")),
        collapsed=bool(model.get("collapsed")) and not model.get("baseline"),
        collapsed_reason=model.get("collapsed_reason") or "",
        accuracy=percentage(model.get("accuracy"), n, model.get("accuracy_ci")),
        macro_f1=share(model.get("macro_f1"), n, model.get("macro_f1_ci")),
        validation_macro_f1=share(model.get("validation_macro_f1"), n),
        loss=plain(model.get("loss"), "{:.3f}"),
        ece=share(model.get("ece"), 0),
        latency=three_digits(model.get("latency_ms_p50")),
        latency_p95=three_digits(model.get("latency_ms_p95")),
        throughput=plain(model.get("images_per_second"), "{:,.0f}"),
        size=bytes_of(model.get("size_bytes")),
        memory=bytes_of(model.get("peak_memory_bytes")),
        parameters=plain(model.get("params"), "{:,.0f}"),
        train_time=time_of(model.get("train_seconds")),
        epochs=plain(model.get("epochs"), "{:,.0f}"),
        seeds_accuracy=over_seeds(model, "accuracy"),
        seeds_macro_f1=over_seeds(model, "macro_f1"),
    )


def anchor_of(run: Run, model: Json) -> str:
    """Return the id of a model's section; empty for a model without predictions of its own."""
    folder = run.model_folder(model["name"])
    return f"model-{folder.slug}" if folder.predictions.exists() else ""


def _ties(run: Run) -> set[str]:
    """Models that are not shown to differ from the best one."""
    leads = leads_of(run.best, run.leaderboard["comparisons"])
    return {name for name, lead in leads.items() if lead.verdict == "tie"}


def _notes(model: Json, *, best: bool, tie: bool) -> tuple[str, ...]:
    notes = (
        ("best", best),
        ("tied with the best", tie),
        ("Pareto front", bool(model.get("pareto"))),
        ("baseline", bool(model.get("baseline"))),
    )
    return tuple(note for note, holds in notes if holds)


def over_seeds(model: Json, quantity: str) -> Number:
    """Return a figure's mean ± standard deviation over seeds; a dash for a single seed."""
    mean, sd, n = model.get("mean"), model.get("sd"), model["n"]
    if not mean or not sd:
        return Number(MISSING)
    form = percentage if quantity == "accuracy" else share
    middle, spread = form(mean[quantity], n), form(sd[quantity], n)
    return Number(f"{middle.shown.removesuffix(' %')} ± {spread.shown}", middle.exact)


def comparisons(run: Run) -> tuple[ComparisonRow, ...]:
    """Return a row for every pair of models, those with the best one first."""
    facing = [_facing(run.best, comparison) for comparison in run.leaderboard["comparisons"]]
    facing.sort(key=lambda comparison: comparison["a"] != run.best)
    return tuple(_comparison_row(comparison) for comparison in facing)


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


def _comparison_row(comparison: Json) -> ComparisonRow:
    verdicts = {
        "a_better": f"{comparison['a']} is better",
        "b_better": f"{comparison['b']} is better",
        "not_shown": "no difference shown",
    }
    low, high = (f"{100 * end:+.1f}" for end in comparison["ci"])
    difference = comparison["difference"]
    return ComparisonRow(
        a=comparison["a"],
        b=comparison["b"],
        difference=Number(f"{100 * difference:+.1f}", repr(difference), f"{low} to {high}"),
        p=p_value(comparison["p_adjusted"]),
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
