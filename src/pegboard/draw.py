"""Drawing lots: which split each group of photos goes to.

Groups are drawn by a hash of the split seed and their content, so the order of files plays no
part. Large groups are drawn first, while every split has room; they mostly go to train, the
largest, and leave validation and test with many different photos rather than few large groups.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from pegboard.photos import SPLITS, Photo, SplitName

Goals = Mapping[SplitName, float]
"""Photos wanted in each split."""

Group = Sequence[int]
"""The photos of one group, by index."""


def whole_goals(
    totals: Mapping[str, int], fractions: tuple[float, float, float]
) -> dict[str, dict[SplitName, float]]:
    """Share the photos of every class out in whole numbers.

    Each share is within one photo of the exact one, and what rounding takes from a split in
    one class it gives back in the next, so the totals are right too.
    """
    goals: dict[str, dict[SplitName, float]] = {}
    owed = dict.fromkeys(SPLITS, 0.0)
    for label in sorted(totals):
        exact = {
            split: totals[label] * share for split, share in zip(SPLITS, fractions, strict=True)
        }
        # .7 * 10 may be 6.999…: that is seven photos.
        whole = {split: int(share + 1e-9) for split, share in exact.items()}
        owed = {split: owed[split] + exact[split] - whole[split] for split in SPLITS}
        # A share that is whole already is given nothing, so none is off by one or more.
        broken = [split for split in SPLITS if exact[split] - whole[split] > 1e-6]
        broken.sort(key=lambda split: round(-owed[split], 9))
        for split in broken[: totals[label] - sum(whole.values())]:
            whole[split] += 1
            owed[split] -= 1
        goals[label] = {split: float(count) for split, count in whole.items()}
    return goals


def draw_splits(
    photos: Sequence[Photo],
    groups: Iterable[Group],
    assigned: Sequence[SplitName | None],
    goals: Mapping[str, Goals],
    seed: int,
) -> list[SplitName | None]:
    """Give every photo of ``groups`` a split.

    Parameters
    ----------
    groups
        Those to be drawn; none of their photos is assigned yet.
    assigned
        The split of every photo that has one.
    goals
        Of each class, assigned photos included; only the splits named are drawn for.

    Returns
    -------
    ``assigned``, completed. Every class gets a group in every split it has a goal for, as long
    as it has enough groups (groups of several classes: as far as possible).
    """
    result = list(assigned)
    missing = {label: dict(of_class) for label, of_class in goals.items()}
    settled = Counter(
        (photo.label, split) for photo, split in zip(photos, assigned, strict=True) if split
    )
    for (label, split), placed in settled.items():
        if split in missing.get(label, ()):
            missing[label][split] -= placed
    empty = {
        label: {split for split, goal in of_class.items() if (label, split) not in settled}
        for label, of_class in goals.items()
    }
    mixed, single = _by_classes(photos, groups)
    left = Counter(label for group in mixed for label in {photos[i].label for i in group})
    left.update({label: len(found) for label, found in single.items()})
    for group in _in_order(photos, mixed, seed):
        split = _for_mixed(Counter(photos[i].label for i in group), goals, missing, empty, left)
        for index in group:
            result[index] = split
    owed = dict.fromkeys(SPLITS, 0.0)
    for label, found in sorted(single.items()):
        drawn = _in_order(photos, found, seed)
        for group, split in _fill(drawn, missing[label], empty[label], owed):
            for index in group:
                result[index] = split
        for split, count in missing[label].items():
            owed[split] += count
    return result


def _by_classes(
    photos: Sequence[Photo], groups: Iterable[Group]
) -> tuple[list[Group], dict[str, list[Group]]]:
    """Part groups that hold several classes from those of one."""
    mixed: list[Group] = []
    single: defaultdict[str, list[Group]] = defaultdict(list)
    for group in groups:
        label = photos[group[0]].label
        if len(group) > 1 and any(photos[index].label != label for index in group):
            mixed.append(group)
        else:
            single[label].append(group)
    return mixed, single


def _in_order(photos: Sequence[Photo], groups: Iterable[Group], seed: int) -> list[Group]:
    """Return groups in the order of drawing: large ones first, then by chance of the seed."""
    groups = list(groups)
    firsts = [
        photos[group[0]].sha256 if len(group) == 1 else min([photos[i].sha256 for i in group])
        for group in groups
    ]
    drawn = b"".join(
        [hashlib.blake2b(f"{seed}/{first}".encode(), digest_size=8).digest() for first in firsts]
    )
    chances = np.frombuffer(drawn, ">u8").astype(np.uint64)
    sizes = np.array([len(group) for group in groups])
    order = np.lexsort((chances, -sizes)).tolist()
    if len(np.unique(chances)) < len(chances):
        # Ties go by checksum, so that the order of files never counts.
        order.sort(key=lambda place: (-sizes[place], chances[place], firsts[place]))
    return [groups[place] for place in order]


def _fill(
    groups: Sequence[Group],
    missing: dict[SplitName, float],
    empty: set[SplitName],
    owed: Mapping[SplitName, float],
) -> Iterator[tuple[Group, SplitName]]:
    """Place each group where most is missing; the last groups fill splits left empty.

    Of splits that miss as much, the one comes first to which earlier classes left more owing.
    """
    order = sorted(missing, key=lambda split: (-owed[split], SPLITS.index(split)))
    for place, group in enumerate(groups):
        is_last_chance = empty and len(groups) - place <= len(empty)
        choice = [split for split in order if split in empty] if is_last_chance else order
        split = max(choice, key=missing.__getitem__)
        missing[split] -= len(group)
        empty.discard(split)
        yield group, split


def _for_mixed(
    counts: Mapping[str, int],
    goals: Mapping[str, Goals],
    missing: Mapping[str, dict[SplitName, float]],
    empty: Mapping[str, set[SplitName]],
    left: Counter[str],
) -> SplitName:
    """Choose the split where a group of several classes is missed most, and note it there.

    Classes that would otherwise miss a split altogether are heard first.
    """
    needed = Counter(
        split for label in counts if left[label] <= len(empty[label]) for split in empty[label]
    )
    options = {split for label in counts for split in goals[label]}

    def merit(split: SplitName) -> tuple[int, float, int]:
        wanted = sum(
            count * missing[label].get(split, 0) / max(1, sum(goals[label].values()))
            for label, count in counts.items()
        )
        return needed[split], round(wanted, 9), -SPLITS.index(split)

    chosen = max(options, key=merit)
    for label, count in counts.items():
        left[label] -= 1
        empty[label].discard(chosen)
        missing[label][chosen] = missing[label].get(chosen, 0) - count
    return chosen
