"""Photos in which little can be seen, and photos unlike the others in size, shape or colour.

The thresholds were set on 4,800 phone photos of tools (`docs/check.md` has the figures): what the
light, blur and detail of a photo must fall below so that people would not call it a good one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject
from pegboard.audit.traits import Column, Traits

CODES = ("dark", "bright", "blurry", "low-information", "odd-size", "odd-aspect", "grey")

DARK = 80.0
"""A photo is dark when 99 % of it is no brighter (of 255). Of the tool photos two are, both taken
in the dark; the next is at 84 and its tool can be told."""

BRIGHT = 190.0
"""A photo is overexposed when 95 % of it is at least so bright. A white table reaches 185."""

BLURRED = 0.40
"""A photo is blurred when blurring it once more takes less of its edges. The tool photos lie
between .44 and .88; blurred with a standard deviation of 2 of 224 px, 97 % of them are below, with
3 px all, shaken over 13 px 95 %."""

PLAIN = 8.0
"""A photo holds nearly nothing when even its liveliest cells of 8 x 8 px differ less within
(standard deviation, of 255). The plainest tool photo has 19.6; noise in the dark reaches 5."""

GREY = 4.0
"""A photo is grey when no channel differs more from the others (of 255; 99 % of the pixels). Colour
photos of steel on concrete have 5 and more; grey ones saved in colour have 0, or 1 by rounding."""

FEW_GREY = 0.1
"""Grey photos are told where they are at most this share: in a set of scans grey is no fault."""

FAR_OUT = 3.0
"""An unusual size or shape lies so many interquartile ranges beyond the quartiles (Tukey's far
out), on a logarithmic scale …"""

ODD_SIZE = 3.0
"""… and the side of a square of equal area is so many times that of the median photo, or the
median's so many times its own …"""

ODD_ASPECT = 2.0
"""… or the photo is so many times as long for its breadth as the median photo, or the median."""

LEAST_PHOTOS = 20
"""Photos below which nothing can be called unusual."""

THRESHOLDS = {
    "dark": DARK,
    "bright": BRIGHT,
    "blurry": BLURRED,
    "low-information": PLAIN,
    "grey": GREY,
    "grey at most": FEW_GREY,
    "far out": FAR_OUT,
    "odd-size": ODD_SIZE,
    "odd-aspect": ODD_ASPECT,
}


def check(subject: Subject) -> list[Finding] | NotApplicable:
    """Look at every photo once, small."""
    if not len(subject):
        return NotApplicable("there is no photo that can be opened")
    traits = subject.looks()
    rules = (
        ("dark", traits.brightest, DARK, 0.0, "99 % of it is no brighter than {:.0f} of 255"),
        ("bright", traits.dark, BRIGHT, 255.0, "95 % of it is at least {:.0f} of 255"),
        ("blurry", _of_lively(traits), BLURRED, 0.0,
         "blurring it once more takes only {:.0%} of its edges"),
        ("low-information", traits.detail, PLAIN, 0.0,
         "its liveliest parts differ by only {:.1f} of 255 (standard deviation)"),
    )  # fmt: skip
    beyond = (finding for rule in rules for finding in _beyond(subject, *rule))
    return [*beyond, *_grey(subject, traits), *_odd_sizes(subject), *_odd_aspects(subject)]


def _of_lively(traits: Traits) -> Column:
    """Return the sharpness, where there are edges to be sharp: noise alone says nothing."""
    return np.where(traits.detail < PLAIN, np.nan, traits.sharpness).astype(np.float32)


def _beyond(
    subject: Subject, code: str, values: Column, threshold: float, worst: float, words: str
) -> Iterator[Finding]:
    """Report values between a threshold and the worst; the score goes from .5 there to 1 here."""
    for photo, value in zip(subject.photos, values.tolist(), strict=True):
        badness = (value - threshold) / (worst - threshold)
        if badness >= 0:  # and not NaN
            score = 0.5 + 0.5 * min(1.0, badness)
            yield Finding(photo.path, code, "warning", score, explanation=words.format(value))


def _grey(subject: Subject, traits: Traits) -> Iterator[Finding]:
    is_grey = traits.chroma <= GREY
    share = float(np.mean(is_grey))
    if share <= FEW_GREY and len(traits) >= LEAST_PHOTOS:
        for index in np.flatnonzero(is_grey).tolist():
            yield Finding(
                subject.photos[index].path, "grey", "warning", 1 - share,
                explanation=f"grey, as {share:.1%} of the photos are",
            )  # fmt: skip


def _odd_sizes(subject: Subject) -> Iterator[Finding]:
    sides = np.array([np.sqrt(photo.width * photo.height) for photo in subject.photos])
    for index, times in _unusual(np.log(sides), np.log(ODD_SIZE)):
        photo = subject.photos[index]
        yield Finding(
            photo.path, "odd-size", "warning", _score(times, ODD_SIZE),
            explanation=f"{photo.width} x {photo.height} px, {_times(times)} the usual side",
        )  # fmt: skip


def _odd_aspects(subject: Subject) -> Iterator[Finding]:
    # Upright or across is no fault: what counts is how long a photo is for its breadth.
    long = np.array([abs(np.log(photo.width / photo.height)) for photo in subject.photos])
    for index, times in _unusual(long, np.log(ODD_ASPECT)):
        photo = subject.photos[index]
        yield Finding(
            photo.path, "odd-aspect", "warning", _score(times, ODD_ASPECT),
            explanation=f"{photo.width} x {photo.height} px, {_times(times)} as long for its "
            "breadth as the usual photo",
        )  # fmt: skip


def _unusual(values: NDArray[np.float64], least: float) -> Iterator[tuple[int, float]]:
    """Yield index and factor to the median of values far out on a logarithmic scale."""
    if len(values) < LEAST_PHOTOS:
        return
    low, middle, high = np.percentile(values, (25, 50, 75))
    reach = FAR_OUT * (high - low)
    is_far = (values < low - reach) | (values > high + reach)
    for index in np.flatnonzero(is_far & (np.abs(values - middle) >= least)):
        yield int(index), float(np.exp(values[index] - middle))


def _score(times: float, least: float) -> float:
    """Return .5 at the threshold, nearing 1 far beyond."""
    return float(1 - 0.5 * least / max(times, 1 / times))


def _times(times: float) -> str:
    return f"{times:.1f} times" if times >= 1 else f"1/{1 / times:.1f} of"
