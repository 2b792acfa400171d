from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from boards import CLASSES, digit_answers
from pegboard.errors import PegboardError, RunFolderError
from pegboard.evaluate import (
    Confusion,
    Evaluation,
    Predictions,
    evaluate,
    is_collapsed,
    majority_predictions,
    occurring_macro_f1,
    read_predictions,
    write_predictions,
)


def answered(labels: list[int], predicted: list[int], classes: int = 3) -> Predictions:
    paths = [f"{index}.jpg" for index in range(len(labels))]
    names = [f"c{index}" for index in range(classes)]
    return Predictions(paths, np.array(labels), np.eye(classes)[predicted], names, paths)


CONTRACT = [
    *("n", "accuracy", "accuracy_ci", "macro_f1", "macro_f1_ci", "macro_precision"),
    *("macro_recall", "weighted_precision", "weighted_recall", "weighted_f1", "loss", "ece"),
    *("top_confusions", "per_class", "roc_auc", "average_precision"),
]


def test_an_evaluation_of_real_answers() -> None:
    _, test = digit_answers()["lm"]
    evaluation = evaluate(test)
    assert evaluation.n == 297
    assert evaluation.accuracy == np.mean(test.right)
    assert evaluation.macro_f1 == pytest.approx(
        f1_score(test.labels, test.predicted, average="macro"), abs=1e-12
    )
    assert 0.02 < evaluation.accuracy_ci[1] - evaluation.accuracy_ci[0] < 0.1
    assert evaluation.macro_f1_ci[0] < evaluation.macro_f1 < evaluation.macro_f1_ci[1]
    assert [figures.label for figures in evaluation.per_class] == list(CLASSES)
    assert sum(figures.support for figures in evaluation.per_class) == 297


def test_its_json_has_the_contract_s_keys_and_comes_back() -> None:
    evaluation = evaluate(digit_answers()["lm"][1])
    data = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert list(data) == CONTRACT
    assert list(data["per_class"][0]) == [
        *("label", "precision", "recall", "f1", "support"),
        *("precision_ci", "recall_ci", "f1_ci"),
    ]
    assert set(data["top_confusions"][0]) == {"true", "predicted", "count"}
    assert Evaluation.from_json(data | {"latency": 3}) == evaluation


def test_figures_of_an_earlier_version_still_load() -> None:
    data = json.loads(json.dumps(evaluate(digit_answers()["lm"][1]).to_json()))
    del data["roc_auc"], data["average_precision"]
    for row in data["per_class"]:
        del row["precision_ci"], row["recall_ci"], row["f1_ci"]
    old = Evaluation.from_json(data)
    assert old.roc_auc is old.average_precision is old.per_class[0].f1_ci is None
    assert Evaluation.from_json(json.loads(json.dumps(old.to_json()))) == old


def test_the_same_seed_gives_the_same_intervals() -> None:
    _, test = digit_answers()["lm"]
    assert evaluate(test, seed=1) == evaluate(test, seed=1)
    assert evaluate(test, seed=1).macro_f1_ci != evaluate(test, seed=2).macro_f1_ci


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=30))
@settings(deadline=None, max_examples=40)
def test_macro_f1_of_the_classes_that_occur_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = ([pair[side] for pair in pairs] for side in (0, 1))
    figure, (low, high) = occurring_macro_f1(answered(labels, predicted, 5), draws=20)
    expected = f1_score(
        labels, predicted, labels=sorted(set(labels)), average="macro", zero_division=0
    )
    assert figure == pytest.approx(expected, abs=1e-12)
    assert 0 <= low <= figure + 1e-12 <= high + 2e-12


def test_where_every_class_occurs_both_macro_f1s_are_one() -> None:
    _, test = digit_answers()["lm"]
    found = evaluate(test)
    assert occurring_macro_f1(test) == (found.macro_f1, pytest.approx(found.macro_f1_ci))


def test_classes_without_photos_do_not_lower_a_perfect_model() -> None:
    perfect = answered([0, 1] * 10, [0, 1] * 10, 4)
    assert evaluate(perfect).macro_f1 == 0.5
    alone = evaluate(answered([0, 1] * 10, [0, 1] * 10, 2))
    assert occurring_macro_f1(perfect) == (1.0, pytest.approx(alone.macro_f1_ci))


def test_top_confusions_are_the_largest_cells_beside_the_diagonal() -> None:
    evaluation = evaluate(answered([0, 0, 0, 1, 1, 2], [1, 1, 0, 0, 1, 0]), draws=20)
    assert evaluation.top_confusions == (
        Confusion("c0", "c1", 2),
        Confusion("c1", "c0", 1),
        Confusion("c2", "c0", 1),
    )
    assert evaluate(answered([0, 1], [0, 1]), draws=20).top_confusions == ()


def test_the_majority_row_answers_with_the_shares_of_training() -> None:
    template = answered([0, 1, 2, 2], [0, 1, 2, 0])
    majority = majority_predictions(np.array([2, 2, 0, 2]), template)
    assert majority.probabilities.tolist() == [[0.25, 0.0, 0.75]] * 4
    assert evaluate(majority, draws=20).accuracy == 0.5


def test_a_model_that_predicts_few_classes_has_collapsed() -> None:
    labels = list(range(5)) * 4
    majority = evaluate(answered(labels, [0] * 20, 5), draws=20)
    two = evaluate(answered(labels, [min(label, 1) for label in labels], 5), draws=20)
    three = evaluate(answered(labels, [min(label, 2) for label in labels], 5), draws=20)
    assert is_collapsed(two, majority) == (True, "predicts only 2 of 5 classes")
    assert is_collapsed(three, majority) == (False, None)


