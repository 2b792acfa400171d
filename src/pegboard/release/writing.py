"""One model of a run as one file to use elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pegboard.bundle import (
    MAX_LOSS,
    SUFFIX,
    Bundle,
    Likeness,
    Network,
    Parity,
    Reference,
    compare_answers,
    read_bundle,
    tell_size,
    unknown_facts,
    write_again,
)
from pegboard.bundle.deciding import coverage_and_risk
from pegboard.bundle.graph import with_metadata
from pegboard.calibrate import (
    NEVER_SURE,
    SURE_PRECISION,
    UNKNOWN_SHARE,
    set_limits,
    sure_limits,
)
from pegboard.errors import BundleError, PegboardError, RunFolderError
from pegboard.evaluate import evaluate, read_predictions
from pegboard.files import atomic_path
from pegboard.history import find_run
from pegboard.manifest import read_manifest
from pegboard.progress import Progress
from pegboard.release.neighbours import with_neighbours
from pegboard.release.quantise import CALIBRATION, layers_by_error, quantise
from pegboard.release.reopened import Reopened, reopened
from pegboard.runs import RunFolder, read_json, slug_of
from pegboard.settings import check_wrong_at_most

EXPORTS: Sequence[str] = ("pegboard", "pegboard-int8", "onnx", "onnx-int8")

KEPT_SHARES = (0.05, 0.1, 0.2, 0.4)
"""Shares of the layers that are put back to float32, in turn, while too much is lost."""

_PHOTOS_STUDIED = 300
"""Validation photos on which the layers to keep are chosen, and the limits of INT8 are set."""


def export_model(
    run: str | Path,
    model: str,
    to: str = "pegboard",
    out: str | Path | None = None,
    *,
    force: bool = False,
    wrong_at_most: float | None = None,
    neighbours: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a run's model as one file to use elsewhere.

    Parameters
    ----------
    run
        A run folder of ``pegboard compare``.
    model
        The model's name as typed there.
    to
        ``pegboard`` (the whole bundle) or ``onnx`` (the network alone; it takes uint8 pixels
        fitted to its size, and classes, fit and the comparison with the trained model stand in
        its metadata); with ``-int8`` in 8-bit integers, for which the run's photos must still be
        there.
    out
        The file; by default ``NAME.pegboard``, ``NAME-int8.onnx`` … in the current folder.
    force
        Replace ``out`` if it exists, and write INT8 whatever it loses.
    wrong_at_most
        Share of wrong answers among the sure ones
        (:func:`pegboard.calibrate.sure_limits`); None keeps what the model has.
    neighbours
        Put small pictures of training photos into a bundle, to show those most like a photo.

    Returns
    -------
    The file written.

    Raises
    ------
    RunFolderError
        When ``run`` is no run folder or holds no such model.
    BundleError
        When the model's bundle is damaged, or INT8 loses too much.
    SourceError
        When photos are needed and are not there any more.
    PegboardError
        When ``to`` is unknown, options do not fit, or ``out`` exists or cannot be written.
    """
    progress = progress or Progress()
    _check(to, wrong_at_most, neighbours=neighbours)
    run = find_run(str(run)).path
    bundle = read_bundle(_bundle_of(run, model))
    kind, is_int8 = to.removesuffix("-int8"), to.endswith("-int8")
    suffix = SUFFIX if kind == "pegboard" else ".onnx"
    target = (
        Path(out) if out is not None else Path(f"{bundle.info.slug}{'-int8' * is_int8}{suffix}")
    )
    if target.suffix in (SUFFIX, ".onnx") and target.suffix != suffix:
        raise PegboardError(
            f"--out {target} names a {target.suffix} file, and --to {to} writes a {suffix} file; "
            f"give --to {'onnx' if suffix == SUFFIX else 'pegboard'}, or another name"
        )
    if target.exists() and not force:
        raise PegboardError(f"{target} exists; give another --out, or --force to replace it")
    unchanged = not (is_int8 or neighbours) and wrong_at_most is None
    if unchanged and kind == "pegboard":
        return _written(target, bundle.path.read_bytes())
    if wrong_at_most is not None:
        bundle = _with_risk(run, bundle, wrong_at_most)
    if is_int8 or neighbours:
        with reopened(run, bundle) as opened:
            bundle = _in_int8(opened, progress, force=force) if is_int8 else bundle
            if neighbours:
                bundle = with_neighbours(replace(opened, bundle=bundle), progress)
    if kind == "onnx":
        return _written(target, plain_onnx(bundle))
    write_again(target, bundle)
    tell_size(target)
    return target


