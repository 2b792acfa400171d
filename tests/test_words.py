from __future__ import annotations

from typing import Any

import pytest

from boards import digit_board
from pegboard.words import advice, count, digits, listing, percent, score, summary


@pytest.fixture
def board() -> dict[str, Any]:
    return digit_board().to_json()


def comparison(a: str, b: str, difference: float, verdict: str) -> dict[str, Any]:
    ci = [difference - 0.02, difference + 0.02]
    return {"a": a, "b": b, "difference": difference, "ci": ci, "verdict": verdict}


def test_the_whole_story_of_a_real_board(board: dict[str, Any]) -> None:
    assert summary(board) == [
        "The best model is fastcnn: of all models it has the highest macro-F1 on the validation "
        "photos.",
        "It is right on 98.3 % of 297 test photos (95 % interval 97.0 to 99.7 %), with a "
        "macro-F1 of 0.981 (0.962 to 0.996).",
        "Always answering the commonest class is right on 7.4 %.",
        "Most often it takes 3 for 9 (1 photo), 4 for 7 (1) and 6 for 1 (1).",
        "cnn is not shown to be worse than fastcnn with 297 photos: fastcnn is ahead by 0.3 "
        "points (95 % interval 0.0 to 1.0 for fastcnn minus cnn).",
        "cnn answers 4.0 times as fast as fastcnn.",
        "Shown to be worse than fastcnn: lm (by 7.7 points) and mobilenetv2 (by 90.9 points).",
        "mobilenetv2 has collapsed (predicts only 1 of 10 classes); try a lower "
        "--learning-rate, or mobilenetv2:frozen.",
        "Not trained: vgg16 (the time budget was spent).",
        "3 files were left out: 2 cut short and 1 not an image.",
    ]


def test_every_sentence_is_one(board: dict[str, Any]) -> None:
    for sentence in [*summary(board), *summary(digit_board(3).to_json())]:
        assert sentence.isascii()
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence.split()[0] in {"cnn", "mobilenetv2", "3"}
        assert "None" not in sentence
        assert "{" not in sentence


def test_the_order_of_a_pair_changes_nothing(board: dict[str, Any]) -> None:
    before = summary(board)
    other = {"a_better": "b_better", "b_better": "a_better", "not_shown": "not_shown"}
    for pair in board["comparisons"]:
        pair["a"], pair["b"] = pair["b"], pair["a"]
        pair["difference"] = -pair["difference"]
        pair["ci"] = [-pair["ci"][1], -pair["ci"][0]]
        pair["verdict"] = other[pair["verdict"]]
    assert summary(board) == before


def test_a_tie_that_is_ahead_on_test_is_not_shown_to_be_better(board: dict[str, Any]) -> None:
    board["comparisons"] = [comparison("fastcnn", "cnn", -0.01, "not_shown")]
    assert any(
        "cnn is not shown to be better than fastcnn with 297 photos: cnn is ahead by 1.0 point "
        "(95 % interval -3.0 to 1.0 for fastcnn minus cnn)." in sentence
        for sentence in summary(board)
    )


def test_a_tie_without_any_difference(board: dict[str, Any]) -> None:
    board["comparisons"] = [comparison("cnn", "fastcnn", 0.0, "not_shown")]
    assert any("both are right equally often" in sentence for sentence in summary(board))


def test_a_tie_that_is_not_faster_is_not_praised_for_speed(board: dict[str, Any]) -> None:
    for latency in (4.0, None):
        board["models"][1]["latency_ms_p50"] = latency
        assert not any("times as fast" in sentence for sentence in summary(board))


def test_nothing_is_said_of_models_not_trained_if_all_were(board: dict[str, Any]) -> None:
    board["not_trained"] = []
    assert not any("Not trained" in sentence for sentence in summary(board))


def test_several_ties_are_listed(board: dict[str, Any]) -> None:
    board["comparisons"] = [
        comparison("fastcnn", "cnn", 0.01, "not_shown"),
        comparison("fastcnn", "lm", 0.01, "not_shown"),
    ]
    assert any(
        sentence == "The same holds for lm: treat it as a tie and choose by speed or size."
        for sentence in summary(board)
    )


def test_a_collapsed_model_is_no_tie_to_choose(board: dict[str, Any]) -> None:
    board["comparisons"] = [
        comparison("fastcnn", "cnn", 0.01, "not_shown"),
        comparison("fastcnn", "mobilenetv2", 0.01, "not_shown"),
    ]
    sentences = summary(board)
    assert not any("treat it as a tie" in sentence for sentence in sentences)
    assert any(sentence.startswith("mobilenetv2 has collapsed") for sentence in sentences)


def test_a_model_better_on_test_does_not_become_the_best(board: dict[str, Any]) -> None:
    board["comparisons"] = [comparison("fastcnn", "cnn", -0.05, "b_better")]
    sentence = next(text for text in summary(board) if text.startswith("On the test photos"))
    assert "cnn (by 5.0 points) is shown to be better than fastcnn" in sentence


