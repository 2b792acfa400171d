"""Train, validation and test: stratified by class, and no group in two of them.

The order of files plays no part: groups are drawn by a hash of the split seed and their
content, so the same photos give the same split on every disk.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pegboard.duplicates import DuplicateGroups, Pair, duplicate_groups, members
from pegboard.errors import LeakError, PegboardError, SourceError
from pegboard.manifest import ManifestRow
from pegboard.photos import SPLITS, Intake, LeftOut, Photo, SplitName

FRACTIONS = (0.7, 0.15, 0.15)

LEAST_GROUPS = 3
"""A class needs one group for each split."""

LARGEST_CLASS_WEIGHT = 10.0
"""A class of very few photos must not drown all others in the loss."""

LISTED = 10
"""Leaking pairs named in an error."""

GROUP_ID_LENGTH = 12


@dataclass(frozen=True)
class Split:
    """Photos with their splits, what was left out altogether, and what the user should know.

    ``left_out`` includes what intake left out.
    """

    rows: Sequence[ManifestRow]
    left_out: Sequence[LeftOut]
    warnings: Sequence[str] = field(default_factory=tuple)

    def counts(self) -> dict[str, dict[SplitName, int]]:
        """Return the photos per class and split."""
        table: dict[str, dict[SplitName, int]] = {}
        for row in self.rows:
            table.setdefault(row.label, dict.fromkeys(SPLITS, 0))[row.split] += 1
        return dict(sorted(table.items()))


def parse_fractions(text: str) -> tuple[float, float, float]:
    """Return the shares of train, validation and test in ``.7,.15,.15``.

    Raises
    ------
    PegboardError
        Unless there are three positive numbers that add up to 1.
    """
    try:
        parts = tuple(float(part) for part in text.split(","))
    except ValueError:
        parts = ()
    if len(parts) != 3 or not all(0 < part < 1 for part in parts) or abs(sum(parts) - 1) > 1e-6:
        raise PegboardError(
            f"--fractions: expected three positive shares of train, validation and test that add "
            f"up to 1, such as .7,.15,.15; got {text!r}"
        )
    return parts[0], parts[1], parts[2]


def split_photos(
    intake: Intake,
    *,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    previous: Mapping[str, SplitName] | None = None,
    allow_leaks: bool = False,
) -> Split:
    """Split photos without leaks.

    Parameters
    ----------
    intake
        Photos; a ``split`` of their own is kept.
    fractions
        Shares of train, validation and test, where the source gives none.
    seed
        Of the split, not of training.
    previous
        Earlier assignments by sha256: kept.
    allow_leaks
        Keep given splits although they share photos.

    Raises
    ------
    SourceError
        When fewer than two classes are usable, or the given splits lack train or test.
    LeakError
        When given splits share photos.
    """
    photos, conflicting = _without_conflicts(intake.photos)
    groups = duplicate_groups(photos)
    photos, groups, rare = _without_rare_classes(photos, groups)
    left_out = [*intake.left_out, *conflicting, *rare]
    _check_classes(photos, left_out)
    warnings = _label_warnings(photos, groups)
    given = [photo.split for photo in photos]
    if any(given):
        _check_given(photos, groups, allow_leaks)
        if allow_leaks:
            warnings += _leak_warning(photos, groups)
        assigned = _complete_given(photos, groups, fractions, seed)
        bridging: list[LeftOut] = []
    else:
        fixed, bridging = _keep_previous(photos, groups, previous or {})
        assigned = _assign(photos, groups, fixed, fractions, seed)
    names = _group_names(photos, groups.codes)
    rows = [
        ManifestRow(photo.path, photo.label, split, name, photo.sha256)
        for photo, split, name in zip(photos, assigned, names, strict=True)
        if split is not None
    ]
    return Split(rows, [*left_out, *bridging], warnings)


# --- what cannot be split ----------------------------------------------------------------


def _without_conflicts(photos: Sequence[Photo]) -> tuple[list[Photo], list[LeftOut]]:
    """Leave out all copies of a picture that lies under several labels."""
    labels: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for photo in photos:
        labels[photo.pixels].setdefault(photo.label, photo.path)
    kept, left_out = [], []
    for photo in photos:
        found = labels[photo.pixels]
        if len(found) == 1:
            kept.append(photo)
            continue
        elsewhere = ", ".join(
            f"{label} ({path})" for label, path in found.items() if label != photo.label
        )
        left_out.append(
            LeftOut(
                photo.path,
                "label-conflict",
                f"the same picture is labelled {photo.label} here and {elsewhere}",
            )
        )
    return kept, left_out


def _without_rare_classes(
    photos: Sequence[Photo], groups: DuplicateGroups
) -> tuple[list[Photo], DuplicateGroups, list[LeftOut]]:
    distinct: defaultdict[str, set[int]] = defaultdict(set)
    for photo, code in zip(photos, groups.codes.tolist(), strict=True):
        distinct[photo.label].add(code)
    rare = {label for label, codes in distinct.items() if len(codes) < LEAST_GROUPS}
    if not rare:
        return list(photos), groups, []
    left_out = [
        LeftOut(
            photo.path,
            "rare-class",
            f"class {photo.label} has {len(distinct[photo.label])} different "
            f"photo{'s' if len(distinct[photo.label]) > 1 else ''}; "
            f"{LEAST_GROUPS} are needed, one for each split",
        )
        for photo in photos
        if photo.label in rare
    ]
    keep = [index for index, photo in enumerate(photos) if photo.label not in rare]
    place = {old: new for new, old in enumerate(keep)}
    pairs = [
        replace(pair, a=place[pair.a], b=place[pair.b])
        for pair in groups.pairs
        if pair.a in place and pair.b in place
    ]
    return [photos[index] for index in keep], DuplicateGroups(groups.codes[keep], pairs), left_out


def _check_classes(photos: Sequence[Photo], left_out: Sequence[LeftOut]) -> None:
    counts = Counter(photo.label for photo in photos)
    if len(counts) >= 2:
        return
    usable = ", ".join(f"{label} ({count} photos)" for label, count in counts.items()) or "none"
    reasons = Counter(item.reason for item in left_out)
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "nothing"
    raise SourceError(
        f"expected at least two usable classes of at least {LEAST_GROUPS} different photos each, "
        f"found: {usable}; left out: {told}. Put the photos of each class into a folder named "
        "after it"
    )


def _label_warnings(photos: Sequence[Photo], groups: DuplicateGroups) -> list[str]:
    """Tell near duplicates under two labels: one of the labels is probably wrong."""
    pairs = [
        pair
        for pair in groups.pairs
        if pair.kind == "near" and photos[pair.a].label != photos[pair.b].label
    ]
    if not pairs:
        return []
    first = pairs[0]
    more = f", and {len(pairs) - 1} more" if len(pairs) > 1 else ""
    return [
        "nearly the same photo under two labels (one is probably wrong): "
        f"{photos[first.a].path} and {photos[first.b].path}{more}"
    ]


# --- given splits ------------------------------------------------------------------------


def leaking_pairs(photos: Sequence[Photo], groups: DuplicateGroups) -> list[Pair]:
    """Return pairs of one group that lie in two different given splits.

    Direct pairs are preferred; of a group that leaks only through its own chain or through
    the user's group, the first two photos of different splits stand for it.
    """

    def crosses(a: int, b: int) -> bool:
        return None not in (photos[a].split, photos[b].split) and (
            photos[a].split != photos[b].split
        )

    direct = [pair for pair in groups.pairs if crosses(pair.a, pair.b)]
    told = {int(groups.codes[pair.a]) for pair in direct}
    for group in members(groups.codes):
        if len(group) > 1 and int(groups.codes[group[0]]) not in told:
            first = next((i for i in group if photos[i].split), None)
            other = next((i for i in group if first is not None and crosses(first, i)), None)
            if first is not None and other is not None:
                kind = next(p.kind for p in groups.pairs if p.a in group or p.b in group)
                direct.append(Pair(first, other, kind, 1.0))
    return direct


def describe_leak(photos: Sequence[Photo], pair: Pair) -> str:
    """Say one leak in words."""
    kinds = {
        "file": "equal files",
        "pixels": "equal pixels",
        "near": "nearly equal",
        "group": "same group",
    }
    a, b = photos[pair.a], photos[pair.b]
    return f"{a.path} ({a.split}) and {b.path} ({b.split}): {kinds[pair.kind]}"


def _check_given(photos: Sequence[Photo], groups: DuplicateGroups, allow_leaks: bool) -> None:
    found = {photo.split for photo in photos}
    missing = [split for split in ("train", "test") if split not in found]
    if missing:
        raise SourceError(
            f"the given splits hold no usable photo for {' and '.join(missing)}; give both train "
            "and test, or none (pegboard then splits the photos itself)"
        )
    leaks = [] if allow_leaks else leaking_pairs(photos, groups)
    if leaks:
        listed = "; ".join(describe_leak(photos, pair) for pair in leaks[:LISTED])
        more = f"; and {len(leaks) - LISTED} more" if len(leaks) > LISTED else ""
        raise LeakError(
            f"the given splits share {len(leaks)} photo{'s' if len(leaks) > 1 else ''}, so "
            f"figures on them would be too good: {listed}{more}. Remove one of each pair, let "
            "pegboard split (pegboard split), or give --allow-leaks"
        )


def _leak_warning(photos: Sequence[Photo], groups: DuplicateGroups) -> list[str]:
    leaks = leaking_pairs(photos, groups)
    if not leaks:
        return []
    return [f"the given splits share {len(leaks)} photos (--allow-leaks): figures are too good"]


def _complete_given(
    photos: Sequence[Photo],
    groups: DuplicateGroups,
    fractions: tuple[float, float, float],
    seed: int,
) -> list[SplitName | None]:
    """Keep given splits, place photos without one, and draw validation if there is none."""
    assigned: list[SplitName | None] = [photo.split for photo in photos]
    if None in assigned:
        fixed = _spread(assigned, groups)
        assigned = _assign(photos, groups, fixed, fractions, seed)
    if "validation" not in assigned:
        _draw_validation(photos, groups, assigned, seed)
    return assigned


def _spread(
    assigned: Sequence[SplitName | None], groups: DuplicateGroups
) -> list[SplitName | None]:
    """Give photos without a split that of their group."""
    spread = list(assigned)
    for group in members(groups.codes):
        known = next((assigned[i] for i in group if assigned[i]), None)
        for index in group:
            spread[index] = spread[index] or known
    return spread


def _draw_validation(
    photos: Sequence[Photo],
    groups: DuplicateGroups,
    assigned: list[SplitName | None],
    seed: int,
) -> None:
    """Move some of train to validation: as much as test, at most a fifth of train."""
    train = [index for index, split in enumerate(assigned) if split == "train"]
    wanted = min(sum(split == "test" for split in assigned), len(train) // 5)
    classes = _classes_of_groups(photos, _groups_within(groups.codes, train))
    totals = {label: sum(len(group) for group in found) for label, found in classes.items()}
    targets = _shared_out(wanted, totals)
    for label, found in classes.items():
        goals: dict[SplitName, float] = {
            "train": totals[label] - targets[label],
            "validation": targets[label],
        }
        for group, split in _fill(_drawn(photos, found, seed), goals, {}):
            for index in group:
                assigned[index] = split


def _groups_within(codes: NDArray[np.int64], indices: Sequence[int]) -> list[list[int]]:
    within: defaultdict[int, list[int]] = defaultdict(list)
    for index in indices:
        within[int(codes[index])].append(index)
    return list(within.values())


def _shared_out(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share a whole number out in proportion, by largest remainders."""
    everything = sum(weights.values())
    exact = {label: total * weight / everything for label, weight in weights.items()}
    shares = {label: int(share) for label, share in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (shares[label] - exact[label], label))
    for label in by_remainder[: total - sum(shares.values())]:
        shares[label] += 1
    return shares


