from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from pegboard.draw import whole_goals
from pegboard.duplicates import duplicate_groups, shared
from pegboard.errors import LeakError, PegboardError, SourceError
from pegboard.leaks import leaking_pairs
from pegboard.manifest import fingerprint
from pegboard.photos import SPLITS, Intake, LeftOut, Photo, SplitName
from pegboard.split import Split, class_weights, hold_out, parse_fractions, split_photos


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def photo(
    path: str,
    *,
    split: SplitName | None = None,
    group: str | None = None,
    content: str | None = None,
    signature: bytes | None = None,
) -> Photo:
    """A photo of the class its folder names; photos of one ``content`` are copies."""
    sha256 = sha(content or path)
    label = path.split("/", maxsplit=1)[0]
    return Photo(path, label, split, group, sha256, sha256, 100, 100, 1, signature)


def photos_of(**counts: int) -> list[Photo]:
    return [photo(f"{label}/{n:03d}") for label, count in counts.items() for n in range(count)]


def picture(seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, 1024, dtype=np.uint8).tobytes()


def nearly(signature: bytes) -> bytes:
    grey = np.frombuffer(signature, np.uint8).astype(int)
    return (grey + np.arange(1024) % 3).clip(0, 255).astype(np.uint8).tobytes()


def taken(photos: Sequence[Photo], **options: object) -> Split:
    return split_photos(Intake(photos, []), **options)  # type: ignore[arg-type]


def places(split: Split) -> dict[str, SplitName]:
    return {row.path: row.split for row in split.rows}


def reasons(split: Split) -> dict[str, str]:
    return {item.path: item.reason for item in split.left_out}


FRACTIONS = st.sampled_from([(0.7, 0.15, 0.15), (0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.5, 0.3, 0.2)])

# Photos as (class, content, the user's group): contents repeat, so there are copies, also under
# two labels, and groups join classes.
SETS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 60),
        st.one_of(st.none(), st.none(), st.integers(0, 12)),
    ),
    min_size=12,
    max_size=70,
)


def untidy(drawn: list[tuple[str, int, int | None]]) -> list[Photo]:
    return [
        photo(
            f"{label}/{number:03d}",
            content=str(content),
            group=None if group is None else f"group {group}",
        )
        for number, (label, content, group) in enumerate(drawn)
    ]


def tried(photos: Sequence[Photo], **options: object) -> Split | None:
    """Split, or None where there is too little to split."""
    try:
        return taken(photos, **options)
    except SourceError:
        return None