def test_with_folds_the_choice_is_made_on_the_test_photos(board: dict[str, Any]) -> None:
    board["dataset"]["folds"] = 5
    board["comparisons"] = [comparison("fastcnn", "cnn", -0.05, "b_better")]
    said = " ".join(summary(board))
    assert "chosen on the same photos, so its figures are a little too good." in said
    assert "looks better there than it is" not in said
    board["models"] = [row for row in board["models"] if row["name"] in ("fastcnn", "majority")]
    board["comparisons"] = []
    assert "chosen on the same photos" not in " ".join(summary(board))


def test_a_best_model_no_better_than_the_commonest_class(board: dict[str, Any]) -> None:
    best = board["models"][0]
    best["accuracy"], best["accuracy_ci"] = 0.09, [0.06, 0.12]
    assert any("is not shown to be better than that with 297" in text for text in summary(board))


def test_no_mistake_is_not_no_risk(board: dict[str, Any]) -> None:
    best = board["models"][0]
    best.update(n=30, accuracy=1.0, accuracy_ci=[0.884, 1.0], top_confusions=[])
    assert (
        "It made no mistake on these photos; with 30 photos, up to 11.6 % mistakes remain possible."
        in summary(board)
    )


def test_few_photos_make_rough_figures(board: dict[str, Any]) -> None:
    board["models"][0].update(n=20, accuracy=0.7, accuracy_ci=[0.5, 0.9])
    assert any("With 20 test photos these figures are rough" in text for text in summary(board))


def test_uneven_and_absent_classes_are_told(board: dict[str, Any]) -> None:
    classes = board["models"][0]["per_class"]
    for figures, support in zip(classes, [0, 1, 120, *[40] * 7], strict=True):
        figures["support"] = support
    sentences = summary(board)
    assert "No test photo shows 0, so nothing is known about it." in sentences
    assert (
        "The classes are uneven: 1 test photo of 1, 120 of 2. Go by macro-F1, which counts "
        "every class alike." in sentences
    )


def test_seeds_are_told_with_their_spread() -> None:
    sentences = summary(digit_board(3).to_json())
    assert (
        "Over 3 seeds, mean accuracy and its standard deviation: fastcnn 97.9 % (0.4 points), "
        "cnn 97.6 % (0.4 points), lm 90.2 % (0.4 points) and mobilenetv2 7.0 % (0.4 points)."
    ) in sentences


def test_models_with_fewer_seeds_are_told_with_theirs() -> None:
    board = digit_board(3).to_json()
    board["models"][1]["seeds"].pop()
    told = next(text for text in summary(board) if text.startswith("Over"))
    assert told.startswith("Over seeds, mean accuracy and its standard deviation: fastcnn 97.9 %")
    assert "(0.4 points, 3 seeds), cnn 97.6 % (0.4 points, 2 seeds)" in told


@pytest.mark.parametrize(
    ("latency", "why"), [(9.0, "it is the faster"), (4.2, "it is the first of them")]
)
def test_the_best_of_equals_is_not_said_to_be_better(
    board: dict[str, Any], latency: float, why: str
) -> None:
    best, other = board["models"][:2]
    other.update(validation_macro_f1=best["validation_macro_f1"], latency_ms_p50=latency)
    assert summary(board)[0] == (
        "The best model is fastcnn: fastcnn and cnn have the same macro-F1 on the validation "
        f"photos, the highest of all models; {why}."
    )


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("cnn", "or probe"),
        ("timm:resnet18:finetune", "or timm:resnet18:frozen"),
        ("efficientnet_lite0", "or efficientnet_lite0:frozen"),
        ("xception:scratch", "or probe"),
        ("probe", "try another backbone"),
        ("mobilenetv2:frozen", "try another backbone"),
        ("net-of-a-later-version", "try a lower --learning-rate"),
    ],
)
def test_a_collapsed_model_comes_with_something_to_try(
    board: dict[str, Any], name: str, advice: str
) -> None:
    board["models"][0].update(name=name, collapsed=True, collapsed_reason="predicts one class")
    board["best"], board["comparisons"], board["models"] = name, [], board["models"][:1]
    told = next(text for text in summary(board) if text.startswith(f"{name} has collapsed"))
    assert advice in told


def test_a_board_without_models_says_so(board: dict[str, Any]) -> None:
    board["best"] = None
    board["models"] = [row for row in board["models"] if row["baseline"]]
    board["comparisons"] = []
    assert summary(board)[0] == "No model was trained."
    board["models"] = []
    assert summary(board)[0] == "No model was trained."


@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        ({}, "No file was left out."),
        ({"hidden": 0}, "No file was left out."),
        ({"rare-class": 1}, "1 file was left out: 1 of a class with too few photos."),
        (
            {"no-label": 2, "not-an-image": 1200, "empty": 1},
            "1,203 files were left out: 1,200 not images, 2 without a label and 1 empty.",
        ),
        ({"some-new-reason": 2}, "2 files were left out: 2 some-new-reason."),
    ],
)
def test_what_was_left_out(board: dict[str, Any], left_out: dict[str, int], told: str) -> None:
    board["dataset"]["left_out_reasons"] = left_out
    assert told in summary(board)


