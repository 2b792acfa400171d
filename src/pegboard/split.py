"""Train, validation and test: stratified by class, and no group in two of them.

What cannot be used is left out with a reason, what is given or was assigned earlier stays
where it is, and the rest is drawn (see :mod:`pegboard.draw`). The order of files plays no part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pegboard.draw import draw_splits, whole_goals
from pegboard.duplicates import DuplicateGroups, duplicate_groups, members, shared
from pegboard.errors import LeakError, PegboardError, SourceError
from pegboard.leaks import LISTED, alike_across, describe_leaks, leaking_pairs
from pegboard.manifest import ManifestRow
from pegboard.photos import SPLITS, Intake, LeftOut, Photo, SplitName

FRACTIONS = (0.7, 0.15, 0.15)

LEAST_GROUPS = 3
"""A class needs one group for each split."""

LARGEST_CLASS_WEIGHT = 10.0
"""A class of very few photos must not drown all others in the loss."""

GROUP_ID_LENGTH = 16
"""Digits of a checksum that name a group: among a million groups two never agree by chance."""

Assigned = list[SplitName | None]


@dataclass(frozen=True)
class Split:
    """Photos with their splits, what was left out altogether, and what the user should know.

    ``photos`` stand in the order of ``rows``; ``left_out`` includes what intake left out.
    """

    rows: Sequence[ManifestRow]
    photos: Sequence[Photo]
    left_out: Sequence[LeftOut]
    warnings: Sequence[str] = field(default_factory=tuple)

    def counts(self) -> dict[str, dict[SplitName, int]]:
        """Return the photos per class and split."""
        return _table(self.rows)


def _table(rows: Iterable[ManifestRow]) -> dict[str, dict[SplitName, int]]:
    counts = Counter((row.label, row.split) for row in rows)
    labels = sorted({label for label, _ in counts})
    return {label: {split: counts[label, split] for split in SPLITS} for label in labels}


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
        Earlier assignments by sha256: kept, save where the source itself now gives another.
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
    photos, groups, bridging = _without_bridges(photos, groups, previous or {})
    photos, groups, rare = _without_rare_classes(photos, groups)
    left_out = [*intake.left_out, *conflicting, *bridging, *rare]
    _check_classes(photos, left_out)
    standing = _standing(photos, previous or {})
    warnings = [
        *_label_warnings(photos, groups),
        *_given_leaks(photos, groups, allow_leaks=allow_leaks),
        *_earlier_leaks(photos, groups, standing),
    ]
    assigned = _assign(photos, groups, standing, fractions, seed)
    names = _group_names(photos, groups.codes)
    rows = [
        ManifestRow(photo.path, photo.label, split, name, photo.sha256)
        for photo, split, name in zip(photos, assigned, names, strict=True)
    ]
    return Split(rows, photos, left_out, [*warnings, *_empty_splits(rows)])


# --- where photos stand before anything is drawn -----------------------------------------


@dataclass(frozen=True)
class _Standing:
    """What is settled: ``fixed`` splits, and given train photos that may yet be validation."""

    fixed: Assigned
    open_train: frozenset[int] = frozenset()


def _standing(photos: Sequence[Photo], previous: Mapping[str, SplitName]) -> _Standing:
    given = {photo.split for photo in photos}
    if given <= {None} and not previous:
        return _Standing([None] * len(photos))
    draws_validation = "train" in given and "validation" not in given
    fixed: Assigned = []
    open_train = []
    for index, photo in enumerate(photos):
        earlier = previous.get(photo.sha256)
        if photo.split == "train" and draws_validation:
            # Validation is a part of the given train; what was drawn earlier stays drawn.
            settled = None if earlier == "test" else earlier
            fixed.append(settled)
            if settled is None:
                open_train.append(index)
        else:
            fixed.append(photo.split or earlier)
    return _Standing(fixed, frozenset(open_train))


# --- what cannot be split ----------------------------------------------------------------


def _without_conflicts(photos: Sequence[Photo]) -> tuple[Sequence[Photo], list[LeftOut]]:
    """Leave out all copies of a picture that lies under several labels."""
    if len({photo.pixels for photo in photos}) == len(photos):
        return photos, []
    first: dict[str, Photo] = {}
    several: dict[str, dict[str, str]] = {}
    for photo in photos:
        other = first.setdefault(photo.pixels, photo)
        if other.label != photo.label:
            labels = several.setdefault(photo.pixels, {other.label: other.path})
            labels.setdefault(photo.label, photo.path)
    if not several:
        return photos, []
    kept, left_out = [], []
    for photo in photos:
        if photo.pixels not in several:
            kept.append(photo)
            continue
        elsewhere = ", ".join(
            f"{label} ({path})"
            for label, path in several[photo.pixels].items()
            if label != photo.label
        )
        left_out.append(
            LeftOut(
                photo.path,
                "label-conflict",
                f"the same picture is labelled {photo.label} here and {elsewhere}",
            )
        )
    return kept, left_out


def _without_bridges(
    photos: Sequence[Photo], groups: DuplicateGroups, previous: Mapping[str, SplitName]
) -> tuple[Sequence[Photo], DuplicateGroups, list[LeftOut]]:
    """Leave out new photos that belong with photos of several splits."""
    standing = _standing(photos, previous)
    if not any(standing.fixed) and not standing.open_train:
        return photos, groups, []
    details: dict[int, str] = {}
    for group in shared(groups.codes):
        details |= _bridges(photos, group, standing)
    if not details:
        return photos, groups, []
    left_out = [
        LeftOut(photos[index].path, "bridges-splits", detail)
        for index, detail in sorted(details.items())
    ]
    kept = [photo for index, photo in enumerate(photos) if index not in details]
    # Without the bridge, what it joined falls apart.
    return kept, duplicate_groups(kept), left_out


def _bridges(photos: Sequence[Photo], group: Sequence[int], standing: _Standing) -> dict[int, str]:
    """Return the photos of one group that join several splits, and between which they stand."""
    places: dict[SplitName, str] = {}
    for index in group:
        if split := standing.fixed[index]:
            places.setdefault(split, photos[index].path)
    bridging = [index for index in group if not standing.fixed[index]]
    if not {"train", "validation"} <= places.keys():
        of_train = [index for index in bridging if index in standing.open_train]
        bridging = [index for index in bridging if index not in standing.open_train]
        if of_train and "validation" not in places:
            places.setdefault("train", photos[of_train[0]].path)
    if len(places) < 2:
        return {}
    bridging += _bridging_copies(photos, group, standing.fixed)
    told = " and ".join(f"{path} ({split})" for split, path in places.items())
    return dict.fromkeys(bridging, f"belongs with {told}, which stay where they are")


def _bridging_copies(
    photos: Sequence[Photo], group: Sequence[int], fixed: Sequence[SplitName | None]
) -> list[int]:
    """Return copies of settled photos whose user's group lies in another split.

    A new copy has the checksum, and so the split, of its original. If the original (or any
    other copy) is in no such trouble, this one is left out.
    """
    lies: defaultdict[str, set[SplitName]] = defaultdict(set)
    copies: defaultdict[str, list[int]] = defaultdict(list)
    for index in group:
        copies[photos[index].sha256].append(index)
        if (split := fixed[index]) and (name := photos[index].group):
            lies[name].add(split)

    def is_troubled(index: int) -> bool:
        name = photos[index].group
        return fixed[index] is not None and name is not None and len(lies[name]) > 1

    found = []
    for same in copies.values():
        troubled = [index for index in same if is_troubled(index)]
        if len(troubled) < len(same):
            found += troubled
    return found


def _without_rare_classes(
    photos: Sequence[Photo], groups: DuplicateGroups
) -> tuple[Sequence[Photo], DuplicateGroups, list[LeftOut]]:
    distinct: defaultdict[str, set[int]] = defaultdict(set)
    for photo, code in zip(photos, groups.codes.tolist(), strict=True):
        distinct[photo.label].add(code)
    rare = {label for label, codes in distinct.items() if len(codes) < LEAST_GROUPS}
    if not rare:
        return photos, groups, []
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
    kept = [photo for photo in photos if photo.label not in rare]
    return kept, duplicate_groups(kept), left_out


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


# --- splits that are there already --------------------------------------------------------


def _check_given(splits: Sequence[SplitName | None]) -> None:
    missing = [split for split in ("train", "test") if split not in splits]
    if missing:
        raise SourceError(
            f"the given splits hold no usable photo for {' and '.join(missing)}; give both train "
            "and test, or none (pegboard then splits the photos itself)"
        )


def _given_leaks(
    photos: Sequence[Photo], groups: DuplicateGroups, *, allow_leaks: bool
) -> list[str]:
    """Refuse given splits that share photos; warn where they may."""
    splits = [photo.split for photo in photos]
    if not any(splits):
        return []
    _check_given(splits)
    leaks = leaking_pairs(photos, groups, splits)
    listed = "; ".join(describe_leaks(photos, leaks, splits, most=LISTED))
    many = f"{len(leaks)} pair{'s' if len(leaks) > 1 else ''} of photos"
    if leaks and not allow_leaks:
        raise LeakError(
            f"the given splits share {many}, so figures on them would be too good: {listed}. "
            "Remove one of each pair, take the split column or folders away (pegboard then "
            "splits the photos itself), or give --allow-leaks"
        )
    warnings = []
    if leaks:
        warnings.append(f"the given splits share {many} (--allow-leaks), so figures are too good")
    alike = alike_across(photos, groups, splits)
    if alike:
        first = alike[0]
        warnings.append(
            f"{len(alike)} pair{'s' if len(alike) > 1 else ''} of photos in different given splits "
            f"look alike, the first {photos[first.a].path} ({splits[first.a]}) and "
            f"{photos[first.b].path} ({splits[first.b]}); look whether they show the same object"
        )
    return warnings


def _earlier_leaks(
    photos: Sequence[Photo], groups: DuplicateGroups, standing: _Standing
) -> list[str]:
    """Tell what an earlier split shares: it is kept all the same."""
    if not any(standing.fixed):
        return []
    given = [photo.split for photo in photos]
    leaks = [
        pair
        for pair in leaking_pairs(photos, groups, standing.fixed)
        if given[pair.a] == given[pair.b]
    ]
    if not leaks:
        return []
    listed = "; ".join(describe_leaks(photos, leaks, standing.fixed, most=LISTED))
    return [
        f"the earlier split, which is kept, shares {len(leaks)} "
        f"pair{'s' if len(leaks) > 1 else ''} of photos: {listed}; "
        "--previous none draws a new one"
    ]


def _empty_splits(rows: Sequence[ManifestRow]) -> list[str]:
    """Tell classes that have no photo in one of the splits."""
    bare = [
        f"{label!r} in {name}"
        for label, counts in _table(rows).items()
        for name, count in counts.items()
        if not count
    ]
    if not bare:
        return []
    more = f" and {len(bare) - LISTED} more" if len(bare) > LISTED else ""
    return [f"there is no photo of class {', '.join(bare[:LISTED])}{more}"]


# --- drawing the rest ---------------------------------------------------------------------


def _assign(
    photos: Sequence[Photo],
    groups: DuplicateGroups,
    standing: _Standing,
    fractions: tuple[float, float, float],
    seed: int,
) -> list[SplitName]:
    """Keep what is fixed, let its groups follow, and draw the rest."""
    assigned = list(standing.fixed)
    free: list[list[int]] = []
    of_train: list[list[int]] = []
    everything = members(groups.codes)
    if not any(standing.fixed) and not standing.open_train:
        free, everything = everything, []
    for group in everything:
        fixed = [split for index in group if (split := standing.fixed[index])]
        is_open = not standing.open_train.isdisjoint(group)
        if not fixed:
            (of_train if is_open else free).append(group)
            continue
        # With --allow-leaks a group may lie in several splits; photos of train stay in train.
        allowed = [split for split in fixed if not (is_open and split == "test")]
        known = allowed[0] if allowed else "train"
        for index in group:
            assigned[index] = assigned[index] or known
    for index in (index for group in of_train for index in group):
        assigned[index] = "train"
    if free:
        goals = whole_goals(Counter(photo.label for photo in photos), fractions)
        assigned = draw_splits(photos, free, assigned, goals, seed)
    if of_train:
        assigned = _draw_validation(photos, groups, of_train, assigned, seed)
    return [split for split in assigned if split is not None]


def _draw_validation(
    photos: Sequence[Photo],
    groups: DuplicateGroups,
    of_train: Sequence[Sequence[int]],
    assigned: Assigned,
    seed: int,
) -> Assigned:
    """Take validation from the given train: as large as test, at most a fifth of train."""
    pool = [
        [index for index in group if assigned[index] != "test"] for group in members(groups.codes)
    ]
    goals = _validation_goals(photos, pool, assigned.count("test"), largest=0.2)
    drawn = list(assigned)
    for index in (index for group in of_train for index in group):
        drawn[index] = None
    return draw_splits(photos, of_train, drawn, goals, seed)


def _validation_goals(
    photos: Sequence[Photo], pool: Iterable[Sequence[int]], most: int, largest: float
) -> dict[str, dict[SplitName, float]]:
    """Share train and validation out by class; a class of one group stays in train.

    Validation gets ``most`` photos, at most this ``largest`` part of the pool.
    """
    photos_of: Counter[str] = Counter()
    groups_of: Counter[str] = Counter()
    for group in pool:
        counts = Counter(photos[index].label for index in group)
        photos_of += counts
        groups_of.update(counts.keys())
    wanted = max(1, min(most, int(photos_of.total() * largest)))
    sharing = {label: photos_of[label] for label in photos_of if groups_of[label] > 1}
    shares = _shared_out(wanted, sharing)
    goals: dict[str, dict[SplitName, float]] = {}
    for label, count in photos_of.items():
        share = shares.get(label, 0)
        goals[label] = {"train": count - share}
        if share:
            goals[label]["validation"] = share
    return goals


def _shared_out(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share a whole number out in proportion, by largest remainders; at least 1 where it can."""
    everything = sum(weights.values())
    exact = {label: total * weight / everything for label, weight in weights.items()}
    shares = {label: int(share) for label, share in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (shares[label] - exact[label], label))
    for label in by_remainder[: total - sum(shares.values())]:
        shares[label] += 1
    for label in sorted(label for label, share in shares.items() if not share):
        richest = max(sorted(shares), key=shares.__getitem__)
        if shares[richest] > 1:
            shares[richest] -= 1
            shares[label] = 1
    return shares