class TestEverySplit:
    @settings(max_examples=120, deadline=None)
    @given(SETS, st.integers(0, 3), FRACTIONS)
    def test_is_a_partition_that_no_group_crosses(
        self,
        drawn: list[tuple[str, int, int | None]],
        seed: int,
        fractions: tuple[float, float, float],
    ) -> None:
        photos = untidy(drawn)
        split = tried(photos, seed=seed, fractions=fractions)
        if split is None:
            return
        met = [row.path for row in split.rows] + [item.path for item in split.left_out]
        assert sorted(met) == sorted(one.path for one in photos)
        assert [one.path for one in split.photos] == [row.path for row in split.rows]
        for key in ("sha256", "group"):
            where = defaultdict(set)
            for one, row in zip(split.photos, split.rows, strict=True):
                where[getattr(one, key)].add(row.split)
            where.pop(None, None)
            assert all(len(splits) == 1 for splits in where.values())
        named = defaultdict(set)
        for row in split.rows:
            named[row.group].add(row.split)
        assert all(len(splits) == 1 for splits in named.values())

    @settings(max_examples=60, deadline=None)
    @given(SETS, st.randoms(use_true_random=False))
    def test_the_order_of_files_plays_no_part(
        self, drawn: list[tuple[str, int, int | None]], random: object
    ) -> None:
        photos = untidy(drawn)
        mixed = list(photos)
        random.shuffle(mixed)  # type: ignore[attr-defined]
        one, other = tried(photos), tried(mixed)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert set(one.rows) == set(other.rows)
            assert reasons(one) == reasons(other)
            assert one.counts() == other.counts()

    @settings(max_examples=80, deadline=None)
    @given(SETS, SETS, st.integers(0, 3))
    def test_more_photos_never_move_an_old_one(
        self,
        drawn: list[tuple[str, int, int | None]],
        more: list[tuple[str, int, int | None]],
        seed: int,
    ) -> None:
        first = tried(untidy(drawn), seed=seed)
        if first is None:
            return
        previous = {row.sha256: row.split for row in first.rows}
        second = tried(untidy([*drawn, *more]), seed=seed, previous=previous)
        if second is None:
            return
        after = places(second)
        for row in first.rows:
            assert after.get(row.path, row.split) == row.split
        # What is new joins no groups of two splits. Only where every copy of a photo is in two
        # of the user's groups at odds, old and new cannot be told apart: that is said.
        groups = duplicate_groups(second.photos)
        leaks = leaking_pairs(second.photos, groups, [row.split for row in second.rows])
        assert {pair.kind for pair in leaks} <= {"group"}
        assert bool(leaks) == any("the earlier split" in text for text in second.warnings)

    @settings(max_examples=80, deadline=None)
    @given(SETS, SETS, st.integers(0, 3))
    def test_more_photos_without_groups_never_leak(
        self,
        drawn: list[tuple[str, int, int | None]],
        more: list[tuple[str, int, int | None]],
        seed: int,
    ) -> None:
        plain = [(label, content, None) for label, content, _ in more]
        first = tried(untidy(drawn), seed=seed)
        previous = {row.sha256: row.split for row in first.rows} if first else {}
        second = tried(untidy([*drawn, *plain]), seed=seed, previous=previous)
        if second is None:
            return
        splits = [row.split for row in second.rows]
        assert not leaking_pairs(second.photos, duplicate_groups(second.photos), splits)

    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.integers(3, 60), min_size=2, max_size=8), FRACTIONS, st.integers(0, 2))
    def test_different_photos_are_within_one_of_their_share(
        self, sizes: list[int], fractions: tuple[float, float, float], seed: int
    ) -> None:
        counts = {f"class {number}": size for number, size in enumerate(sizes)}
        split = taken(photos_of(**counts), fractions=fractions, seed=seed)
        for label, found in split.counts().items():
            for name, share in zip(SPLITS, fractions, strict=True):
                exact = counts[label] * share
                assert found[name] >= 1
                # With few photos, one for each split comes first.
                if all(counts[label] * least >= 1 for least in fractions):
                    assert abs(found[name] - exact) < 1
        if all(size * min(fractions) >= 1 for size in sizes):
            for name, share in zip(SPLITS, fractions, strict=True):
                total = sum(found[name] for found in split.counts().values())
                assert abs(total - sum(sizes) * share) < 2

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=9), min_size=2, max_size=4),
        st.integers(0, 3),
    )
    def test_every_class_has_a_group_in_every_split(
        self, classes: list[list[int]], seed: int
    ) -> None:
        photos = [
            photo(f"class {label}/{group}-{n}", content=f"{label} {group}")
            for label, groups in enumerate(classes)
            for group, size in enumerate(groups)
            for n in range(size)
        ]
        split = taken(photos, seed=seed)
        assert all(min(found.values()) >= 1 for found in split.counts().values())
        assert not split.warnings

    def test_classes_of_pairs_share_rounding(self) -> None:
        photos = [
            photo(f"class {label}/{n}", content=f"{label} {n // 2}")
            for label in range(10)
            for n in range(20)
        ]
        split = taken(photos)
        assert Counter(places(split).values()) == {"train": 140, "validation": 30, "test": 30}

    def test_the_seed_draws_another_split(self) -> None:
        photos = photos_of(cat=40, dog=40)
        drawn = [places(taken(photos, seed=seed)) for seed in (0, 1, 0)]
        assert drawn[0] == drawn[2]
        assert drawn[0] != drawn[1]

    def test_a_seed_draws_what_it_drew_in_earlier_versions(self) -> None:
        photos = [
            *photos_of(a=40, b=13, c=7),
            *(photo(f"{'ab'[n % 2]}/of-{n}", group=f"g{n // 4}") for n in range(24)),
        ]
        rows = taken(photos, seed=3).rows
        assert fingerprint(rows).startswith("dcdadbcbbe24cc92287cff171e3a4223")

    def test_people_photographed_with_every_class_keep_the_shares(self) -> None:
        """Groups that hold all classes: drawn by what each class misses."""
        photos = [
            photo(f"{label}/{person}-{n}", group=f"person {person}")
            for person in range(40)
            for label in ("cat", "cow", "dog")
            for n in range(1 + person % 3)
        ]
        split = taken(photos)
        for found in split.counts().values():
            total = sum(found.values())
            for name, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True):
                assert abs(found[name] / total - share) < 0.06
        assert len({row.group for row in split.rows}) == 40