def test_every_reason_of_intake_has_words() -> None:
    from typing import get_args

    from pegboard.photos import Reason
    from pegboard.words import _REASONS

    assert set(_REASONS) == set(get_args(Reason))


@pytest.mark.parametrize(
    ("value", "n", "text"),
    [(0.9934, 10_000, "99.34 %"), (0.9934, 300, "99.3 %"), (1.0, 30, "100.0 %"), (0.0, 9, "0.0 %")],
)
def test_digits_go_with_the_number_of_photos(value: float, n: int, text: str) -> None:
    assert percent(value, n) == text


@pytest.mark.parametrize(
    ("mistakes", "n", "in_percent", "as_score"),
    [(0, 25_000, "100.00", "1.0000"), (1, 25_000, "99.99", "0.9999"), (1, 5000, "99.98", "0.9998"),
     (0, 300, "100.0", "1.000"), (1, 300, "99.7", "0.997")],
)  # fmt: skip
def test_nothing_with_a_mistake_is_perfect(
    mistakes: int, n: int, in_percent: str, as_score: str
) -> None:
    value = 1 - mistakes / n
    assert (digits(value, n), score(value, n)) == (in_percent, as_score)
    assert score(0.9999, 300) == "0.999"
    assert digits(0.9999, 300) == "99.9"
    assert score(sum([0.1] * 10)) == "1.000"


def test_macro_f1_has_the_digits_of_accuracy(board: dict[str, Any]) -> None:
    board["models"][0].update(n=5000, macro_f1=0.99981, macro_f1_ci=[0.9991, 0.99999])
    assert any("a macro-F1 of 0.9998 (0.9991 to 0.9999)" in text for text in summary(board))


def test_there_is_no_minus_nought() -> None:
    assert digits(-0.0001, 100) == "0.0"


def test_counting_and_listing() -> None:
    assert [count(n, "photo") for n in (0, 1, 10_000)] == ["0 photos", "1 photo", "10,000 photos"]
    assert [listing(x) for x in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        *("", "a", "a and b", "a, b and c")
    ]


class TestAdvice:
    """What would help most, from a board whose best model knows one class least."""

    @pytest.fixture
    def weakest(self, board: dict[str, Any]) -> dict[str, Any]:
        best = next(row for row in board["models"] if row["name"] == board["best"])
        return min(best["per_class"], key=lambda row: row["f1"])

    def test_a_small_class_needs_photos(self, board: dict[str, Any], weakest) -> None:
        train = dict.fromkeys(board["dataset"]["classes"], 120) | {weakest["label"]: 30}
        (sentence,) = advice(board, train, 0)
        assert sentence.startswith(f"{weakest['label']} is the class it knows least (F1 ")
        assert f"F1 {weakest['f1']:.3f} on {weakest['support']} test photos" in sentence
        assert "it has 30 training photos where half of the classes have 120 or more" in sentence
        assert sentence.endswith(f"more photos of {weakest['label']} would probably help most.")

    def test_one_photo_less_than_others_is_no_reason(self, board: dict[str, Any], weakest) -> None:
        classes = board["dataset"]["classes"]
        (sentence,) = advice(board, dict.fromkeys(classes, 101) | {weakest["label"]: 100}, 0)
        assert "more photos of" not in sentence

    def test_a_median_between_two_numbers_is_rounded_up(self, board: dict[str, Any], weakest):
        others = [label for label in board["dataset"]["classes"] if label != weakest["label"]]
        train = {label: 10 if place < 4 else 11 for place, label in enumerate(others)}
        (sentence,) = advice(board, train | {weakest["label"]: 3}, 0)
        assert "where half of the classes have 11 or more" in sentence

    def test_a_class_with_photos_enough_needs_a_look(self, board: dict[str, Any], weakest) -> None:
        train = dict.fromkeys(board["dataset"]["classes"], 120)
        (sentence,) = advice(board, train, 0)
        assert sentence.startswith(weakest["label"])
        assert "more photos of" not in sentence
        assert sentence.endswith("are worth a look before more photos are taken.")

    def test_sure_mistakes_may_be_wrong_labels(self, board: dict[str, Any]) -> None:
        train = dict.fromkeys(board["dataset"]["classes"], 120)
        one = advice(board, train, 1)[-1]
        assert one.startswith("1 test photo was answered wrongly by fastcnn with a probability")
        assert "look at its label first" in one
        assert advice(board, train, 7)[-1].startswith("7 test photos were answered wrongly")

    def test_nothing_to_say_of_a_perfect_model_or_of_none(self, board: dict[str, Any]) -> None:
        best = next(row for row in board["models"] if row["name"] == board["best"])
        for row in best["per_class"]:
            row["f1"] = 1.0
        assert advice(board, {}, 0) == []
        assert advice(board | {"best": None}, {}, 3) == []
