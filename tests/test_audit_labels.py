"""Wrong labels and outliers: found where they were put, and no photo judged by its own label."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cleanlab.rank import get_label_quality_scores
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pegboard.audit import labels as labels_check
from pegboard.audit import outliers as outliers_check
from pegboard.audit.discriminant import HeldOut, grouped_folds, standardised
from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.judgement import LEAST, Verdicts, judge, judgeable
from pegboard.audit.noise import Noise, fit_noise, probabilities
from pegboard.audit.subject import Subject
from pegboard.checking import CheckSettings, intake_to_check, open_to_check
from pegboard.examples import write_tool_photos
from pegboard.progress import Progress

CLASSES, PHOTOS, FEATURES = 5, 600, 24


def clouds(
    seed: int = 0, photos: int = PHOTOS, apart: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Features like a backbone's (never negative, long tail), and true classes."""
    rng = np.random.default_rng(seed)
    truth = np.arange(photos) % CLASSES
    centres = rng.normal(size=(CLASSES, FEATURES)) * apart
    points = rng.normal(size=(photos, FEATURES)) + centres[truth]
    return np.log1p(np.exp(points)).astype(np.float32) ** 2, truth


def flipped(truth: np.ndarray, rate: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    moved = (truth + rng.integers(1, CLASSES, len(truth))) % CLASSES
    return np.where(rng.random(len(truth)) < rate, moved, truth)


def alone(labels: np.ndarray) -> np.ndarray:
    return np.arange(len(labels))


class TestFolds:
    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 1000), st.integers(20, 200), st.integers(1, 60))
    def test_no_group_is_parted(self, seed: int, photos: int, groups: int) -> None:
        rng = np.random.default_rng(seed)
        codes, labels = rng.integers(0, groups, photos), rng.integers(0, 4, photos)
        folds = grouped_folds(labels, codes, seed=seed)
        assert all(len(set(folds[codes == code])) == 1 for code in set(codes.tolist()))

    def test_every_class_is_spread_evenly(self) -> None:
        labels = np.repeat([0, 1, 2], [50, 23, 7])
        folds = grouped_folds(labels, alone(labels))
        for label in range(3):
            counts = np.bincount(folds[labels == label], minlength=5)
            assert np.ptp(counts) <= 1


class TestHeldOut:
    def test_is_scikit_learns_discriminant_analysis(self) -> None:
        features, truth = clouds()
        points, labels = standardised(features), flipped(truth, 0.1)
        folds = grouped_folds(labels, alone(labels))
        ours = probabilities(HeldOut(points, labels, folds).scores(0.3))
        for fold in range(5):
            theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3)
            theirs.fit(points[folds != fold], labels[folds != fold])
            expected = theirs.predict_proba(points[folds == fold])
            np.testing.assert_allclose(ours[folds == fold], expected, atol=1e-4)

    def test_whole_weights_are_copies(self) -> None:
        features, truth = clouds(photos=200)
        points, folds = standardised(features), grouped_folds(truth, alone(truth))
        weights = np.where(alone(truth) % 3 == 0, 2.0, 1.0)
        copied = np.repeat(alone(truth), weights.astype(int))
        once = HeldOut(points, truth, folds, weights=weights).scores(0.3)
        again = HeldOut(points[copied], truth[copied], folds[copied]).scores(0.3)
        np.testing.assert_allclose(once[copied], again, rtol=1e-3, atol=1e-3)

    def test_a_class_in_one_fold_is_not_known_to_it(self) -> None:
        features, truth = clouds(photos=100)
        labels = np.where(alone(truth) < 2, CLASSES, truth)
        groups = np.where(alone(truth) < 2, 0, alone(truth))
        folds = grouped_folds(labels, groups)
        scores = HeldOut(standardised(features), labels, folds).scores(0.3)
        assert np.isneginf(scores[:2, CLASSES]).all()
        assert np.isfinite(scores[folds != folds[0]]).all()

    def test_scores_do_not_depend_on_the_photos_own_label(self) -> None:
        features, truth = clouds(photos=150)
        folds = grouped_folds(truth, alone(truth))
        labels = truth.copy()
        labels[7] = (labels[7] + 1) % CLASSES
        points = standardised(features)
        before = HeldOut(points, truth, folds).scores(0.3)
        after = HeldOut(points, labels, folds).scores(0.3)
        held_out = folds == folds[7]
        np.testing.assert_allclose(before[held_out], after[held_out], rtol=1e-4, atol=1e-3)


