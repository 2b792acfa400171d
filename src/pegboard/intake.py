"""Intake: open everything a source lists, and account for all of it.

Every entry becomes a :class:`~pegboard.photos.Photo` or is left out with a reason. Each photo
is fully decoded here, so whatever is used later is known to be whole.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import threading
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from typing import cast

import numpy as np

from pegboard.errors import SourceError, UnusableImage
from pegboard.images import (
    HEAD_BYTES,
    array_sha256,
    decode,
    pixel_hash,
    signature,
    sniff,
    to_pixels,
)
from pegboard.photos import Entry, Intake, LeftOut, Listing, Photo, Pixels, Reason, Source
from pegboard.progress import Progress
from pegboard.threads import default_threads

_CHUNK = 32
"""Entries handed to a thread at once: large enough that 70,000 small rows cost little."""


def take_in(
    source: Source,
    *,
    merge: Mapping[str, str] | None = None,
    exclude: Collection[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
    may_be_empty: bool = False,
) -> Intake:
    """Open every photo of a source.

    Parameters
    ----------
    source
        From :func:`pegboard.sources.open_source`.
    merge
        Class name → the class it belongs to (``--merge Pebbels=pebbles``).
    exclude
        Classes to leave out (reason ``excluded``); their photos are not opened.
    threads
        Decoding threads; None: one per core this process may use.
    progress
        Told about each photo.
    may_be_empty
        Return an intake without photos where none can be used, for who asks what is wrong.

    Returns
    -------
    Photos and left-out files, both in the source's order, and warnings.

    Raises
    ------
    SourceError
        When the source is empty or holds no usable photo, or ``merge`` or ``exclude`` name a
        class that is not there.
    """
    progress = progress or Progress()
    listing = source.listing()
    if not listing.found:
        raise SourceError(f"{source.location} is empty; expected photos in class folders")
    entries, excluded = choose_classes(listing.entries, merge or {}, exclude)
    opened = list(_open_all(source, entries, threads, progress))
    photos = [result for result in opened if isinstance(result, Photo)]
    unusable = [result for result in opened if isinstance(result, LeftOut)]
    left_out = [*listing.left_out, *excluded, *unusable]
    if not photos and not may_be_empty:
        raise SourceError(_nothing_usable(source, listing, left_out))
    warnings = [*_changed_files(entries, opened), *_similar_classes(photos), *_wrapped(photos)]
    return Intake(photos, left_out, warnings)


def _nothing_usable(source: Source, listing: Listing, left_out: Sequence[LeftOut]) -> str:
    reasons = Counter(item.reason for item in left_out)
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    commonest = reasons.most_common(1)[0][0]
    advice = "expected photos in class folders, such as hammer/1.jpg"
    if commonest == "missing-file":
        advice = (
            "a table's paths are relative to its own folder; to train with a split that pegboard "
            "wrote, name the photos it was made of, and the file with --previous"
        )
    elif commonest in ("unsupported", "unreadable"):
        advice = next(item.detail for item in left_out if item.reason == commonest)
    return f"{source.location} holds no usable photo: found {listing.found} ({counts}); {advice}"


# --- Classes -----------------------------------------------------------------------------


def choose_classes(
    entries: Sequence[Entry], merge: Mapping[str, str], exclude: Collection[str]
) -> tuple[list[Entry], list[LeftOut]]:
    """Apply ``merge`` and ``exclude``; return what is kept and what is left out.

    Raises
    ------
    SourceError
        When they name a class that is not there.
    """
    present = {entry.label for entry in entries if entry.label is not None}
    targets = _merge_targets(present, merge)
    dropped = {_composed(name) for name in exclude}
    _check_present(dropped, present | set(targets.values()), option="--exclude-class")
    if not targets and not dropped:
        return list(entries), []
    kept: list[Entry] = []
    left_out: list[LeftOut] = []
    for entry in entries:
        label = entry.label and targets.get(entry.label, entry.label)
        if label is not None and not dropped.isdisjoint((label, entry.label)):
            left_out.append(LeftOut(entry.path, "excluded", f"class {entry.label} is excluded"))
        else:
            kept.append(entry if label == entry.label else replace(entry, label=label))
    return kept, left_out


def _merge_targets(present: set[str], merge: Mapping[str, str]) -> dict[str, str]:
    """Return each merged class with the class it ends in, chains followed."""
    steps = {_composed(name): _composed(into) for name, into in merge.items()}
    _check_present(set(steps), present, option="--merge")
    # Several classes may be merged into a new one; a single one would only be renamed, and
    # that is far more often a slip of the keyboard.
    into = Counter(steps.values())
    _check_present({name for name in into if into[name] < 2}, present, option="--merge")
    targets = {}
    for name in steps:
        seen = [name]
        while seen[-1] in steps:
            seen.append(steps[seen[-1]])
            if seen[-1] in seen[:-1]:
                raise SourceError(f"--merge goes in a circle: {' = '.join(seen)}")
        targets[name] = seen[-1]
    return targets


def _check_present(names: Collection[str], present: set[str], *, option: str) -> None:
    missing = sorted(set(names) - present)
    if missing:
        raise SourceError(
            f"{option} names {', '.join(map(repr, missing))}, which is not a class here; "
            f"the classes are: {', '.join(sorted(present)) or 'none'}"
        )


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


# --- Opening -----------------------------------------------------------------------------


def _open_all(
    source: Source, entries: Sequence[Entry], threads: int | None, progress: Progress
) -> Iterator[Photo | LeftOut]:
    """Open all entries in parallel; results come in the entries' order."""
    chunks = [entries[start : start + _CHUNK] for start in range(0, len(entries), _CHUNK)]
    stopped = threading.Event()

    def open_chunk(chunk: Sequence[Entry]) -> list[Photo | LeftOut]:
        return [_open(source, entry) for entry in chunk if not stopped.is_set()]

    pool = ThreadPoolExecutor(threads or default_threads(), thread_name_prefix="intake")
    try:
        with progress.step("reading photos", len(entries)) as step:
            for results in pool.map(open_chunk, chunks):
                step.advance(len(results))
                yield from results
    finally:
        # After Ctrl-C nothing that has not begun is worth waiting for.
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _open(source: Source, entry: Entry) -> Photo | LeftOut:
    try:
        return _photo(source, entry)
    except UnusableImage as error:
        return LeftOut(entry.path, cast(Reason, error.reason), error.detail)
    except FileNotFoundError:
        return LeftOut(entry.path, "missing-file", "the file is not there any more")
    except OSError as error:
        return LeftOut(entry.path, "unreadable", error.strerror or str(error))