# --- our own split -----------------------------------------------------------------------


def _keep_previous(
    photos: Sequence[Photo], groups: DuplicateGroups, previous: Mapping[str, SplitName]
) -> tuple[list[SplitName | None], list[LeftOut]]:
    """Keep earlier assignments; leave out new photos that join groups of several splits."""
    fixed: list[SplitName | None] = [previous.get(photo.sha256) for photo in photos]
    left_out = []
    if not any(fixed):
        return fixed, []
    for group in members(groups.codes):
        kept = {fixed[index]: photos[index].path for index in group if fixed[index]}
        new = [index for index in group if not fixed[index]]
        if len(kept) == 1:
            for index in new:
                fixed[index] = next(iter(kept))
        elif len(kept) > 1:
            told = " and ".join(f"{path} ({split})" for split, path in kept.items())
            detail = f"belongs with {told}, which were split earlier"
            left_out += [LeftOut(photos[index].path, "bridges-splits", detail) for index in new]
    return fixed, left_out


def _assign(
    photos: Sequence[Photo],
    groups: DuplicateGroups,
    fixed: Sequence[SplitName | None],
    fractions: tuple[float, float, float],
    seed: int,
) -> list[SplitName | None]:
    """Place every free group, class by class; photos that bridge splits stay without one."""
    assigned = list(fixed)
    found = members(groups.codes)
    free = [group for group in found if not any(fixed[index] for index in group)]
    have: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for photo, split in zip(photos, fixed, strict=True):
        if split:
            have[photo.label][split] += 1
    for label, of_class in _classes_of_groups(photos, free).items():
        total = sum(len(group) for group in of_class) + sum(have[label].values())
        goals = {split: total * share for split, share in zip(SPLITS, fractions, strict=True)}
        for group, split in _fill(_drawn(photos, of_class, seed), goals, have[label]):
            for index in group:
                assigned[index] = split
    return assigned