class TestNoise:
    def scores_and_labels(self, matrix: np.ndarray, seed: int = 0) -> tuple[Any, Any, Any]:
        """Scores that are right about the truth, and labels made by the matrix."""
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(4000, len(matrix))) * 3
        truth = (probabilities(scores).cumsum(1) > rng.random((4000, 1))).argmax(1)
        labels = (matrix[truth].cumsum(1) > rng.random((4000, 1))).argmax(1)
        return scores, labels, truth

    def test_the_matrix_that_made_the_labels_is_found(self) -> None:
        matrix = np.array([[0.9, 0.1, 0, 0], [0.3, 0.7, 0, 0], [0, 0, 1, 0], [0, 0.05, 0, 0.95]])
        scores, labels, _ = self.scores_and_labels(matrix)
        noise = fit_noise(scores, labels)
        np.testing.assert_allclose(noise.matrix, matrix, atol=0.06)
        assert noise.factor == pytest.approx(1, abs=0.2)
        np.testing.assert_allclose(noise.matrix.sum(1), 1)

    def test_probabilities_mean_what_they_say(self) -> None:
        matrix = np.full((5, 5), 0.05) + 0.75 * np.eye(5)
        scores, labels, truth = self.scores_and_labels(matrix)
        posterior = fit_noise(scores, labels).posterior(scores, labels)
        wrong = 1 - posterior[np.arange(4000), labels]
        for low in (0.0, 0.2, 0.4, 0.6, 0.8):
            inside = (wrong >= low) & (wrong < low + 0.2)
            assert (labels != truth)[inside].mean() == pytest.approx(wrong[inside].mean(), abs=0.08)

    def test_even_noise_ranks_as_cleanlabs_self_confidence(self) -> None:
        rng = np.random.default_rng(0)
        odds, labels = rng.dirichlet([0.3] * 4, 500), rng.integers(0, 4, 500)
        even = np.full((4, 4), 0.1 / 3) + (0.9 - 0.1 / 3) * np.eye(4)
        ours = Noise(even, 0.1, 1.0, 1.0, 0.0).posterior(np.log(odds), labels)
        theirs = get_label_quality_scores(labels, odds, method="self_confidence")
        mine = ours[np.arange(500), labels]
        assert (np.argsort(mine, kind="stable") == np.argsort(theirs, kind="stable")).all()