def _check(to: str, wrong_at_most: float | None, *, neighbours: bool) -> None:
    if to not in EXPORTS:
        raise PegboardError(f"--to: expected one of {', '.join(EXPORTS)}, got {to!r}")
    check_wrong_at_most(wrong_at_most)
    if neighbours and not to.startswith("pegboard"):
        raise PegboardError(
            "--with-neighbours: plain ONNX has no place for photos; use --to pegboard"
        )


def _written(target: Path, data: bytes) -> Path:
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)
    return target


def _bundle_of(run: Path, model: str) -> Path:
    name = slug_of(model)
    path = run / "models" / name / f"{name}{SUFFIX}"
    if not path.is_file():
        known = sorted(file.stem for file in (run / "models").glob(f"*/*{SUFFIX}"))
        raise RunFolderError(
            f"{run} has no bundle of a model {model!r}; it has: {', '.join(known) or 'none'}"
        )
    return path


# --- how sure is sure ----------------------------------------------------------------------


def _with_risk(run: Path, bundle: Bundle, wrong_at_most: float) -> Bundle:
    """Return the bundle with another threshold for sure, from the answers on validation."""
    folder = RunFolder(run)
    if read_json(folder.run).get("settings", {}).get("folds"):
        raise PegboardError(
            "--wrong-at-most: this run is a cross-validation, whose answers are those of several "
            "models; compare without --folds to have one model's own"
        )
    groups = {row.path: row.group or row.path for row in read_manifest(folder.manifest)}
    answers = read_predictions(folder.model(bundle.info.slug).predictions, groups)
    if "validation" not in answers:
        raise RunFolderError(f"{run} does not hold the answers on validation photos")
    found = answers["validation"]
    limits = sure_limits(found.probabilities, found.labels, wrong_at_most, found.groups)
    info = replace(bundle.info, thresholds=limits)
    # What it came to on test photos was with the other threshold.
    if (kept := bundle.answers) is not None:
        told = coverage_and_risk(info, kept.probabilities, kept.strangeness, kept.labels)
        info = replace(info, abstention=told)
    return replace(bundle, info=info)


# --- INT8 ----------------------------------------------------------------------------------


def _in_int8(opened: Reopened, progress: Progress, *, force: bool) -> Bundle:
    """Return the bundle with the network in 8-bit integers, proved on all test photos.

    Raises
    ------
    BundleError
        When it loses too much.
    """
    bundle, info = opened.bundle, opened.bundle.info
    calibration = np.concatenate(list(opened.pixels(opened.some("train", CALIBRATION))))
    progress.message(f"INT8: ranges from {len(calibration)} training photos")
    model, kept = _mixed(opened, calibration, progress)
    network = Network(model, info.input, len(info.classes))
    tested, trained = opened.trained_answers("test")
    sight = opened.answered(network, tested)
    labels = opened.labels[tested]
    parity = compare_answers(
        trained, sight.probabilities, labels, precision="int8", kept_in_float=tuple(kept)
    )
    if complaint := parity.complaint():
        if not force:
            raise BundleError(complaint)
        progress.message(f"note: {complaint.partition('; nothing')[0]}; written all the same")
        parity = replace(parity, forced=True)
    figures = _figures_of(opened, tested, sight.probabilities)
    changed = replace(info, parity=parity, graph={}, figures=figures, **_limits(opened, network))
    likeness, strangeness = bundle.likeness, None
    if likeness is not None and sight.features is not None:
        likeness, above = _learn_again(opened, network)
        changed = replace(changed, unknown=unknown_facts(above))
        strangeness = likeness.strangeness(sight)
    changed = replace(
        changed, abstention=coverage_and_risk(changed, sight.probabilities, strangeness, labels)
    )
    inputs = bundle.reference.inputs(info.input)
    reference = Reference(bundle.reference.grids, network.probabilities(inputs))
    return replace(bundle, info=changed, model=model, reference=reference, likeness=likeness)


