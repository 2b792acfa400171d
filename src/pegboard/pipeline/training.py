"""Every model is trained in every round, and what became of it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pegboard.errors import BudgetSpent, PegboardError
from pegboard.evaluate import Predictions
from pegboard.finish import Answers, pool
from pegboard.learn import Job, Trained, train_job
from pegboard.pipeline.active_run import ActiveRun
from pegboard.pipeline.reserves import for_any_models, for_model
from pegboard.pipeline.rounds import Round, job_of, rounds_of
from pegboard.prepare import ModelPlan
from pegboard.runs import ModelFolder
from pegboard.settings import CompareSettings
from pegboard.train import Diverged


@dataclass(frozen=True)
class Training:
    """One training of one model, done: with which seed or fold, where, and how it went."""

    round: Round
    job: Job
    folder: ModelFolder
    result: Trained


@dataclass
class Outcome:
    """What became of one model, over all rounds.

    Attributes
    ----------
    is_pooled
        Whether the rounds are folds, whose answers are put together; else the first is shown.
    answers
        Of each training, once the test set is open.
    reason
        Why the model is not among the results, if it is not.
    """

    plan: ModelPlan
    is_pooled: bool
    trainings: list[Training] = field(default_factory=list)
    answers: list[Answers] = field(default_factory=list)
    reason: str | None = None

    @property
    def name(self) -> str:
        """As typed."""
        return self.plan.name.typed

    def validation(self) -> Predictions:
        """Return the answers to validation photos behind the top-level figures."""
        return self._shown([answers.validation for answers in self.answers])

    def test(self) -> Predictions:
        """Return the answers to test photos behind the top-level figures."""
        return self._shown([answers.test for answers in self.answers])

    def _shown(self, parts: Sequence[Predictions]) -> Predictions:
        return pool(parts) if self.is_pooled else parts[0]


def train_models(run: ActiveRun, plans: Sequence[ModelPlan]) -> list[Outcome]:
    """Train every model in every round, as far as the budget goes."""
    rounds = rounds_of(run)
    outcomes = [Outcome(plan, is_pooled=bool(run.settings.folds)) for plan in plans]
    run.budget.reserve = for_any_models(run.budget)
    for number, outcome in enumerate(outcomes):
        for round_ in rounds:
            if outcome.reason is None:
                _train(run, outcome, round_)
        if all(other.plan.spec != outcome.plan.spec for other in outcomes[number + 1 :]):
            run.photos.forget(outcome.plan.spec)
    return outcomes


def _train(run: ActiveRun, outcome: Outcome, round_: Round) -> None:
    job = job_of(outcome.plan, run.settings, round_.seed)
    folder = run.folder.model(job.name.slug)
    folder = folder.part(round_.part) if round_.part else folder
    # What this model itself will need after training is held back while it trains.
    needed = for_model(job, round_.task, run.budget, is_first=not outcome.trainings)
    run.budget.reserve += needed
    try:
        result = train_job(job, round_.task, folder, budget=run.budget, progress=run.progress)
    except BudgetSpent:
        run.budget.reserve -= needed
        outcome.reason = outcome.reason or _budget_reason(outcome, run.settings)
        return
    except Diverged as error:
        run.budget.reserve -= needed
        outcome.reason = str(error)
        run.progress.message(f"{outcome.name}: {error}")
        return
    training = Training(round_, job, folder, result)
    outcome.trainings.append(training)
    _tell(run, training)


def _budget_reason(outcome: Outcome, settings: CompareSettings) -> str | None:
    # Further seeds that were not reached do not undo the first one; a missing fold does.
    if outcome.trainings and not outcome.is_pooled:
        return None
    return f"the budget of {settings.budget:.0f} s was used up"


def _tell(run: ActiveRun, training: Training) -> None:
    name, result = training.job.name.typed, training.result
    where = f" ({training.round.part})" if training.round.part else ""
    epochs = f"{result.epochs} epoch{'s' if result.epochs != 1 else ''}"
    run.progress.message(f"{name}{where}: trained in {result.seconds:.1f} s, {epochs}")
    for note in result.notes:
        run.progress.message(f"{name}: {note}")


def trained_ones(outcomes: Sequence[Outcome], settings: CompareSettings) -> list[Outcome]:
    """Return the models that were trained.

    Raises
    ------
    PegboardError
        When none was.
    """
    trained = [outcome for outcome in outcomes if outcome.trainings and outcome.reason is None]
    if not trained:
        raise PegboardError(_nothing_trained(outcomes, settings))
    return trained


def _nothing_trained(outcomes: Sequence[Outcome], settings: CompareSettings) -> str:
    reasons = {outcome.reason for outcome in outcomes}
    if settings.budget and reasons == {_budget_reason(outcomes[0], settings)}:
        return (
            f"no model could be trained within the budget of {settings.budget:.0f} s, "
            "evaluation and report included; --dry-run says what each needs: give a larger "
            "--budget or smaller models"
        )
    told = "; ".join(f"{outcome.name}: {outcome.reason}" for outcome in outcomes)
    return f"no model could be trained ({told})"
