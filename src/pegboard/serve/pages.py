"""What the pages show, as plain values: nothing is computed in a template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pegboard import web
from pegboard.calibrate import SURE_PRECISION
from pegboard.serve.drift import Aspect, aspects
from pegboard.serve.models import Model
from pegboard.serve.words import LANGUAGES, NAMES, WORDS, Language
from pegboard.tallies import Tallies

_PACKAGE = "pegboard.serve"

_SPOKEN_BY_SCRIPT = (
    "camera_refused", "camera_insecure", "working", "where_working", "where_failed", "sure",
    "unsure", "unknown", "sure_why", "unsure_why", "no_limit_why", "unknown_why", "said", "stored",
    "failed", "unreachable", "no_photo", "no_key", "too_large", "busy", "refused",
)  # fmt: skip

BAR_WIDTH, BAR_HEIGHT = 100, 60
MOST_BARS = 40


@dataclass(frozen=True)
class Choice:
    """One language to change to."""

    code: str
    name: str
    is_current: bool


@dataclass(frozen=True)
class Frame:
    """What every page shows around its middle."""

    language: Language
    languages: tuple[Choice, ...]
    words: Mapping[str, str]
    here: str


@dataclass(frozen=True)
class AskPage:
    """The page that takes a photo. ``settings`` are JSON for the script."""

    frame: Frame
    intro: str
    classes: tuple[str, ...]
    takes_feedback: bool
    settings: str


@dataclass(frozen=True)
class KeyPage:
    """The page that takes the key."""

    frame: Frame
    is_wrong: bool


@dataclass(frozen=True)
class Bar:
    """Two bars of a chart; places and heights in units of the picture."""

    left: float
    width: float
    before: float
    after: float


@dataclass(frozen=True)
class Line:
    """One row of a table."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Panel:
    """One aspect of drift."""

    name: str
    title: str
    verdict: str
    detail: str
    state: str
    chart: str
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class DriftPage:
    """The page about a week."""

    frame: Frame
    intro: str
    panels: tuple[Panel, ...]
    width: int = BAR_WIDTH
    height: int = BAR_HEIGHT


def frame(language: Language, here: str) -> Frame:
    """Return what surrounds a page."""
    choices = tuple(Choice(code, NAMES[code], code == language) for code in LANGUAGES)
    return Frame(language, choices, WORDS[language], here)


def ask_page(language: Language, model: Model, token: str, *, takes_feedback: bool) -> AskPage:
    """Return the page that takes a photo."""
    around = frame(language, "/")
    info = model.predictor.info
    settings = {
        "language": language,
        "token": token,
        "precision": info.thresholds.get("precision", SURE_PRECISION),
        "limit": info.sure,
        "words": {key: around.words[key] for key in _SPOKEN_BY_SCRIPT},
    }
    intro = around.words["intro"].format(model=model.name, count=len(info.classes))
    # Inside a script element, so that nothing in it may look like that element's end.
    plain = json.dumps(settings).replace("<", "\\u003c")
    return AskPage(around, intro, tuple(sorted(info.classes)), takes_feedback, plain)


def key_page(language: Language, *, is_wrong: bool = False) -> KeyPage:
    """Return the page that takes the key."""
    return KeyPage(frame(language, "/"), is_wrong)


def drift_page(language: Language, model: Model, week: Tallies) -> DriftPage:
    """Return the page about a week."""
    around = frame(language, "/drift")
    said = "drift_intro_one" if week.photos == 1 else "drift_intro"
    intro = around.words[said].format(model=model.name, count=week.photos)
    panels = tuple(_panel(aspect, around) for aspect in aspects(model, week))
    return DriftPage(around, intro, panels)


def _panel(aspect: Aspect, around: Frame) -> Panel:
    words, found = around.words, aspect.difference
    if found is not None:
        state = "is_large" if found.is_large else "is_other" if found.is_real else "is_same"
    else:
        state = "too_few" if sum(aspect.before) else "not_told"
    detail = ""
    if found is not None:
        numbers = (_decimal(value, around.language) for value in (found.index, found.chance))
        detail = words["index"].format(**dict(zip(("index", "chance"), numbers, strict=True)))
    title, verdict = words[aspect.name], words[state]
    # Classes are called what the user calls them, even where a word of ours is the same.
    is_ours = aspect.name == "decisions"
    steps = [words[step] if is_ours else step for step in aspect.steps]
    before, after = (_percents(counts, len(steps)) for counts in (aspect.before, aspect.after))
    lines = zip(steps, before, after, strict=True)
    return Panel(
        aspect.name,
        title,
        verdict,
        detail,
        state,
        words["chart"].format(title=title, verdict=verdict),
        _bars(aspect),
        tuple(Line(*line) for line in lines),
    )


def _decimal(value: float, language: Language) -> str:
    text = f"{value:.2f}"
    return text.replace(".", ",") if language == "de" else text.removeprefix("0")


def _shares(counts: tuple[int, ...], steps: int) -> list[float]:
    total = sum(counts)
    return [count / total for count in counts] if total else [0.0] * steps


def _percents(counts: tuple[int, ...], steps: int) -> list[str]:
    if not sum(counts):
        return [""] * steps
    return [f"{100 * share:.0f}\N{NO-BREAK SPACE}%" for share in _shares(counts, steps)]


def _bars(aspect: Aspect) -> tuple[Bar, ...]:
    steps = len(aspect.steps)
    if steps > MOST_BARS:
        return ()
    before, after = _shares(aspect.before, steps), _shares(aspect.after, steps)
    highest = max(*before, *after, 1e-9)
    width = BAR_WIDTH / steps
    return tuple(
        Bar(
            round((number + 0.1) * width, 3),  # the pair in the middle of its column
            round(width * 0.4, 3),
            round(one / highest * BAR_HEIGHT, 3),
            round(other / highest * BAR_HEIGHT, 3),
        )
        for number, (one, other) in enumerate(zip(before, after, strict=True))
    )


def render(template: str, page: AskPage | KeyPage | DriftPage) -> str:
    """Return a page. Every text is escaped, whatever a model or a class is called."""
    return web.rendered(_PACKAGE, template, page)


def style() -> str:
    """Return the stylesheet: the report's, and what only these pages need."""
    return web.style(_PACKAGE, "serve.css")


def script() -> str:
    """Return the script."""
    return web.static(_PACKAGE, "serve.js")