class TestWholeGoals:
    @given(
        st.dictionaries(st.text(max_size=3), st.integers(0, 500), min_size=1, max_size=12),
        FRACTIONS,
    )
    def test_shares_are_whole_and_add_up(
        self, totals: dict[str, int], fractions: tuple[float, float, float]
    ) -> None:
        goals = whole_goals(totals, fractions)
        for label, total in totals.items():
            assert sum(goals[label].values()) == total
            for name, share in zip(SPLITS, fractions, strict=True):
                assert abs(goals[label][name] - total * share) < 1
        for name, share in zip(SPLITS, fractions, strict=True):
            everything = sum(goal[name] for goal in goals.values())
            assert abs(everything - sum(totals.values()) * share) < 1.5


class TestLeftOut:
    def test_a_class_needs_three_different_photos(self) -> None:
        copies = [photo(f"cow/{n}", content=f"cow {n % 2}") for n in range(9)]
        split = taken([*photos_of(cat=5, dog=5), *copies])
        assert {reasons(split)[one.path] for one in copies} == {"rare-class"}
        assert split.left_out[0].detail.startswith("class cow has 2 different photos; 3 are")
        assert set(split.counts()) == {"cat", "dog"}

    def test_three_are_enough(self) -> None:
        split = taken(photos_of(cat=3, dog=3))
        assert all(found == dict.fromkeys(SPLITS, 1) for found in split.counts().values())

    @pytest.mark.parametrize("counts", [{"cat": 9}, {"cat": 9, "dog": 2}, {"cat": 2, "dog": 2}])
    def test_fewer_than_two_usable_classes_are_refused(self, counts: dict[str, int]) -> None:
        with pytest.raises(SourceError, match="expected at least two usable classes"):
            taken(photos_of(**counts))

    def test_equal_pixels_under_two_labels_are_all_left_out(self) -> None:
        twins = [photo("cat/t", content="t"), photo("cat/u", content="t")]
        twins.append(photo("dog/t", content="t"))
        split = taken([*photos_of(cat=5, dog=5), *twins])
        assert reasons(split) == dict.fromkeys(["cat/t", "cat/u", "dog/t"], "label-conflict")

    def test_what_intake_left_out_stays_in_the_count(self) -> None:
        out = LeftOut("notes.txt", "not-an-image", "text")
        split = split_photos(Intake(photos_of(cat=5, dog=5), [out]))
        assert split.left_out == [out]

    def test_nearly_equal_photos_under_two_labels_are_told(self) -> None:
        shot = picture(1)
        twins = [photo("cat/t", signature=shot), photo("dog/t", signature=nearly(shot))]
        split = taken([*photos_of(cat=5, dog=5), *twins])
        assert any("cat/t and dog/t" in warning for warning in split.warnings)
        assert places(split)["cat/t"] == places(split)["dog/t"]


def given_photos(**counts: tuple[int, int, int]) -> list[Photo]:
    return [
        photo(f"{label}/{split}-{n:03d}", split=split)
        for label, numbers in counts.items()
        for split, number in zip(SPLITS, numbers, strict=True)
        for n in range(number)
    ]