def _figures_of(opened: Reopened, tested: Any, probabilities: Any) -> dict[str, Any]:
    """Return the figures of the network in INT8; what it costs was measured of the other one."""
    gone = dict.fromkeys(_OF_THE_FLOAT_NETWORK)
    figures = evaluate(opened.predictions(tested, probabilities)).to_json()
    return dict(opened.bundle.info.figures) | gone | figures | {"seeds": []}


_OF_THE_FLOAT_NETWORK = (
    *("validation_accuracy", "validation_macro_f1", "latency_ms_p50", "latency_ms_p95"),
    *("images_per_second", "peak_memory_bytes", "mean", "sd"),
)


def _limits(opened: Reopened, network: Network) -> dict[str, Any]:
    """Return how sure is sure, and how probable a class left open: by the answers in INT8."""
    thresholds = opened.bundle.info.thresholds
    if opened.is_pooled:  # no photo is left that shows it
        return {"thresholds": {**thresholds, "sure": NEVER_SURE}, "sets": {}}
    indices = opened.indices("validation")
    known = opened.predictions(indices, opened.answered(network, indices).probabilities)
    wrong_at_most = 1 - (thresholds.get("precision") or SURE_PRECISION)
    return {
        "thresholds": sure_limits(known.probabilities, known.labels, wrong_at_most, known.groups),
        "sets": {"n": len(known), "least": set_limits(known.probabilities, known.labels)},
    }


def _mixed(opened: Reopened, calibration: Any, progress: Progress) -> tuple[bytes, list[str]]:
    """Return the network in INT8, and its layers that had to stay in float32.

    They are chosen on validation photos: as many as it takes to lose no more than is accepted.
    """
    info, plain = opened.bundle.info, opened.bundle.model
    model = quantise(plain, calibration)
    if opened.is_pooled:  # there are no photos that it neither learned from nor is tested on
        return model, []
    chosen = opened.some("validation", _PHOTOS_STUDIED)
    before = opened.answered(Network(plain, info.input, len(info.classes)), chosen).probabilities
    order: list[str] = []
    kept: list[str] = []
    for share in (*KEPT_SHARES, None):
        network = Network(model, info.input, len(info.classes))
        parity = _parity_on(opened, chosen, before, network)
        progress.message(
            f"INT8: {100 * (parity.loss or 0):.1f} points of macro-F1 lost on {parity.n} "
            f"validation photos, {len(kept)} layers kept in float"
        )
        if share is None or (parity.loss or 0) <= MAX_LOSS:
            break
        order = order or layers_by_error(plain, model, calibration)
        kept = order[: max(1, round(share * len(order)))]
        model = quantise(plain, calibration, kept)
    return model, kept


def _parity_on(opened: Reopened, chosen: Any, before: Any, network: Network) -> Parity:
    after = opened.answered(network, chosen).probabilities
    return compare_answers(before, after, opened.labels[chosen], precision="int8")


def _learn_again(opened: Reopened, network: Network) -> tuple[Likeness, float]:
    """Learn from the features in INT8 what is unknown: they differ a little."""
    train, validation = (opened.some(split, 4 * _PHOTOS_STUDIED) for split in _LEARNED_FROM)
    seen, known = (opened.answered(network, part) for part in (train, validation))
    assert seen.features is not None
    return Likeness.learned(seen.features, opened.labels[train], seen.traits, known, UNKNOWN_SHARE)


_LEARNED_FROM: tuple[Any, Any] = ("train", "validation")


# --- plain ONNX ----------------------------------------------------------------------------


def plain_onnx(bundle: Bundle) -> bytes:
    """Return the network with what a stranger needs of model.json in its metadata.

    Classes and fit stand there already; here come the thresholds as they are now, the
    comparison with the trained model, and whose weights it began with.
    """
    info = bundle.info
    told: Mapping[str, Any] = {
        "thresholds": dict(info.thresholds),
        "parity": None if info.parity is None else info.parity.to_json(),
        "weights": dict(info.weights),
    }
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()}
    return with_metadata(bundle.model, texts | {"created_by": info.created_by})
