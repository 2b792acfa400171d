"""The functions of ``import pegboard``: compare, open_run, load."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from pegboard.audit.folder import DEFAULT as CHECK_FOLDER
from pegboard.budget import parse_duration
from pegboard.check_results import Check
from pegboard.checking import CheckSettings, check_source
from pegboard.errors import InputError, RunFolderError, require_extra
from pegboard.inputs import Fit
from pegboard.loaded import load
from pegboard.notebook import progress_here
from pegboard.photos import Source
from pegboard.progress import Progress
from pegboard.recipes import RecipeName
from pegboard.results import Run, open_run
from pegboard.settings import CompareSettings
from pegboard.sources.given import Given, GivenSource, label_texts, pictures
from pegboard.split import parse_fractions

__all__ = ["compare", "load", "open_run"]

StrPath = str | os.PathLike[str]
Photos = Sequence[Given] | NDArray[Any]


def compare(
    source: StrPath | tuple[Photos, Sequence[Any]] | Mapping[str, tuple[Photos, Sequence[Any]]],
    models: str | Sequence[str] | None = None,
    *,
    out: StrPath | None = None,
    seeds: int = 1,
    seed: int = 0,
    folds: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    image_size: int | None = None,
    fit: Fit | Literal["auto"] = "auto",
    recipe: RecipeName = "default",
    weights: str | Sequence[str] = (),
    wrong_at_most: float | None = None,
    corrections: StrPath | None = None,
    before: StrPath | None = None,
    from_bundle: StrPath | None = None,
    budget: float | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    fractions: str | Sequence[float] | None = None,
    split_seed: int = 0,
    previous: StrPath | None = None,
    allow_leaks: bool = False,
    merge: Mapping[str, str] | None = None,
    exclude_class: str | Sequence[str] = (),
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    group_column: str = "group",
    device: str = "auto",
    threads: int | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Train several models on labelled photos and compare them honestly.

    The same as the command ``pegboard compare``, with the same defaults.

    Parameters
    ----------
    source
        A folder of class folders, a table, an archive, an npz …, or a name such as
        ``"digits"``; or ``(photos, labels)``; or ``{"train": (photos, labels), "test":
        (photos, labels)}``, where photos are file names, Pillow images or arrays
        ``(n, h, w[, c])``.
    models
        Names, as a sequence or separated by commas; see ``pegboard models``. By default
        ``probe,efficientnet_lite0``, or ``lm,cnn,fastcnn`` for pictures of up to 64 px.
    out
        Run folder; by default ``pegboard-runs/SOURCE-DATE-TIME``.
    seeds, seed
        Every model is trained with seeds ``seed … seed + seeds - 1``.
    folds
        Grouped cross-validation in place of one split.
    epochs, batch_size, learning_rate, image_size
        Replace the recipe's own.
    fit
        How photos are brought to size: ``crop``, ``letterbox``, ``squash``, or ``auto``:
        chosen on validation.
    recipe
        ``default``, ``thorough``, ``robust`` or ``notebook``.
    weights
        ``NAME=FILE[,pad=same][,mean=…][,std=…]``, one or several.
    wrong_at_most
        Share of wrong answers among those a model calls sure; by default .05.
    corrections
        A file of corrected labels; the run says what they changed.
    before
        The run without the corrections to compare with: its folder, ``"train"`` to train the
        models without them, too, or ``"none"``; by default the last run made alike.
    from_bundle
        A trained model (``NAME.pegboard``) to go on from, with new photos or classes; its photos
        keep their split.
    budget
        Wall time for everything: seconds, or a text such as ``"10m"``.
    resume, overwrite
        Go on with, or replace, the run in ``out``.
    fractions, split_seed
        Shares of train, validation and test, and the seed of the split.
    previous
        A manifest whose split is kept; ``"none"`` to keep none; by default that of the last
        run of the same source.
    allow_leaks
        Go on although given splits share photos.
    merge, exclude_class
        Classes put into others, classes left out.
    path_column, label_column, split_column, group_column
        Names of a table's columns.
    device, threads
        Where to train, and with how many threads.
    progress
        Show progress in a notebook or a terminal; or where to tell it.

    Returns
    -------
    The run: tables, figures, models.

    Raises
    ------
    PegboardError
        For anything you must change: told in one line.
    Interrupted
        When stopped while training; what was done is kept in ``out``.

    Examples
    --------
    >>> run = pegboard.compare("digits", models=["lm", "nn"], epochs=3)   # doctest: +SKIP
    >>> run.leaderboard[["accuracy", "accuracy_low", "accuracy_high"]]    # doctest: +SKIP
    """
    given = {key: value for key, value in locals().items() if key not in ("source", "progress")}
    opened = _opened(source)
    if opened is not None:
        _check_given(out=out, resume=resume)
    settings = CompareSettings(
        source=os.fspath(source) if isinstance(source, str | os.PathLike) else "memory",
        models=_comma_separated(models),
        out=_path(out),
        seeds=seeds,
        seed=seed,
        folds=folds,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        image_size=image_size,
        fit=fit,
        recipe=recipe,
        weights=_texts(weights),
        wrong_at_most=wrong_at_most,
        corrections=_path(corrections),
        before=_text(before),
        from_bundle=Path(from_bundle) if from_bundle is not None else None,
        budget=_seconds(budget),
        resume=resume,
        overwrite=overwrite,
        fractions=_fractions(fractions),
        split_seed=split_seed,
        # Photos of another call have nothing to do with these.
        previous="none" if opened and previous is None else _text(previous),
        allow_leaks=allow_leaks,
        merge=dict(merge or {}),
        exclude_class=_texts(exclude_class),
        path_column=path_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        device=device,
        threads=threads,
    )
    require_extra("torch", "train")
    from pegboard.pipeline import compare as run_comparison  # noqa: PLC0415  (loads torch)

    folder, _ = run_comparison(
        settings,
        source=opened,
        command=_call("(photos, labels)" if opened else repr(settings.source), given),
        progress=_progress(progress),
    )
    return Run(folder.path)