class TestGivenSplits:
    def test_are_kept(self) -> None:
        photos = given_photos(cat=(5, 2, 3), dog=(6, 1, 2))
        split = taken(photos)
        assert places(split) == {one.path: one.split for one in photos}
        assert not split.warnings

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(5, 80), st.integers(1, 30)), min_size=2, max_size=6),
        st.integers(0, 3),
    )
    def test_validation_comes_from_train(self, sizes: list[tuple[int, int]], seed: int) -> None:
        counts = {f"class {n}": (train, 0, test) for n, (train, test) in enumerate(sizes)}
        photos = given_photos(**counts)
        split = taken(photos, seed=seed)
        where = places(split)
        for one in photos:
            assert where[one.path] in (
                ("test",) if one.split == "test" else ("train", "validation")
            )
        train = sum(train for train, _ in sizes)
        test = sum(test for _, test in sizes)
        total = Counter(where.values())
        assert total["validation"] == min(test, train // 5)
        if total["validation"] >= len(sizes):
            assert all(min(found.values()) >= 1 for found in split.counts().values())

    def test_validation_takes_whole_groups(self) -> None:
        photos = [
            photo(f"{label}/{split}-{n}", split=split, content=f"{label} {split} {n // 4}")
            for label in ("cat", "dog")
            for split, count in (("train", 80), ("test", 20))
            for n in range(count)
        ]
        split = taken(photos)  # type: ignore[arg-type]
        groups = defaultdict(set)
        for row in split.rows:
            groups[row.group].add(row.split)
        assert all(len(found) == 1 for found in groups.values())
        assert Counter(places(split).values())["validation"] == 32

    def test_a_class_of_one_train_photo_keeps_it(self) -> None:
        photos = given_photos(cat=(40, 0, 10), dog=(1, 0, 2), cow=(40, 0, 10))
        split = taken(photos)
        assert split.counts()["dog"] == {"train": 1, "validation": 0, "test": 2}
        assert "there is no photo of class 'dog' in validation" in split.warnings

    def test_a_class_missing_from_test_is_told(self) -> None:
        split = taken(given_photos(cat=(20, 0, 5), dog=(20, 0, 0)))
        assert "there is no photo of class 'dog' in test" in split.warnings

    @pytest.mark.parametrize(
        ("counts", "missing"),
        [((9, 3, 0), "test"), ((0, 3, 9), "train"), ((0, 9, 0), "train and test")],
    )
    def test_need_train_and_test(self, counts: tuple[int, int, int], missing: str) -> None:
        with pytest.raises(SourceError, match=f"hold no usable photo for {missing};"):
            taken(given_photos(cat=counts, dog=counts))

    def test_more_train_photos_never_move_an_old_one(self) -> None:
        photos = given_photos(cat=(40, 0, 10), dog=(40, 0, 10))
        first = taken(photos)
        previous = {row.sha256: row.split for row in first.rows}
        more = [photo(f"cat/new-{n}", split="train") for n in range(30)]
        second = taken([*photos, *more], previous=previous)
        assert {path: places(second)[path] for path in places(first)} == places(first)
        # 20, as many as test, would be 13 cats and 7 dogs; the 8 dogs stay.
        assert Counter(places(second).values()) == {"train": 89, "validation": 21, "test": 20}

    def test_a_given_split_comes_before_an_earlier_one(self) -> None:
        photos = given_photos(cat=(9, 3, 3), dog=(9, 3, 3))
        wrong: dict[str, SplitName] = {one.sha256: "test" for one in photos}
        assert places(taken(photos, previous=wrong)) == places(taken(photos))

    def test_photos_without_a_split_join_their_group_or_are_drawn(self) -> None:
        photos = given_photos(cat=(40, 10, 10), dog=(40, 10, 10))
        copy = photo("cat/copy", content="cat/test-003")
        free = [photo(f"dog/free-{n}") for n in range(20)]
        split = taken([*photos, copy, *free])
        where = places(split)
        assert where["cat/copy"] == "test"
        assert all(where[one.path] == one.split for one in photos)
        assert split.counts()["dog"] == {"train": 56, "validation": 12, "test": 12}

    def test_few_photos_without_a_split_are_no_validation_set(self) -> None:
        photos = given_photos(cat=(40, 0, 10), dog=(40, 0, 10))
        split = taken([*photos, photo("cat/free")])
        assert Counter(places(split).values())["validation"] == 16


class TestLeaks:
    def leaking(self, kind: str) -> list[Photo]:
        shot = picture(1)
        pair = {
            "file": (photo("cat/a", content="same"), photo("cat/b", content="same")),
            "pixels": (photo("cat/a"), replace(photo("cat/b"), pixels=sha("cat/a"))),
            "near": (photo("cat/a", signature=shot), photo("cat/b", signature=nearly(shot))),
            "group": (photo("cat/a", group="g"), photo("cat/b", group="g")),
        }[kind]
        one, other = pair
        return [
            *given_photos(cat=(9, 0, 4), dog=(9, 0, 4)),
            replace(one, split="train"),
            replace(other, split="test"),
        ]

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("file", "equal files"),
            ("pixels", "equal pixels"),
            ("near", "nearly equal"),
            ("group", "same group"),
        ],
    )
    def test_between_given_splits_are_refused_and_listed(self, kind: str, words: str) -> None:
        with pytest.raises(LeakError) as caught:
            taken(self.leaking(kind))
        text = str(caught.value)
        assert "share 1 pair of photos" in text
        assert f"cat/a (train) and cat/b (test): {words}" in text
        assert "\n" not in text

    @pytest.mark.parametrize("kind", ["file", "pixels", "near", "group"])
    def test_are_kept_when_allowed_and_told(self, kind: str) -> None:
        photos = self.leaking(kind)
        split = taken(photos, allow_leaks=True)
        assert places(split)["cat/a"] in ("train", "validation")
        assert places(split)["cat/b"] == "test"
        assert any("share 1 pair of photos (--allow-leaks)" in text for text in split.warnings)
        assert len(split.rows) == len(photos)

    def test_the_same_file_in_two_splits_stays_in_both_when_allowed(self) -> None:
        photos = [
            *given_photos(cat=(9, 3, 4), dog=(9, 3, 4)),
            photo("cat/a", split="train"),
            photo("cat/a", split="test"),
        ]
        with pytest.raises(LeakError, match=r"cat/a \(train\) and cat/a \(test\)"):
            taken(photos)
        split = taken(photos, allow_leaks=True)
        assert [row.split for row in split.rows if row.path == "cat/a"] == ["train", "test"]
        assert [one.split for one in split.photos if one.path == "cat/a"] == ["train", "test"]

    def test_many_are_counted_and_some_are_named(self) -> None:
        photos = given_photos(cat=(30, 3, 4), dog=(9, 3, 4))
        photos += [
            photo(f"cat/copy-{n:03d}", split="test", content=f"cat/train-{n:03d}")
            for n in range(25)
        ]
        with pytest.raises(LeakError, match=r"share 25 pairs of photos.*; and 15 more"):
            taken(photos)

    def test_alike_photos_are_only_a_warning(self) -> None:
        rng = np.random.default_rng(0)
        shot = rng.integers(0, 256, (32, 32))
        other = (shot + rng.normal(0, 46, (32, 32))).clip(0, 255)
        signatures = [array.astype(np.uint8).tobytes() for array in (shot, other)]
        photos = [
            *given_photos(cat=(9, 3, 4), dog=(9, 3, 4)),
            photo("cat/a", split="train", signature=signatures[0]),
            photo("cat/b", split="test", signature=signatures[1]),
        ]
        (warning,) = taken(photos).warnings
        assert "cat/a (train) and cat/b (test)" in warning

    def test_a_photo_without_a_split_may_not_bridge(self) -> None:
        photos = [
            *given_photos(cat=(9, 3, 4), dog=(9, 3, 4)),
            photo("cat/a", split="train", content="a"),
            photo("cat/b", split="test", group="g"),
            photo("cat/new", content="a", group="g"),
        ]
        split = taken(photos)
        assert reasons(split) == {"cat/new": "bridges-splits"}
        detail = split.left_out[0].detail
        assert "cat/a (train)" in detail
        assert "cat/b (test)" in detail

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from([None, *get_args(SplitName)]), st.integers(0, 4)), max_size=24
        )
    )
    def test_pairs_found_agree_with_every_pair_tried(
        self, drawn: list[tuple[SplitName | None, int]]
    ) -> None:
        photos = [
            photo(f"cat/{n}", split=split, content=str(content))
            for n, (split, content) in enumerate(drawn)
        ]
        splits = [one.split for one in photos]
        leaks = leaking_pairs(photos, duplicate_groups(photos), splits)
        assert all(splits[a] and splits[b] and splits[a] != splits[b] for a, b in
                   ((pair.a, pair.b) for pair in leaks))  # fmt: skip
        expected = {
            content
            for content in range(5)
            if len({split for split, other in drawn if other == content and split}) > 1
        }
        assert {drawn[pair.a][1] for pair in leaks} == expected
        assert len({(pair.a, pair.b) for pair in leaks}) == len(leaks)


