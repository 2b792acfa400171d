"""What the templates show, as plain values: nothing is computed in a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pegboard import web
from pegboard.audit.codes import BY_NAME
from pegboard.review.cases import DISAGREE, PAIRS, Case
from pegboard.review.nearby import Near
from pegboard.review.session import Review
from pegboard.web import rendered, static

_PACKAGE = "pegboard.review"

NEAR = 4
"""Photos of each class shown beside a photo."""

BULK_MOST = 120
"""Photos in one preview: what can be looked at in one go."""

BULK_STEPS = (0.99, 0.95, 0.9, 0.8, 0.7, 0.5, 0.0)
"""Scores from which suggestions can be accepted together."""

BULK_START = 0.9
"""Where a preview begins."""

_QUESTIONS = {
    DISAGREE: "Reviewers do not agree. What is it?",
    "label-conflict": "The same picture lies in two classes. Which is right?",
    "leak": "This picture is in two splits. Which may stay?",
    "label-suspect": "Is the class right?",
    "outlier": "Does it belong here at all?",
    "near-duplicate": "Nearly the same picture twice. Keep both?",
    "duplicate": "The same picture twice. Keep both?",
}


@dataclass(frozen=True)
class Picture:
    """A photo on the page: its number, and what stands below it."""

    number: int
    path: str
    label: str
    similarity: str = ""


@dataclass(frozen=True)
class Row:
    """Some photos of one class to compare with."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class KindLink:
    """One kind of findings: how much is left, and where it goes on (None: nowhere)."""

    code: str
    title: str
    left: int
    total: int
    number: int | None
    is_current: bool


@dataclass(frozen=True)
class Frame:
    """What every page shows around its middle; ``pictures`` is the mark of their addresses."""

    name: str
    token: str
    pictures: str
    reviewer: str
    file: str
    total: int
    decided: int
    left: int
    time_left: str
    kinds: tuple[KindLink, ...]
    said: str
    trouble: str


@dataclass(frozen=True)
class CasePage:
    """One photo to decide about. ``number`` counts from 1."""

    frame: Frame
    number: int
    photo: Picture | None
    question: str
    reasons: tuple[str, ...]
    label: str
    now: str
    suggestion: str
    score: str
    decided: str
    others: tuple[Picture, ...]
    rows: tuple[Row, ...]
    nearby_words: str
    classes: tuple[str, ...]
    payoff: str
    is_spent: bool
    next_kind: KindLink | None
    previous: int | None
    next: int | None
    prefetch: tuple[int, ...]
    can_pair: bool
    keeps_both: bool


@dataclass(frozen=True)
class BulkPage:
    """Suggestions that can be accepted together."""

    frame: Frame
    at_least: str
    steps: tuple[str, ...]
    cases: tuple[BulkCase, ...]
    more: int
    changes: tuple[str, ...]


@dataclass(frozen=True)
class BulkCase:
    """One suggestion; ``number`` counts from 1."""

    number: int
    picture: Picture
    suggestion: str
    score: str


@dataclass(frozen=True)
class EndPage:
    """Nothing is left."""

    frame: Frame
    commands: tuple[str, ...]


def frame(
    review: Review, token: str, *, current: str = "", said: str = "", trouble: str = ""
) -> Frame:
    """Return what every page shows."""
    states = review.states()
    left = sum(state == "open" for state in states)
    return Frame(
        name=review.name,
        token=token,
        pictures=review.gallery.mark,
        reviewer=review.log.reviewer,
        file=str(review.log.path),
        total=len(states),
        decided=len(states) - left,
        left=left,
        time_left=_duration(review.seconds_left()) if left else "",
        kinds=tuple(
            _kind(review, code, numbers, current) for code, numbers in review.kinds.items()
        ),
        said=said,
        trouble=trouble,
    )


def _kind(review: Review, code: str, numbers: Sequence[int], current: str) -> KindLink:
    states = review.states()
    still = [number for number in numbers if states[number] == "open"]
    number = still[0] + 1 if still else None
    return KindLink(code, title_of(code), len(still), len(numbers), number, code == current)


def title_of(code: str) -> str:
    """Return a kind of findings for people."""
    return BY_NAME[code].title if code in BY_NAME else "Reviewers disagree"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 90:
        return "about a minute at your pace"
    return f"about {round(seconds / 60)} minutes at your pace"