def check(
    source: StrPath,
    *,
    out: StrPath = CHECK_FOLDER,
    overwrite: bool = False,
    corrections: StrPath | None = None,
    budget: float | str | None = None,
    merge: Mapping[str, str] | None = None,
    exclude_class: str | Sequence[str] = (),
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    group_column: str = "group",
    threads: int | None = None,
    progress: bool | Progress = True,
) -> Check:
    """Find bad files, duplicates, wrong labels and more among photos.

    The same as the command ``pegboard check``, with the same defaults. Nothing in the source is
    changed.

    Parameters
    ----------
    source
        A folder, with or without class folders, a table, an archive …, or a name such as
        ``"digits"``.
    out
        Folder for the findings.
    overwrite
        Replace the check of another source in ``out``.
    corrections
        A file of corrected labels to apply first.
    budget
        Wall time: seconds, or a text such as ``"10m"``; checks not reached say so.
    merge, exclude_class
        Classes put into others, classes left out.
    path_column, label_column, split_column, group_column
        Names of a table's columns.
    threads
        With how many threads; by default as many as there are cores.
    progress
        Show progress in a notebook or a terminal; or where to tell it.

    Returns
    -------
    The check: findings, outcomes, report.

    Raises
    ------
    PegboardError
        For anything you must change: told in one line.

    Examples
    --------
    >>> found = pegboard.check("photos")                        # doctest: +SKIP
    >>> found.findings.query("code == 'label-suspect'").head()  # doctest: +SKIP
    """
    settings = CheckSettings(
        source=os.fspath(source),
        out=Path(out),
        overwrite=overwrite,
        merge=dict(merge or {}),
        exclude_class=_texts(exclude_class),
        path_column=path_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        corrections=_path(corrections),
        threads=threads,
        budget=_seconds(budget),
    )
    return Check(check_source(settings, progress=_progress(progress)).folder.path)


def _opened(source: object) -> Source | None:
    """Return the source of photos that were handed over; None for one that has a name."""
    if isinstance(source, str | os.PathLike):
        return None
    if isinstance(source, Mapping):
        return GivenSource.of_splits(source)
    if not isinstance(source, tuple) or len(source) != 2:
        raise InputError(
            "expected a folder, a file, a name, (photos, labels) or {'train': (photos, labels), "
            f"'test': (photos, labels)}}, got {type(source).__name__}"
        )
    return GivenSource(pictures(source[0], where="photos"), label_texts(source[1]))


def _check_given(*, out: StrPath | None, resume: bool) -> None:
    if resume and out is None:
        raise RunFolderError("to resume with photos handed over in Python, name the folder: out=")


def _progress(progress: bool | Progress) -> Progress:
    if isinstance(progress, Progress):
        return progress
    return progress_here() if progress else Progress()


def _comma_separated(models: str | Sequence[str] | None) -> str | None:
    return models if models is None or isinstance(models, str) else ",".join(models)


def _texts(values: str | Sequence[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _path(path: StrPath | None) -> Path | None:
    return None if path is None else Path(path)


def _text(path: StrPath | None) -> str | None:
    return None if path is None else os.fspath(path)


def _seconds(budget: float | str | None) -> float | None:
    return parse_duration(budget) if isinstance(budget, str) else budget


def _fractions(fractions: str | Sequence[float] | None) -> tuple[float, float, float] | None:
    if fractions is None:
        return None
    return parse_fractions(
        fractions if isinstance(fractions, str) else ",".join(repr(float(x)) for x in fractions)
    )


def _call(source: str, options: Mapping[str, Any]) -> str:
    """Return the call as it would be typed; options left at their defaults are not named."""
    defaults = {**(compare.__kwdefaults__ or {}), "models": None}
    told = [source]
    for name, value in options.items():
        if value is not defaults[name]:
            plain = os.fspath(value) if isinstance(value, os.PathLike) else value
            told.append(f"{name}={plain!r}")
    return f"pegboard.compare({', '.join(told)})"
