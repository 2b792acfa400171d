"""Every code of a finding: its name for people, what it means, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding.

    Attributes
    ----------
    code
        As in ``findings.csv``; stable.
    title
        As a heading.
    meaning
        What it says about a photo or class, in one sentence.
    advice
        What to do about it, in one sentence.
    """

    code: str
    title: str
    meaning: str
    advice: str


CODES: tuple[Code, ...] = (
    Code("unreadable", "Unreadable files",
         "The file is empty, cut off, damaged, or of a kind that cannot be opened.",
         "Copy it again from where it came from, save it as JPEG or PNG, or delete it."),
    Code("not-an-image", "No images",
         "The content is no picture, whatever the name says.",
         "Delete it or move it out of the folder; it is left out anyway."),
    Code("wrong-extension", "Endings that lie",
         "The name says one format, the content is another.",
         "Rename the file; other programs go by its name."),
    Code("duplicate", "Exact duplicates",
         "The same file, or the same pixels, is there more than once.",
         "Keep one; copies are kept in one split, but they count double."),
    Code("near-duplicate", "Near duplicates",
         "The same picture resized, saved again, brightened, cropped, mirrored or turned.",
         "Keep the best, or leave them: they are kept in one split."),
    Code("label-conflict", "One photo under two labels",
         "The same picture lies in two classes; at most one of them is right.",
         "Decide which with pegboard review; until then equal copies are left out."),
    Code("leak", "Leaks between splits",
         "A picture of one given split is also in another, so a test would flatter.",
         "Move it, or let pegboard make the split."),
    Code("label-suspect", "Labels that may be wrong",
         "A classifier that never saw this photo's label gives it another one.",
         "Go through them with pegboard review, surest first."),
    Code("outlier", "Photos like no other",
         "The photo resembles no class here: a stray picture, or a rare view worth keeping.",
         "Look at it; drop it only if it shows none of the classes."),
    Code("dark", "Dark photos",
         "Even the brightest parts of the photo are dark.",
         "Brighten it, or keep it if photos in use will be as dark."),
    Code("bright", "Overexposed photos",
         "Even the darkest parts of the photo are nearly white.",
         "Look whether anything can still be seen on it."),
    Code("blurry", "Blurred photos",
         "No edge in the photo is sharp, even at the size models see.",
         "Drop it if you cannot tell what it shows."),
    Code("low-information", "Nearly empty photos",
         "The photo is one even area with nothing on it.",
         "Drop it unless an empty photo is what the class means."),
    Code("odd-size", "Unusual sizes",
         "The photo is far smaller or larger than the others.",
         "Look whether it is a thumbnail or comes from elsewhere."),
    Code("odd-aspect", "Unusual shapes",
         "The photo is far longer or taller than the others.",
         "Look whether it is a banner, a strip or a screenshot."),
    Code("grey", "Grey among colour",
         "The photo is grey and nearly all others are in colour.",
         "Look whether it is a scan or drawing; keep it if users will send such photos."),
    Code("imbalance", "Uneven classes",
         "One class has many times the photos of another.",
         "Add photos to the small classes; go by macro-F1, which counts every class alike."),
    Code("rare-class", "Rare classes",
         "The class has too few different photos to learn and to be tested.",
         "Add photos, merge it into another class, or leave it out."),
    Code("class-name-variant", "Class names that look like one",
         "Two class names differ only in spelling.",
         "Give --merge as suggested, or rename the folder."),
    Code("shortcut", "Shortcuts",
         "Something other than the object tells the class: size, camera, file type, background.",
         "Collect photos of every class in the same ways, or test on photos from elsewhere."),
)  # fmt: skip

NAMES: tuple[str, ...] = tuple(code.code for code in CODES)
"""In the order of reports."""

BY_NAME = {code.code: code for code in CODES}