class TestJudge:
    def test_flipped_labels_come_first(self) -> None:
        features, truth = clouds()
        labels = flipped(truth, 0.1)
        verdicts = judge(features, labels, alone(labels))
        wrong = labels != truth
        order = np.argsort(-verdicts.wrong)
        assert wrong[order[: wrong.sum()]].mean() > 0.95
        assert (verdicts.other[wrong] == truth[wrong]).mean() > 0.95
        assert verdicts.low <= wrong.sum() <= verdicts.high
        assert ((verdicts.wrong >= 0) & (verdicts.wrong <= 1)).all()

    def test_clean_labels_are_left_alone(self) -> None:
        features, truth = clouds(3)
        verdicts = judge(features, truth, alone(truth))
        assert (verdicts.wrong > 0.5).sum() <= 2
        assert verdicts.low < 2

    @settings(deadline=None, max_examples=8)
    @given(st.integers(0, PHOTOS // 2 - 1), st.integers(1, CLASSES - 1))
    def test_flipping_a_label_raises_its_rank(self, index: int, step: int) -> None:
        # Far apart: where classes overlap, a photo may be more like the class it is flipped to.
        features, truth = clouds(1, PHOTOS // 2, apart=2.0)
        labels = flipped(truth, 0.05, seed=2)
        labels[index] = truth[index]
        before = judge(features, labels, alone(labels)).wrong
        labels[index] = (truth[index] + step) % CLASSES
        after = judge(features, labels, alone(labels)).wrong
        assert (after > after[index]).sum() < (before > before[index]).sum()

    def test_the_count_holds_the_truth_in_nine_draws_of_ten(self) -> None:
        held = 0
        for seed in range(10):
            features, truth = clouds(seed, 300, apart=0.7)
            labels = flipped(truth, 0.12, seed)
            verdicts = judge(features, labels, alone(labels))
            held += verdicts.low <= (labels != truth).sum() <= verdicts.high
        assert held >= 9

    def test_is_repeatable(self) -> None:
        features, truth = clouds(photos=200)
        labels = flipped(truth, 0.1)
        one, two = (judge(features, labels, alone(labels)) for _ in range(2))
        assert (one.wrong == two.wrong).all()
        assert (one.low, one.high) == (two.low, two.high)

    def test_copies_do_not_vouch_for_each_other(self) -> None:
        """Four copies of one photo, all with one wrong label: no stranger bears them out."""
        features, truth = clouds()
        copies = np.concatenate((alone(truth), [0, 0, 0]))
        groups = np.concatenate((alone(truth), [0, 0, 0]))
        labels = truth[copies]
        labels[groups == 0] = (truth[0] + 1) % CLASSES
        wrong = judge(features[copies], labels, groups).wrong
        assert (wrong[groups == 0] > 0.5).all()

    def test_a_class_of_few_photos_is_not_judged(self) -> None:
        features, truth = clouds()
        labels = truth.copy()
        labels[:3] = CLASSES
        verdicts = judge(features, labels, alone(labels))
        assert not verdicts.judged[:3].any()
        assert verdicts.judged[3:].all()
        assert (verdicts.wrong[:3] == 0).all()

    @pytest.mark.parametrize("few", [1, 2, LEAST - 1])
    def test_a_class_of_few_photos_casts_no_doubt_on_others(self, few: int) -> None:
        features, truth = clouds(photos=60)
        without = judge(features, truth, alone(truth))
        strange = 10 * np.random.default_rng(0).normal(size=(few, features.shape[1]))
        labels = np.concatenate((np.zeros(few, int), truth + 1))  # the first one by name
        found = judge(np.concatenate((strange.astype(np.float32), features)), labels, alone(labels))
        assert np.array_equal(found.wrong[few:], without.wrong)
        assert np.array_equal(found.other[few:], without.other + 1)
        assert found.count == without.count

    def test_copies_do_not_make_a_class_larger(self) -> None:
        labels = np.repeat([0, 1], [10, 3 * LEAST])
        groups = np.concatenate((np.arange(10), 10 + np.arange(3 * LEAST) // 4))
        assert judgeable(labels, groups).tolist() == [True, False]

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_features_that_say_nothing_accuse_nobody(self, value: float) -> None:
        labels = np.arange(100) % 4
        verdicts = judge(np.full((100, 8), value, np.float32), labels, alone(labels))
        assert isinstance(verdicts, Verdicts)
        assert (verdicts.wrong < 0.5).all()


# --- the checks, on photos -----------------------------------------------------------------


def opened(folder: Path) -> Subject:
    chosen = CheckSettings(str(folder))
    source = open_to_check(chosen)
    return Subject(source, intake_to_check(source, chosen, Progress()), threads=1)


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The cache that every test has, for what is made once here too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEGBOARD_CACHE", str(tmp_path_factory.getbasetemp() / "pegboard-cache"))
        yield


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, dict[str, str]]:
    """Drawn photos of tools, and the true class of those with a wrong label."""
    base = tmp_path_factory.mktemp("labels")
    folder = write_tool_photos(base / "tools", per_class=24, size=128, truth=base / "truth.csv")
    with (base / "truth.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return opened(folder), {
        row["path"]: row["label_true"] for row in rows if row["what"] == "wrong-label"
    }


@pytest.fixture(scope="module")
def found(tools: tuple[Subject, dict[str, str]]) -> list[Finding]:
    result = labels_check.check(tools[0])
    assert not isinstance(result, NotApplicable)
    return result


class TestLabels:
    def test_every_photo_has_one_row(self, tools, found: list[Finding]) -> None:
        assert [one.path for one in found] == [photo.path for photo in tools[0].photos]
        assert {one.code for one in found} == {"label-suspect"}

    def test_warnings_are_those_from_the_threshold(self, found: list[Finding]) -> None:
        for one in found:
            assert one.counts == (one.score >= labels_check.SUSPECT)

    def test_wrong_labels_are_first_and_put_right(self, tools, found: list[Finding]) -> None:
        wrong = tools[1]
        assert len(wrong) >= 4
        ranked = sorted(found, key=lambda one: -one.score)[: 2 * len(wrong)]
        hits = {one.path: one.suggestion for one in ranked if one.path in wrong}
        assert len(hits) >= 0.7 * len(wrong)
        assert sum(wrong[path] == label for path, label in hits.items()) >= 0.7 * len(hits)

    def test_nobody_is_told_its_own_label(self, tools, found: list[Finding]) -> None:
        for one, photo in zip(found, tools[0].photos, strict=True):
            assert one.suggestion != photo.label

    def test_the_estimate_is_told(self, tools, found: list[Finding]) -> None:
        told = tools[0].facts["wrong-labels"]
        assert told["low"] <= told["estimate"] <= told["high"]
        assert told["suspects"] == sum(one.counts for one in found)
        assert f"of {told['judged']:,} labels are wrong" in told["words"]

    def test_without_classes_it_does_not_apply(self, tools, tmp_path: Path) -> None:
        result = labels_check.check(unlabelled(tools[0], tmp_path))
        assert isinstance(result, NotApplicable)
        assert not result.blocked
        assert "no classes" in result.why

    def test_too_few_photos_to_say_anything(self, photo_folder) -> None:
        result = labels_check.check(opened(photo_folder(per_class=LEAST - 1)))
        assert isinstance(result, NotApplicable)
        assert f"{LEAST} different photos" in result.why


def test_mirrored_copies_are_related(photo_folder) -> None:
    folder = photo_folder(per_class=8)
    original = folder / "disc" / "000.jpg"
    with Image.open(original) as photo:
        ImageOps.mirror(photo).save(folder / "square" / "mirrored.png")
    subject = opened(folder)
    paths = [photo.path for photo in subject.photos]
    pair = [paths.index("disc/000.jpg"), paths.index("square/mirrored.png")]
    assert len(set(subject.groups[pair].tolist())) == 2
    assert len(set(subject.related()[pair].tolist())) == 1
    assert len(set(subject.related().tolist())) == len(paths) - 1


def unlabelled(subject: Subject, folder: Path, count: int = 60) -> Subject:
    """The first photos of a subject in one heap, with a picture of noise among them."""
    for index in range(count):
        data = subject.payload(index)
        assert isinstance(data, bytes)
        (folder / f"{index:03d}.jpg").write_bytes(data)
    return opened(folder)


class TestOutliers:
    def test_a_stranger_is_found(self) -> None:
        features, truth = clouds()
        points = standardised(features)
        points[11] = 4 * np.random.default_rng(0).normal(size=FEATURES)
        held_out = HeldOut(points, truth, grouped_folds(truth, alone(truth)))
        far = outliers_check.beyond(held_out.strangeness(0.3))
        assert far.argmax() == 11
        assert far[11] > outliers_check.FAR

    def test_scores_fit_severities(self, tools) -> None:
        result = outliers_check.check(tools[0])
        assert not isinstance(result, NotApplicable)
        assert len(result) < 0.1 * len(tools[0])
        for one in result:
            assert one.counts == (one.score >= 0.5)

    def test_works_without_classes(self, tools, tmp_path: Path) -> None:
        result = outliers_check.check(unlabelled(tools[0], tmp_path))
        assert not isinstance(result, NotApplicable)

    def test_too_few_photos(self, photo_folder) -> None:
        result = outliers_check.check(opened(photo_folder(per_class=5)))
        assert isinstance(result, NotApplicable)