class TestEarlierSplits:
    def start(self) -> tuple[list[Photo], dict[str, SplitName]]:
        photos = photos_of(cat=20, dog=20)
        return photos, {row.sha256: row.split for row in taken(photos).rows}

    def in_split(self, photos: Sequence[Photo], previous: dict[str, SplitName], name: str) -> Photo:
        return next(one for one in photos if previous[one.sha256] == name)

    def test_a_copy_follows_its_original(self) -> None:
        photos, previous = self.start()
        for name in SPLITS:
            original = self.in_split(photos, previous, name)
            copy = replace(photo("cat/zz"), pixels=original.pixels, label=original.label)
            assert places(taken([*photos, copy], previous=previous))["cat/zz"] == name

    def test_a_new_photo_that_joins_two_splits_is_left_out_with_both_named(self) -> None:
        photos, previous = self.start()
        train = self.in_split(photos, previous, "train")
        test = self.in_split(photos, previous, "test")
        # Equal pixels with the one, and the user's group with the other.
        photos[photos.index(test)] = replace(test, group="g")
        bridge = replace(photo("cat/zz", group="g"), pixels=train.pixels, label=train.label)
        split = taken([bridge, *photos], previous=previous)
        assert reasons(split) == {"cat/zz": "bridges-splits"}
        assert f"{train.path} (train)" in split.left_out[0].detail
        assert f"{test.path} (test)" in split.left_out[0].detail
        groups = {row.path: row.group for row in split.rows}
        assert groups[train.path] != groups[test.path]

    def test_a_new_copy_in_a_group_elsewhere_is_left_out(self) -> None:
        photos, previous = self.start()
        train, test = (self.in_split(photos, previous, name) for name in ("train", "test"))
        photos[photos.index(test)] = replace(test, group="g")
        copy = replace(train, path="cat/copy", group="g")
        split = taken([copy, *photos], previous=previous)
        assert reasons(split) == {"cat/copy": "bridges-splits"}
        assert places(split) == {one.path: previous[one.sha256] for one in photos}

    def test_a_class_that_became_rare_is_left_out_and_nothing_moves(self) -> None:
        photos, previous = self.start()
        few = [one for one in photos if one.label == "cat"][:2]
        cows = photos_of(cow=9)
        split = taken([*few, *(one for one in photos if one.label == "dog"), *cows],
                      previous=previous)  # fmt: skip
        assert reasons(split) == {one.path: "rare-class" for one in few}
        assert all(
            previous[row.sha256] == row.split for row in split.rows if row.sha256 in previous
        )

    def test_a_class_rare_only_for_a_bridge_is_left_out(self) -> None:
        photos, previous = self.start()
        train, test = (self.in_split(photos, previous, name) for name in ("train", "test"))
        photos[photos.index(train)] = replace(train, group="g")
        photos[photos.index(test)] = replace(test, group="h")
        bridge = [photo("cow/0", group="g", content="x"), photo("cow/1", group="h", content="y")]
        # The two cows are one group through the third, and join train with test.
        bridge[1] = replace(bridge[1], pixels=bridge[0].pixels)
        cows = [*bridge, photo("cow/2"), photo("cow/3")]
        split = taken([*photos, *cows], previous=previous)
        assert reasons(split) == {
            "cow/0": "bridges-splits",
            "cow/1": "bridges-splits",
            "cow/2": "rare-class",
            "cow/3": "rare-class",
        }

    def test_an_emptied_split_is_filled_with_new_photos_first(self) -> None:
        photos, previous = self.start()
        left = [one for one in photos if one.label == "dog" or previous[one.sha256] == "train"]
        new = [photo(f"cat/new-{n}") for n in range(2)]
        split = taken([*left, *new], previous=previous)
        assert sorted(places(split)[one.path] for one in new) == ["test", "validation"]

    def test_an_earlier_split_that_leaks_is_told(self) -> None:
        photos, previous = self.start()
        train, test = (self.in_split(photos, previous, name) for name in ("train", "test"))
        photos[photos.index(train)] = replace(train, group="g")
        photos[photos.index(test)] = replace(test, group="g")
        split = taken(photos, previous=previous)
        assert any("the earlier split, which is kept, shares 1 pair" in w for w in split.warnings)
        assert places(split) == {one.path: previous[one.sha256] for one in photos}