def case_page(
    review: Review, number: int, token: str, *, said: str = "", trouble: str = ""
) -> CasePage:
    """Return the page of one case; ``number`` counts from 0."""
    case = review.queue.cases[number]
    around = frame(review, token, current=case.kind, said=said, trouble=trouble)
    pay = review.payoff(case.kind)
    following = review.next_open(number)
    other_kind = next(
        (kind for kind in around.kinds if kind.number is not None and not kind.is_current), None
    )
    now = review.label(case.path)
    return CasePage(
        frame=around,
        number=number + 1,
        photo=_picture(review, case.path),
        question=_QUESTIONS.get(case.kind, "Keep this photo?"),
        reasons=tuple(_reason(one.code, one.explanation, one.score) for one in case.findings),
        label=case.label,
        now="" if now == case.label else now or "dropped",
        suggestion=case.suggestion,
        score=f"{case.score:.0%}",
        decided=_decided(review, case, number),
        others=_pictures(review, [Near(path, None) for path in case.others]),
        rows=_rows(review, case),
        nearby_words=review.nearby.words,
        classes=tuple(review.classes),
        payoff=pay.in_words(),
        is_spent=pay.is_spent,
        next_kind=other_kind,
        previous=number if number else None,
        next=number + 2 if number + 1 < len(review.queue.cases) else None,
        prefetch=() if following is None else _numbers(review, following),
        can_pair=bool(case.others),
        keeps_both=bool(case.others) and case.kind in PAIRS - {"label-conflict"},
    )


def _reason(code: str, explanation: str, score: float) -> str:
    return explanation or f"{title_of(code)}, {score:.0%}"


def _decided(review: Review, case: Case, number: int) -> str:
    made = review.log.ledger.about(case.path)
    if made:
        last = made[-1]
        what = f"{last.action} {last.label_after}".strip()
        return f"Decided: {what}, by {last.reviewer or 'someone'}"
    if review.states()[number] == "settled":
        return "Settled by a decision about another photo"
    return ""


def _rows(review: Review, case: Case) -> tuple[Row, ...]:
    labels = dict.fromkeys(name for name in (case.suggestion, case.label) if name)
    rows = []
    for label in labels:
        role = "suggested" if label == case.suggestion else "the class now"
        near = [
            one
            for one in review.nearby.of(case.path, label, 3 * NEAR)
            if one.path not in case.others and review.is_example(one.path, label)
        ]
        rows.append(Row(f"{label} ({role})", _pictures(review, near[:NEAR])))
    return tuple(rows)


def _pictures(review: Review, near: Sequence[Near]) -> tuple[Picture, ...]:
    found = (_picture(review, one.path, one.similarity) for one in near)
    return tuple(one for one in found if one is not None)


def _picture(review: Review, path: str, similarity: float | None = None) -> Picture | None:
    number = review.gallery.number(path)
    if number is None:
        return None
    label = review.label(path)
    told = "" if similarity is None else f"{similarity:.0%} alike"
    return Picture(number, path, "dropped" if label is None else label, told)


def _numbers(review: Review, case: int) -> tuple[int, ...]:
    number = review.gallery.number(review.queue.cases[case].path)
    return () if number is None else (number,)


def bulk_page(
    review: Review, token: str, at_least: float | None = None, *, trouble: str = ""
) -> BulkPage:
    """Return the preview of what would be accepted together, surest first.

    Without a least score it is .9, or the highest that any open suggestion has.
    """
    states = review.states()
    suggested = [
        (number, case)
        for number, case in enumerate(review.queue.cases)
        if states[number] == "open" and case.suggestion
    ]
    suggested.sort(key=lambda pair: -pair[1].score)
    if at_least is None:
        highest = suggested[0][1].score if suggested else 1.0
        at_least = next(step for step in BULK_STEPS if step <= min(BULK_START, highest))
    found = [(number, case) for number, case in suggested if case.score >= at_least]
    shown = []
    for number, case in found[:BULK_MOST]:
        picture = _picture(review, case.path)
        if picture is not None:
            shown.append(BulkCase(number + 1, picture, case.suggestion, f"{case.score:.0%}"))
    counts: dict[str, int] = {}
    for one in shown:
        change = f"{one.picture.label} → {one.suggestion}"
        counts[change] = counts.get(change, 0) + 1
    return BulkPage(
        frame=frame(review, token, trouble=trouble),
        at_least=f"{at_least:g}",
        steps=tuple(f"{step:g}" for step in BULK_STEPS),
        cases=tuple(shown),
        more=len(found) - len(shown),
        changes=tuple(f"{change}: {count}" for change, count in counts.items()),
    )


def end_page(
    review: Review, token: str, commands: Sequence[str], *, said: str = "", trouble: str = ""
) -> EndPage:
    """Return the last page."""
    return EndPage(frame(review, token, said=said, trouble=trouble), tuple(commands))


# --- rendering ----------------------------------------------------------------------------


def render(template: str, page: Any) -> str:
    """Return a page. Every text is escaped, whatever a file or a class is called."""
    return rendered(_PACKAGE, template, page)


def style() -> str:
    """Return the stylesheet: the report's, and what only this page needs."""
    return web.style(_PACKAGE, "review.css")


def script() -> str:
    """Return the script."""
    return static(_PACKAGE, "review.js")
