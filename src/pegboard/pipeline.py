"""The main job: from a source to a run folder with leaderboard, report and bundles.

:func:`compare` reads as the story it is: prepare the photos, train every model, open the test
set, evaluate, bundle, report. Everything that can be refused is refused before the run
folder is made or anything is trained.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pegboard import __version__
from pegboard.before import Before, before_path, find_before, named_before, tell_effect
from pegboard.budget import Budget
from pegboard.bundle import BundleInfo, data_facts, rewrite_info
from pegboard.corrections import read_corrections
from pegboard.errors import (
    BudgetSpent,
    BundleError,
    Interrupted,
    PegboardError,
    RunFolderError,
)
from pegboard.evaluate import (
    Evaluation,
    Predictions,
    evaluate,
    is_collapsed,
    majority_predictions,
    write_predictions,
)
from pegboard.finish import Answers, answer, answer_seconds, bundle, pool
from pegboard.folds import fold_numbers
from pegboard.history.finished import FinishedRun
from pegboard.illustrate import Exhibit, illustrate
from pegboard.leaderboard import (
    MAJORITY,
    DatasetInfo,
    Leaderboard,
    ModelRow,
    NotTrained,
    SeedFigures,
    assemble,
    machine_info,
)
from pegboard.learn import Job, Task, Trained, train_job
from pegboard.loader import Photos
from pegboard.manifest import write_manifest
from pegboard.photos import SPLITS, Source, SplitName
from pegboard.prepare import (
    FitChoice,
    ModelPlan,
    Prepared,
    assignments,
    choose_fit,
    open_settings_source,
    plan_models,
    prepare,
    previous_assignments,
    threads_of,
)
from pegboard.progress import Progress
from pegboard.report import write_report
from pegboard.runs import (
    MARK,
    RUNS,
    ModelFolder,
    RunFolder,
    check_usable,
    default_path,
    read_json,
    runs_of,
    write_json,
)
from pegboard.settings import CompareSettings
from pegboard.significance import compare_models
from pegboard.speed import measure
from pegboard.train import Diverged, choose_device

REPORT_SECONDS = 4.0
"""Reserved at the end of a budget for the comparison and for what any report takes."""

FINISH_SECONDS, FINISH_BACKBONE_SECONDS = 6.0, 12.0
"""Reserved per model for export, timing and report, on top of its predictions."""

EVIDENCE_SHARE, EVIDENCE_SECONDS = 0.02, 10.0
"""Reserved of a budget, and at most, for the photos that the report shows."""

SPEED_PHOTOS = 64


@dataclass(frozen=True)
class Round:
    """One training of every model: a seed, or a fold. ``part`` is its subfolder, if any."""

    part: str
    task: Task
    seed: int


@dataclass
class Outcome:
    """What became of one model, over all rounds."""

    plan: ModelPlan
    trained: list[tuple[Round, Job, ModelFolder, Trained]] = field(default_factory=list)
    answers: list[Answers] = field(default_factory=list)
    reason: str | None = None


class Comparison:
    """One run of ``compare``. Use :func:`compare`."""

    def __init__(
        self,
        settings: CompareSettings,
        prepared: Prepared,
        folder: RunFolder,
        *,
        before: Before,
        command: str,
        budget: Budget,
        progress: Progress,
    ) -> None:
        self.settings = settings
        self.before = before
        self.prepared = prepared
        self.folder = folder
        self.budget = budget
        self.progress = progress
        self.threads = threads_of(settings)
        self.photos = Photos(prepared.source, prepared.split.rows, threads=self.threads)
        self.machine = machine_info()
        self._bundles: dict[str, tuple[Path, BundleInfo]] = {}
        self._was_there = False
        self.record: dict[str, Any] = {
            MARK: __version__,
            "command": command,
            "settings": settings.deciding(),
            "seeds": [settings.seed + number for number in range(settings.seeds)],
            "split_seed": settings.split_seed,
            "folds": settings.folds,
            "source": {"name": prepared.source.name, "location": prepared.source.location},
            "started": _now(),
            "status": "running",
            "process": os.getpid(),
            "fingerprint": prepared.fingerprint,
            "machine": self.machine.to_json(),
            "versions": dict(self.machine.versions),
            "warnings": list(prepared.warnings),
            "test_opened": [],
        }

    def run(self) -> Leaderboard:
        """Do the whole job."""
        self._begin()
        try:
            with self._marked():
                fit = self._fit()
                plans = plan_models(self.prepared, self.settings, fit.fit)
                self._note_plans(fit, plans)
                outcomes = self._train_all(plans, self._rounds())
                leaderboard = self._open_test(outcomes)
                self._finish(leaderboard, outcomes)
        finally:
            self.photos.close()
        return leaderboard

    def _begin(self) -> None:
        path = self.folder.path
        self._was_there = path.exists()
        if self.settings.overwrite and path.exists():
            self.folder.remove_contents()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make the folder {path}: {error.strerror}") from error
        if self.settings.resume:
            earlier = read_json(self.folder.run)
            self.record |= {key: earlier[key] for key in ("test_opened", "fit") if key in earlier}
        try:
            write_json(self.folder.run, self.record)
            write_manifest(self.folder.manifest, self.prepared.split.rows)
            write_json(self.folder.intake, self._intake())
        except PegboardError:
            self._clean_up()
            raise

    def _clean_up(self) -> None:
        """Leave nothing behind of a run that failed before it had trained anything."""
        if self.settings.resume or self.folder.holds_training():
            return
        if self._was_there:
            self.folder.remove_contents()
        else:
            self.folder.remove()

    def _fit(self) -> FitChoice:
        """Choose the fit; a resumed run keeps the one its models were trained with."""
        earlier = self.record.get("fit")
        if earlier:
            return FitChoice(earlier["chosen"], earlier["reason"], earlier["scores"])
        self.budget.reserve = self._reserve
        return choose_fit(self.prepared, self.settings, budget=self.budget, progress=self.progress)

    @property
    def _reserve(self) -> float:
        """Seconds kept for what comes after training, whatever the models are."""
        return REPORT_SECONDS + min(EVIDENCE_SECONDS, EVIDENCE_SHARE * (self.budget.seconds or 0))

    def _intake(self) -> dict[str, Any]:
        left_out = self.prepared.split.left_out
        used = len(self.prepared.split.rows)
        rows = [
            {"path": item.path, "reason": item.reason, "detail": item.detail} for item in left_out
        ]
        return {
            "found": used + len(left_out),
            "used": used,
            "left_out": rows,
            "warnings": list(self.prepared.warnings),
        }

    @contextmanager
    def _marked(self) -> Iterator[None]:
        """Write into run.json that the block was interrupted or failed."""
        try:
            yield
        except KeyboardInterrupt as stop:
            self._mark("interrupted")
            raise Interrupted(self.folder.path) from stop
        except BaseException:
            self._mark("failed")
            self._clean_up()
            raise

    def _mark(self, status: str) -> None:
        self.record["status"] = status
        # The disk may be full: then the first error is the one to tell.
        with suppress(PegboardError):
            write_json(self.folder.run, self.record)

    def _rounds(self) -> list[Round]:
        if self.settings.folds:
            return self._fold_rounds(self.settings.folds)
        task = self._task(*(self.prepared.indices(split) for split in SPLITS))
        seeds = self.record["seeds"]
        return [Round(f"seed-{seed}" if seed != seeds[0] else "", task, seed) for seed in seeds]

    def _fold_rounds(self, folds: int) -> list[Round]:
        rows = self.prepared.split.rows
        groups = [row.group or row.path for row in rows]
        fold_of = fold_numbers(
            self.prepared.labels, groups, folds=folds, seed=self.settings.split_seed
        )
        rounds = []
        for fold in range(folds):
            validation = (fold + 1) % folds
            task = self._task(
                np.flatnonzero((fold_of != fold) & (fold_of != validation)),
                np.flatnonzero(fold_of == validation),
                np.flatnonzero(fold_of == fold),
            )
            rounds.append(Round(f"fold-{fold + 1}" if fold else "", task, self.settings.seed))
        return rounds

    def _task(self, train: Any, validation: Any, test: Any) -> Task:
        return Task(
            photos=self.photos,
            keys=[photo.pixels for photo in self.prepared.photos],
            classes=self.prepared.classes,
            labels=self.prepared.labels,
            train=train,
            validation=validation,
            test=test,
            fingerprint=self.prepared.fingerprint,
        )

    def _note_plans(self, fit: FitChoice, plans: Sequence[ModelPlan]) -> None:
        self.record["fit"] = {
            "chosen": fit.fit,
            "reason": fit.reason,
            "scores": dict(fit.scores) if fit.scores else None,
        }
        self.record["models"] = {
            plan.name.typed: {
                "recipe": plan.recipe.to_json(),
                "input": plan.spec.to_json(),
                "weights": plan.weights.to_json() if plan.weights else None,
            }
            for plan in plans
        }
        write_json(self.folder.run, self.record)
        if fit.scores:
            scores = ", ".join(f"{name} {score:.3f}" for name, score in fit.scores.items())
            self.progress.message(f"fit: {fit.fit} ({fit.reason}; macro-F1 {scores})")

    def _train_all(self, plans: Sequence[ModelPlan], rounds: Sequence[Round]) -> list[Outcome]:
        outcomes = [Outcome(plan) for plan in plans]
        self.budget.reserve = self._reserve
        for number, outcome in enumerate(outcomes):
            for round_ in rounds:
                if outcome.reason is None:
                    self._train_one(outcome, round_)
            if all(other.plan.spec != outcome.plan.spec for other in outcomes[number + 1 :]):
                self.photos.forget(outcome.plan.spec)
        return outcomes

    def _train_one(self, outcome: Outcome, round_: Round) -> None:
        plan = outcome.plan
        job = Job(
            plan.name,
            plan.spec,
            plan.recipe,
            plan.weights,
            round_.seed,
            self.settings.device,
            self.threads,
        )
        folder = self.folder.model(plan.name.slug)
        folder = folder.part(round_.part) if round_.part else folder
        # What this model itself will need after training is held back while it trains; only
        # the first of its seeds or folds is exported and timed.
        needed = 0.0
        if self.budget.seconds is not None and not self.budget.spent:
            needed = answer_seconds(job, round_.task)
        if not outcome.trained:
            needed += FINISH_BACKBONE_SECONDS if plan.name.is_backbone else FINISH_SECONDS
        self.budget.reserve += needed
        try:
            trained = train_job(
                job, round_.task, folder, budget=self.budget, progress=self.progress
            )
        except BudgetSpent:
            self.budget.reserve -= needed
            outcome.reason = outcome.reason or self._budget_reason(outcome)
            return
        except Diverged as error:
            self.budget.reserve -= needed
            outcome.reason = str(error)
            self.progress.message(f"{plan.name.typed}: {error}")
            return
        outcome.trained.append((round_, job, folder, trained))
        self._tell_trained(plan, round_, trained)

    def _budget_reason(self, outcome: Outcome) -> str | None:
        # Further seeds that were not reached do not undo the first one; a missing fold does.
        if outcome.trained and not self.settings.folds:
            return None
        return f"the budget of {self.budget.seconds:.0f} s was used up"

    def _tell_trained(self, plan: ModelPlan, round_: Round, trained: Trained) -> None:
        where = f" ({round_.part})" if round_.part else ""
        epochs = f"{trained.epochs} epoch{'s' if trained.epochs != 1 else ''}"
        self.progress.message(
            f"{plan.name.typed}{where}: trained in {trained.seconds:.1f} s, {epochs}"
        )
        for note in trained.notes:
            self.progress.message(f"{plan.name.typed}: {note}")

    def _open_test(self, outcomes: Sequence[Outcome]) -> Leaderboard:
        usable = [outcome for outcome in outcomes if outcome.trained and outcome.reason is None]
        if not usable:
            raise PegboardError(self._nothing_trained(outcomes))
        self.record["test_opened"].append(_now())
        write_json(self.folder.run, self.record)
        test: dict[str, Predictions] = {}
        for outcome in usable:
            self._answer(outcome)
            test[outcome.plan.name.typed] = self._shown(outcome)[1]
        return self._leaderboard(outcomes, usable, test)

    def _nothing_trained(self, outcomes: Sequence[Outcome]) -> str:
        reasons = {outcome.reason for outcome in outcomes}
        if self.settings.budget and reasons == {self._budget_reason(outcomes[0])}:
            return (
                f"no model could be trained within the budget of {self.settings.budget:.0f} s, "
                "evaluation and report included; --dry-run says what each needs: give a larger "
                "--budget or smaller models"
            )
        told = "; ".join(f"{outcome.plan.name.typed}: {outcome.reason}" for outcome in outcomes)
        return f"no model could be trained ({told})"

    def _answer(self, outcome: Outcome) -> None:
        for round_, job, folder, _ in outcome.trained:
            answers = answer(job, round_.task, folder, progress=self.progress)
            outcome.answers.append(answers)
            splits = {"validation": answers.validation, "test": answers.test}
            write_predictions(folder.predictions, splits)  # type: ignore[arg-type]
        if self.settings.folds:
            validation, pooled = self._shown(outcome)
            file = self.folder.model(outcome.plan.name.slug).predictions
            write_predictions(file, {"validation": validation, "test": pooled})

    def _shown(self, outcome: Outcome) -> tuple[Predictions, Predictions]:
        """Return the validation and test predictions behind the top-level figures."""
        if self.settings.folds:
            return (
                pool([answers.validation for answers in outcome.answers]),
                pool([answers.test for answers in outcome.answers]),
            )
        return outcome.answers[0].validation, outcome.answers[0].test

    def _leaderboard(
        self,
        outcomes: Sequence[Outcome],
        usable: Sequence[Outcome],
        test: Mapping[str, Predictions],
    ) -> Leaderboard:
        template = next(iter(test.values()))
        train_labels = self.prepared.labels[self.prepared.indices("train")]
        majority_test = majority_predictions(train_labels, template)
        majority = evaluate(majority_test)
        rows = [self._row(outcome, test[outcome.plan.name.typed], majority) for outcome in usable]
        rows.append(self._majority_row(usable[0], majority, train_labels))
        compared = compare_models({**test, MAJORITY: majority_test})
        board = assemble(
            self._dataset(),
            self.machine,
            rows,
            compared,
            [
                NotTrained(outcome.plan.name.typed, outcome.reason)
                for outcome in outcomes
                if outcome.reason is not None
            ],
        )
        return replace(
            board,
            models=tuple(self._with_bundle(row) for row in board.models),
            corrections=tell_effect(self.before, self.prepared, self.settings, test, self.record),
        )

    def _row(self, outcome: Outcome, test: Predictions, majority: Evaluation) -> ModelRow:
        name = outcome.plan.name.typed
        validation = evaluate(self._shown(outcome)[0], draws=1)
        evaluation = evaluate(test)
        collapsed, why = is_collapsed(evaluation, majority)
        trained = outcome.trained[0][3]
        row = ModelRow(
            name=name,
            test=evaluation,
            params=trained.params,
            validation_accuracy=validation.accuracy,
            validation_macro_f1=validation.macro_f1,
            train_seconds=sum(entry[3].seconds for entry in outcome.trained[:1]),
            epochs=trained.epochs,
            collapsed=collapsed,
            collapsed_reason=why,
            seeds=self._seeds(outcome),
        )
        return replace(row, **self._deployed(outcome))

    def _deployed(self, outcome: Outcome) -> dict[str, Any]:
        """Export a model and measure the file; what cannot be had is left out, and said."""
        round_, job, folder, _ = outcome.trained[0]
        name = outcome.plan.name.typed
        try:
            path, info = bundle(
                job, round_.task, folder, outcome.answers[0], versions=self.machine.versions
            )
        except BundleError as error:
            self._warn(f"{name} has no bundle: {error}")
            return {}
        self._bundles[name] = (path, info)
        payloads = [self.photos.payload(int(i)) for i in round_.task.test[:SPEED_PHOTOS]]
        try:
            return asdict(measure(path, payloads, threads=self.threads))
        except PegboardError as error:
            self._warn(str(error))
            return {}

    def _warn(self, text: str) -> None:
        self.record["warnings"].append(text)
        self.progress.message(f"note: {text}")

    def _with_bundle(self, row: ModelRow) -> ModelRow:
        """Put a model's final figures into its bundle, and the bundle's size into the figures.

        The size stands in the file whose size it is, so it is written until it holds.
        """
        if row.name not in self._bundles:
            return row
        path, info = self._bundles[row.name]
        info = replace(info, data=self._data_facts())
        for _ in range(4):
            if row.size_bytes == path.stat().st_size:
                break
            row = replace(row, size_bytes=path.stat().st_size)
            rewrite_info(path, replace(info, figures=row.to_json()))
        return row

    def _data_facts(self) -> dict[str, Any]:
        dataset, settings = self._dataset().to_json(), self.record["settings"]
        return data_facts(dataset, settings, self.prepared.split.rows)

    def _seeds(self, outcome: Outcome) -> tuple[SeedFigures, ...]:
        if self.settings.folds:
            return ()
        figures = [evaluate(answers.test, draws=1) for answers in outcome.answers]
        return tuple(
            SeedFigures(entry[0].seed, figure.accuracy, figure.macro_f1)
            for entry, figure in zip(outcome.trained, figures, strict=True)
        )

    def _majority_row(self, outcome: Outcome, majority: Evaluation, train_labels: Any) -> ModelRow:
        validation = evaluate(majority_predictions(train_labels, self._shown(outcome)[0]), draws=1)
        return ModelRow(
            name=MAJORITY,
            test=majority,
            baseline=True,
            validation_accuracy=validation.accuracy,
            validation_macro_f1=validation.macro_f1,
        )

    def _dataset(self) -> DatasetInfo:
        counts: dict[str, int] = {split: len(self.prepared.indices(split)) for split in SPLITS}
        return DatasetInfo(
            name=self.prepared.source.name,
            classes=tuple(self.prepared.classes),
            counts=counts,
            left_out=Counter(item.reason for item in self.prepared.split.left_out),
            fingerprint=self.prepared.fingerprint,
        )

    def _finish(self, leaderboard: Leaderboard, outcomes: Sequence[Outcome]) -> None:
        write_json(self.folder.leaderboard, leaderboard.to_json())
        self.record |= {
            "status": "finished",
            "finished": _now(),
            "seconds": round(self.budget.elapsed, 1),
        }
        write_json(self.folder.run, self.record)
        self._illustrate(leaderboard, outcomes)
        write_report(self.folder.path)

    def _illustrate(self, leaderboard: Leaderboard, outcomes: Sequence[Outcome]) -> None:
        """Keep what the report shows of photos, best model first."""
        rows = [row for row in leaderboard.models if not row.baseline]
        rows.sort(key=lambda row: (row.name != leaderboard.best, -(row.validation_macro_f1 or 0)))
        of_name = {outcome.plan.name.typed: outcome for outcome in outcomes}
        self.budget.reserve = REPORT_SECONDS
        illustrate(
            self.folder,
            self.photos,
            [self._exhibit(of_name[row.name]) for row in rows],
            also=[photo["path"] for photo in (leaderboard.corrections or {}).get("photos", ())],
            budget=self.budget,
            threads=self.threads,
            progress=self.progress,
        )

    def _exhibit(self, outcome: Outcome) -> Exhibit:
        entries = outcome.trained if self.settings.folds else outcome.trained[:1]
        _, job, folder, _ = entries[0]
        tasks = [round_.task for round_, *_ in entries]
        return Exhibit(job, tasks, folder, self._shown(outcome)[1])


def compare(
    settings: CompareSettings,
    *,
    source: Source | None = None,
    command: str = "pegboard.compare(…)",
    progress: Progress | None = None,
    started: float | None = None,
) -> tuple[RunFolder, Leaderboard]:
    """Train, evaluate and compare models on a source; write the run folder.

    Parameters
    ----------
    source
        The photos, if they are open already; by default what the settings name is opened.
    started
        What ``time.monotonic()`` said when the budget began to run, if that was earlier.

    Returns
    -------
    The run folder and its leaderboard.

    Raises
    ------
    PegboardError
        For anything the user must change; nothing is written then, unless training had
        begun.
    Interrupted
        On Ctrl-C while models are trained or measured; what was done is kept.
    """
    progress = progress or Progress()
    budget = Budget(settings.budget, started=started)
    choose_device(settings.device)
    folder = run_folder(settings)
    asked = settings
    if settings.before == "train" and folder and _stopped_before(settings, folder):
        settings = replace(settings, resume=False)
    check_usable(
        folder or RunFolder(RUNS / "new"), resume=settings.resume, overwrite=settings.overwrite
    )
    named = named_before(settings)
    if settings.before == "train":
        source = source or open_settings_source(settings)
        folder = folder or RunFolder(default_path(source.name, datetime.now().astimezone()))
        named = _train_before(
            asked, folder, source, command=command, progress=progress, started=started
        )
    previous = resumed_assignments(folder, settings) if folder and settings.resume else None
    if previous is None and settings.before == "train" and named:
        earlier = previous_assignments(settings, source, progress) if source else None
        previous = {**(earlier or {}), **{row.sha256: row.split for row in named.rows}}
    prepared = prepare(settings, source=source, previous=previous, progress=progress)
    if folder is None:
        folder = RunFolder(default_path(prepared.source.name, datetime.now().astimezone()))
    if settings.resume:
        check_same_data(folder, prepared)
    tell_intake(prepared, progress)
    before = Before(named)
    if settings.corrections and named is None:
        before = find_before(settings, prepared)
    if before.why_not:
        progress.message(f"note: before and after: {before.why_not}")
    comparison = Comparison(
        settings,
        prepared,
        folder,
        before=before,
        command=command,
        budget=budget,
        progress=progress,
    )
    return folder, comparison.run()


def _stopped_before(settings: CompareSettings, folder: RunFolder) -> bool:
    """Whether what is resumed was stopped while its run before was trained."""
    return (
        settings.resume and not folder.is_ours() and RunFolder(before_path(folder.path)).is_ours()
    )


def _train_before(
    settings: CompareSettings,
    folder: RunFolder,
    source: Source,
    *,
    command: str,
    progress: Progress,
    started: float | None,
) -> FinishedRun:
    """Train the models on the labels as they are, in a run of its own beside ``folder``.

    It gets half of the budget.
    """
    assert settings.corrections is not None
    read_corrections(settings.corrections)  # refused now rather than after the first training
    beside = RunFolder(before_path(folder.path))
    progress.message(f"before: training without the corrections, in {beside.path}")
    uncorrected = replace(
        settings,
        out=beside.path,
        corrections=None,
        before=None,
        budget=settings.budget / 2 if settings.budget else None,
        resume=settings.resume and beside.is_ours(),
    )
    compare(uncorrected, source=source, command=command, progress=progress, started=started)
    progress.message("after: training with the corrections")
    return FinishedRun.read(beside)


def run_folder(settings: CompareSettings) -> RunFolder | None:
    """Return the folder asked for, or the last run of the source to resume; None for a new one.

    Raises
    ------
    RunFolderError
        When there is no run to resume.
    """
    if settings.out is not None:
        return RunFolder(settings.out)
    if not settings.resume:
        return None
    earlier = runs_of(open_settings_source(settings).location)
    if not earlier:
        raise RunFolderError(
            f"--resume: no earlier run of {settings.source} lies in pegboard-runs/; "
            "name its folder with --out"
        )
    return earlier[-1]


def resumed_assignments(
    folder: RunFolder, settings: CompareSettings
) -> Mapping[str, SplitName] | None:
    """Return the split of the run that is resumed, after checking the settings.

    Raises
    ------
    RunFolderError
        When a setting that decides the result differs.
    """
    earlier = read_json(folder.run).get("settings")
    if not isinstance(earlier, dict):
        raise RunFolderError(
            f"--resume: {folder.run} does not say with which settings the run was started; "
            "start a new run"
        )
    now = settings.deciding()
    differing = [key for key in now if now[key] != earlier.get(key)]
    if differing:
        told = "; ".join(f"{key}: {earlier.get(key)!r} then, {now[key]!r} now" for key in differing)
        raise RunFolderError(
            f"--resume needs the settings {folder.path} was started with ({told}); "
            "give the same ones, or start a new run"
        )
    # A run that was stopped before it had written its manifest has trained nothing yet.
    return assignments(folder.manifest) if folder.manifest.exists() else None


def check_same_data(folder: RunFolder, prepared: Prepared) -> None:
    """Refuse to resume a run on photos that have changed since."""
    if read_json(folder.run).get("fingerprint") != prepared.fingerprint:
        raise RunFolderError(
            f"--resume: the photos are not the ones {folder.path} was started with; "
            "start a new run (old photos keep their split)"
        )


def tell_intake(prepared: Prepared, progress: Progress) -> None:
    """Say what was found, left out and how it was split."""
    counts = {split: len(prepared.indices(split)) for split in SPLITS}
    left_out = len(prepared.split.left_out)
    used = len(prepared.split.rows)
    progress.message(
        f"{prepared.source.name}: {used + left_out} found, {used} used, {left_out} left out; "
        f"{len(prepared.classes)} classes; train {counts['train']}, "
        f"validation {counts['validation']}, test {counts['test']}"
    )
    for warning in prepared.warnings:
        progress.message(f"note: {warning}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