class TestHoldOut:
    @settings(max_examples=80, deadline=None)
    @given(SETS, st.integers(0, 3), st.sampled_from([0.1, 0.15, 0.3, 0.5]))
    def test_every_photo_stays_and_no_group_crosses(
        self, drawn: list[tuple[str, int, int | None]], seed: int, fraction: float
    ) -> None:
        photos = untidy(drawn)
        rows = hold_out(photos, fraction, seed)
        assert [row.path for row in rows] == [photo.path for photo in photos]
        assert {row.split for row in rows} <= {"train", "validation"}
        for group in shared(duplicate_groups(photos).codes):
            assert len({rows[index].split for index in group}) == 1
        backwards = hold_out(photos[::-1], fraction, seed)
        assert sorted(backwards, key=str) == sorted(rows, key=str)

    def test_is_as_large_as_asked_in_every_class(self) -> None:
        rows = hold_out(photos_of(hammer=40, saw=20, wrench=10), 0.2, seed=0)
        held = Counter(row.label for row in rows if row.split == "validation")
        assert held == {"hammer": 8, "saw": 4, "wrench": 2}

    def test_a_class_of_one_group_stays_in_train(self) -> None:
        photos = [*photos_of(hammer=6), photo("saw/0", content="s"), photo("saw/1", content="s")]
        held = {row.label for row in hold_out(photos, 0.3, seed=0) if row.split == "validation"}
        assert held == {"hammer"}