def _photo(source: Source, entry: Entry) -> Photo:
    payload = source.read(entry.path)
    if entry.label is None:
        if isinstance(payload, bytes):
            sniff(payload[:HEAD_BYTES])
        raise UnusableImage("no-label", "not inside a class folder")
    pixels = decode(payload) if isinstance(payload, bytes) else to_pixels(payload)
    height, width, channels = pixels.shape
    return Photo(
        path=entry.path,
        label=entry.label,
        split=entry.split,
        group=entry.group,
        sha256=payload_sha256(payload),
        pixels=pixel_hash(pixels),
        height=height,
        width=width,
        channels=channels,
        signature=signature(pixels),
    )


def payload_sha256(payload: bytes | Pixels) -> str:
    """Return the SHA-256 of a file's bytes, or of dtype, shape and pixels of an array row."""
    if isinstance(payload, bytes):
        return hashlib.sha256(payload).hexdigest()
    return array_sha256(np.asarray(payload))


# --- What the user should know -----------------------------------------------------------


def _changed_files(entries: Sequence[Entry], opened: Sequence[Photo | LeftOut]) -> Iterator[str]:
    changed = [
        entry.path
        for entry, result in zip(entries, opened, strict=True)
        if entry.sha256 and isinstance(result, Photo) and result.sha256 != entry.sha256
    ]
    if changed:
        yield (
            f"{len(changed)} files are not those the manifest was made from "
            f"(another sha256), the first is {changed[0]}"
        )