def hold_out(photos: Sequence[Photo], fraction: float, seed: int) -> list[ManifestRow]:
    """Split photos into train and validation only, for those who test elsewhere.

    Stratified by class, and no group in both. A class of a single group stays in train.

    Parameters
    ----------
    fraction
        Share of validation, between 0 and 1.
    seed
        Of the split, not of training.
    """
    groups = duplicate_groups(photos)
    pool = members(groups.codes)
    wanted = max(1, round(fraction * len(photos)))
    goals = _validation_goals(photos, pool, wanted, largest=1)
    assigned = draw_splits(photos, pool, [None] * len(photos), goals, seed)
    return [
        ManifestRow(photo.path, photo.label, split or "train", name, photo.sha256)
        for photo, split, name in zip(
            photos, assigned, _group_names(photos, groups.codes), strict=True
        )
    ]


def _group_names(photos: Sequence[Photo], codes: NDArray[np.int64]) -> list[str]:
    """Name every group: by the user's name if there is one, else by its smallest checksum."""
    names = [photo.group or photo.sha256[:GROUP_ID_LENGTH] for photo in photos]
    for group in shared(codes):
        given = {photos[index].group for index in group} - {None}
        smallest = min(photos[index].sha256 for index in group)[:GROUP_ID_LENGTH]
        name = next(iter(given)) if len(given) == 1 else None
        for index in group:
            names[index] = name or smallest
    return names


# --- class imbalance ---------------------------------------------------------------------


def class_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return the weight of each class in the loss, ``(classes,)``.

    Inverse to its frequency, as scikit-learn's ``balanced``: every class counts alike, which
    is what macro-F1 asks for. At most :data:`LARGEST_CLASS_WEIGHT`, 1 for all classes of a
    balanced set, 0 for a class that does not occur.
    """
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    weights = np.zeros(classes, dtype=np.float32)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return np.minimum(weights, LARGEST_CLASS_WEIGHT)