class TestGroupNames:
    def test_the_users_name_is_kept(self) -> None:
        photos = [*photos_of(cat=5, dog=5), photo("cat/a", group="g"), photo("cat/b", group="g")]
        groups = {row.path: row.group for row in taken(photos).rows}
        assert groups["cat/a"] == groups["cat/b"] == "g"

    def test_joined_names_become_one_of_their_own(self) -> None:
        photos = photos_of(cat=5, dog=5)
        photos += [photo("cat/a", group="g", content="x"), photo("cat/b", group="h", content="x")]
        groups = {row.path: row.group for row in taken(photos).rows}
        assert groups["cat/a"] == groups["cat/b"] == sha("x")[:16]

    def test_names_tell_groups_apart(self) -> None:
        photos = [photo(f"cat/{n}", content=str(n // 2)) for n in range(20)] + photos_of(dog=9)
        split = taken(photos)
        assert len({row.group for row in split.rows}) == 10 + 9
        assert len(shared(duplicate_groups(photos).codes)) == 10


class TestFractions:
    def test_are_read(self) -> None:
        assert parse_fractions(".7,.15,.15") == (0.7, 0.15, 0.15)
        assert parse_fractions("0.6, 0.2, 0.2") == (0.6, 0.2, 0.2)

    @pytest.mark.parametrize(
        "text",
        ["", ".7", ".7,.3", ".5,.5,0", ".7,.2,.2", "a,b,c", "nan,.5,.5", "1,-.5,.5", "7,2,1"],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(PegboardError, match="expected three positive shares"):
            parse_fractions(text)


class TestClassWeights:
    @given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
    def test_are_scikit_learns_balanced_ones_up_to_a_limit(self, drawn: list[int]) -> None:
        labels = np.array(drawn)
        weights = class_weights(labels, 6)
        present = np.unique(labels)
        expected = compute_class_weight("balanced", classes=present, y=labels)
        assert weights.dtype == np.float32
        np.testing.assert_allclose(weights[present], np.minimum(expected, 10), rtol=1e-6)
        assert weights.sum() == pytest.approx(weights[present].sum())

    def test_rarer_classes_weigh_more(self) -> None:
        labels = np.repeat([0, 1, 2], [100, 10, 1])
        weights = class_weights(labels, 3)
        assert all(one < other for one, other in pairwise(weights))
        assert weights[2] == 10

    def test_a_balanced_set_weighs_all_alike(self) -> None:
        assert class_weights(np.repeat(np.arange(5), 20), 5).tolist() == [1] * 5