def _similar_classes(photos: Sequence[Photo]) -> Iterator[str]:
    """Report classes whose names look like one, with the ``--merge`` to use."""
    counts = Counter(photo.label for photo in photos)
    # The rarer goes into the commoner; among equals the later name into the earlier.
    names = sorted(counts, key=lambda name: (-counts[name], name))
    for common, rare in combinations(names, 2):
        if looks_alike(common, rare):
            option = shlex.quote(f"{rare}={common}")
            yield (
                f"classes {rare!r} ({counts[rare]}) and {common!r} ({counts[common]}) "
                f"look like one: --merge {option}"
            )


def _wrapped(photos: Sequence[Photo]) -> Iterator[str]:
    """Point out a single folder around the class folders."""
    labels = {photo.label for photo in photos}
    parts = [photo.path.split("/") for photo in photos]
    inner = {part[1] for part in parts if len(part) > 2}
    if len(labels) == 1 and len(inner) > 1 and all(part[0] in labels for part in parts):
        label = next(iter(labels))
        yield (
            f"all photos are of one class, {label!r}, the only folder here; "
            f"if the {len(inner)} folders in it are the classes, name {label}/ as the source"
        )


def looks_alike(one: str, other: str) -> bool:
    """Whether two class names are likely two spellings of one.

    True when they differ only in letter case, Unicode form, spaces, ``_ - .`` or a plural
    ending, or in one slip of the keyboard in a long word. Names whose digits differ
    never are: ``type 1`` is not ``type 2``.
    """
    spelling, other_spelling = _spelling(one), _spelling(other)
    if spelling == other_spelling:
        return True
    if re.findall(r"\d+", spelling) != re.findall(r"\d+", other_spelling):
        return False
    short, long = sorted((spelling, other_spelling), key=len)
    if len(short) >= 3 and long in (f"{short}s", f"{short}es"):
        return True
    return _differ_by_a_slip(_words(one), _words(other))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _spelling(name: str) -> str:
    # "1.5" is not "15": separators between digits stay.
    kept = re.sub(r"(?<=\d)[\s_.-]+(?=\d)", "_", _folded(name))
    return re.sub(r"(?<!\d)[\s_.-]+|[\s_.-]+(?!\d)", "", kept)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_.-]+", _folded(name)) if word]


def _differ_by_a_slip(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether one word differs, by a slip of the keyboard ("type a" and "type b" do not)."""
    if len(words) != len(others):
        return False
    differing = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
    if len(differing) != 1 or differing[0][0][0] != differing[0][1][0]:
        return False
    short, long = sorted(differing[0], key=len)
    return _is_slip(short, long)


def _is_slip(short: str, long: str) -> bool:
    """Whether one keyboard slip leads from one word to the other.

    Two neighbours swapped or a letter doubled in words of 5 and more; any other single
    letter only in words of 8 and more, because short words are close to each other by nature
    (horse, house), and never the last, which often numbers things (caseA, caseB).
    """
    if len(short) < 5 or len(long) - len(short) > 1:
        return False
    pairs = zip(short, long, strict=False)
    start = next((at for at, (a, b) in enumerate(pairs) if a != b), len(short))
    is_long_enough = len(short) >= 8 and start < len(long) - 1
    if len(short) == len(long):
        swapped = short[:start] + short[start : start + 2][::-1] + short[start + 2 :]
        return swapped == long or (is_long_enough and short[start + 1 :] == long[start + 1 :])
    if long[:start] + long[start + 1 :] != short:
        return False
    return is_long_enough or long[start] == long[start - 1]