def _classes_of_groups(
    photos: Sequence[Photo], groups: Iterable[list[int]]
) -> dict[str, list[list[int]]]:
    """Return the groups by class; a group of several labels goes by its commonest one."""
    classes: defaultdict[str, list[list[int]]] = defaultdict(list)
    for group in groups:
        if len(group) == 1:
            label = photos[group[0]].label
        else:
            counts = Counter(photos[index].label for index in group)
            label = min(counts, key=lambda name: (-counts[name], name))
        classes[label].append(group)
    return dict(sorted(classes.items()))


def _drawn(photos: Sequence[Photo], groups: list[list[int]], seed: int) -> list[list[int]]:
    """Return groups in the order of drawing: large ones first, then by chance of the seed."""

    def chance(group: list[int]) -> tuple[int, bytes, str]:
        first = min(photos[index].sha256 for index in group)
        drawn = hashlib.blake2b(f"{seed}/{first}".encode(), digest_size=8).digest()
        return -len(group), drawn, first

    return sorted(groups, key=chance)


def _fill(
    groups: Sequence[list[int]], goals: Mapping[SplitName, float], have: Mapping[str, int]
) -> Iterable[tuple[list[int], SplitName]]:
    """Place each group where most is missing; the last groups fill splits left empty."""
    missing = {split: goal - have.get(split, 0) for split, goal in goals.items()}
    empty = {split for split, goal in goals.items() if not have.get(split) and goal > 0}
    for place, group in enumerate(groups):
        choice = empty if len(groups) - place <= len(empty) else missing
        split = max(choice, key=lambda name: (missing[name], -SPLITS.index(name)))
        missing[split] -= len(group)
        empty.discard(split)
        yield group, split


def _group_names(photos: Sequence[Photo], codes: NDArray[np.int64]) -> list[str]:
    """Name every group: by the user's name if there is one, else by its smallest checksum."""
    names = [""] * len(photos)
    for group in members(codes):
        given = {photos[index].group for index in group} - {None}
        name = next(iter(given)) if len(given) == 1 else None
        name = name or min(photos[index].sha256 for index in group)[:GROUP_ID_LENGTH]
        for index in group:
            names[index] = name
    return names


# --- class imbalance ---------------------------------------------------------------------


def class_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return the weight of each class in the loss, ``(classes,)``.

    Inverse to its frequency, as scikit-learn's ``balanced``: every class counts alike, which
    is what macro-F1 asks for. At most :data:`LARGEST_CLASS_WEIGHT`; 1 for all classes of a
    balanced set; 0 for a class that does not occur.
    """
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    weights = np.zeros(classes, dtype=np.float32)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return np.minimum(weights, LARGEST_CLASS_WEIGHT)


def imbalance(rows: Iterable[ManifestRow]) -> float:
    """Return how many times larger the largest class is than the smallest."""
    counts = Counter(row.label for row in rows)
    return max(counts.values()) / min(counts.values())