def test_a_model_hardly_better_than_the_majority_has_collapsed() -> None:
    labels = [0, 1] * 10
    majority = evaluate(answered(labels, [0] * 20, 2), draws=20)  # macro-F1 1/3
    coin = evaluate(answered(labels, [0, 1, 1, 0] * 5, 2), draws=20)  # 1/2, exactly 1.5 times
    worse = evaluate(answered(labels, [1, 0] + [0, 1, 1, 0] * 4 + [1, 0], 2), draws=20)
    assert is_collapsed(coin, majority) == (False, None)
    collapsed, reason = is_collapsed(worse, majority)
    assert collapsed
    assert reason is not None
    assert reason.startswith("macro-F1 0.400 is less than 1.5 times")


def test_classes_without_test_photos_do_not_make_a_model_collapse() -> None:
    """Three of ten classes in a small test set, all three told apart."""
    good = evaluate(answered([0, 1, 2], [0, 1, 2], 10), draws=20)
    majority = evaluate(answered([0, 1, 2], [0, 0, 0], 10), draws=20)
    assert is_collapsed(good, majority) == (False, None)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.full((2, 2), np.nan), [0, 1], "diverged"),
        (np.full((2, 2), 1.5), [0, 1], "between 0 and 1"),
        (np.full((2, 2), 0.5), [0, 2], "expected labels 0 … 1, found 0 … 2"),
        (np.full((2, 3), 0.5), [0, 1], r"probabilities \(2, 2\) of 2 photos"),
        (np.full((2, 2), 0.5), [0], "found 1, 2 and"),
    ],
)
def test_predictions_refuse(probabilities: np.ndarray, labels: list[int], message: str) -> None:
    with pytest.raises(PegboardError, match=message):
        Predictions(["a", "b"], np.array(labels), probabilities, ["x", "y"], ["a", "b"])


def test_predictions_of_no_photo_are_refused() -> None:
    with pytest.raises(PegboardError, match="at least one photo"):
        Predictions([], np.zeros(0, int), np.zeros((0, 2)), ["x", "y"], [])


def test_the_rounding_of_a_float32_softmax_is_taken_off() -> None:
    just_over = np.array([[np.float32(1.0000001), 0]], dtype=np.float32)
    predictions = Predictions(["a"], np.array([0]), just_over, ["x", "y"], ["a"])
    assert predictions.probabilities.max() == 1.0


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.lists(names, min_size=2, max_size=4, unique=True), names, st.integers(0, 999))
@settings(deadline=None, max_examples=40)
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, classes: list[str], path: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    file = tmp_path_factory.mktemp("p") / "predictions.csv"
    written = {
        split: Predictions(
            paths := [f"{path}{index}" for index in range(3)],
            rng.integers(0, len(classes), 3),
            rng.dirichlet(np.ones(len(classes)), 3),
            classes,
            ["pair", "pair", paths[2]],
        )
        for split in ("validation", "test")
    }
    write_predictions(file, written)
    read = read_predictions(file, {f"{path}0": "pair", f"{path}1": "pair"})
    assert list(read) == ["validation", "test"]
    for split, before in written.items():
        after = read[split]
        assert list(after.paths) == list(before.paths)
        assert list(after.classes) == classes
        assert list(after.groups) == list(before.groups)
        assert (after.labels == before.labels).all()
        assert (after.probabilities == before.probabilities).all()


def test_columns_are_the_contract_s(tmp_path: Path) -> None:
    file = tmp_path / "predictions.csv"
    write_predictions(
        file,
        {"test": Predictions(["a,b.jpg"], np.array([1]), [[0.75, 0.25]], ["x, y", "é"], ["g"])},
    )
    assert file.read_text("utf-8") == (
        'path,split,label,predicted,"p_x, y",p_é\n"a,b.jpg",test,é,"x, y",0.75,0.25\n'
    )


def test_file_names_that_are_no_unicode_survive(tmp_path: Path) -> None:
    file, odd = tmp_path / "predictions.csv", "caf\udce9.jpg"
    write_predictions(
        file, {"test": Predictions([odd], np.array([0]), [[1.0, 0.0]], ["x", "y"], [odd])}
    )
    assert read_predictions(file, {})["test"].paths == (odd,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,label\na,b\n",
        "path,split,label,predicted,p_x,p_y\na.jpg,test,z,x,.5,.5\n",
        "path,split,label,predicted,p_x,p_y\na.jpg,test,x,x,.5\n",
        "path,split,label,predicted,p_x,p_y\na.jpg,test,x,x,half,.5\n",
        "path,split,label,predicted,p_x,p_y\na.jpg,test,x,x,nan,.5\n",
        "path,split,label,predicted,p_x,p_y\na.jpg,tset,x,x,.5,.5\n",
        "path,split,label,predicted,p_x,p_y\na.jpg\n",
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "predictions.csv"
    file.write_text(text)
    with pytest.raises(RunFolderError, match="expected predictions written by pegboard") as error:
        read_predictions(file, {})
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="expected predictions"):
        read_predictions(tmp_path / "none.csv", {})


def test_large_files_are_fast(tmp_path: Path) -> None:
    n, file = 20_000, tmp_path / "predictions.csv"
    rng = np.random.default_rng(0)
    paths = [f"photos/{index}.jpg" for index in range(n)]
    big = Predictions(paths, rng.integers(0, 10, n), rng.dirichlet(np.ones(10), n), CLASSES, paths)
    start = time.process_time()
    write_predictions(file, {"test": big})
    read_predictions(file, {})
    assert time.process_time() - start < 5  # .4 s alone on one core
