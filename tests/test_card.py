"""A model card says what the leaderboard says, to everybody, whatever a class is called."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from boards import digit_board
from pegboard.bundle import BundleInfo, data_facts, model_card, to_html, to_markdown
from pegboard.bundle.card import Facts, Grid, Paragraph
from pegboard.bundle.card_files import visible
from pegboard.calibrate import sure_limits
from pegboard.inputs import InputSpec
from pegboard.manifest import ManifestRow
from pegboard.models.registry import parse_model_name
from pegboard.recipes import recipe_for
from small_bundle import colour_info

HOSTILE = (
    "<script>alert(1)</script>",
    "a|b",
    "**bold** _it_ `code`",
    "[click](javascript:alert(1))",
    "# heading\n\n- item",
    "1. first",
    "</table>&lt;&amp;",
    "evil\u202egpj.exe",
    "caf\udce9",
    "\\| tail \\",
    "~~gone~~ $x$",
)


class Page(HTMLParser):
    """The tags of a page, and the cells of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._in_cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data) -> None:
        self.text += data
        if self._in_cell:
            self.rows[-1][-1] += data


def as_page(markdown: str) -> Page:
    """Read Markdown with a library of its own: markup in it would come out as tags."""
    return Page(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown))


def words_of(text: str) -> list[str]:
    return visible(text).split()


def digits_info(**changes: Any) -> BundleInfo:
    board = digit_board(seeds=2)
    row = next(row for row in board.models if row.name == board.best)
    spec = InputSpec(8, 8, 1)
    recipe = recipe_for(
        parse_model_name("fastcnn"), spec, classes=board.dataset.classes, training_photos=1200
    )
    rows = [ManifestRow(f"{i}.png", str(i % 10), "train", "", f"{i:064x}") for i in range(1200)]
    info = BundleInfo(
        name=row.name,
        input=spec,
        classes=board.dataset.classes,
        thresholds={"sure": 0.7, "precision": 0.95},
        figures=row.to_json(),
        data=data_facts(board.dataset.to_json(), {}, rows),
        fingerprint="5f3c",
        recipe=recipe.to_json() | {"seed": 0},
    )
    return replace(info, **changes)


# --- it says what the leaderboard says -----------------------------------------------------


def test_figures_with_n_and_intervals() -> None:
    board = digit_board(seeds=2)
    row = next(row for row in board.models if row.name == board.best)
    text = to_markdown(model_card(digits_info()))
    low, high = row.test.accuracy_ci
    assert f"Accuracy: {100 * row.test.accuracy:.1f} % (95 % interval {100 * low:.1f} %" in text
    low, high = row.test.macro_f1_ci
    assert f"Macro-F1: {row.test.macro_f1:.3f} (95 % interval {low:.3f} to {high:.3f})" in text
    assert f"- Test photos: {row.test.n}" in text
    assert "Mean accuracy over 2 seeds" in text
    assert f"Expected calibration error on test photos: {row.test.ece:.3f}" in text


def test_the_table_of_classes_is_the_leaderboards() -> None:
    info = digits_info()
    page = Page(to_html(model_card(info)))
    header, *rows = page.rows
    assert header == ["Class", "Training photos", "Test photos", "Precision", "Recall", "F1"]
    for row, figures in zip(rows, info.figures["per_class"], strict=True):
        assert row[:3] == [figures["label"], "120", str(figures["support"])]
        for cell, key in zip(row[3:], ("precision", "recall", "f1"), strict=True):
            low, high = figures[f"{key}_ci"]
            assert cell == f"{figures[key]:.3f} ({low:.3f} to {high:.3f})"


def test_markdown_and_page_hold_the_same_words() -> None:
    card = model_card(digits_info())
    page, markdown = Page(to_html(card)), as_page(to_markdown(card))
    assert page.rows == markdown.rows
    for section in card.sections:
        for block in section.blocks:
            if isinstance(block, Paragraph):
                assert block.text in page.text
                assert block.text in markdown.text


def test_confusions_name_how_many_of_how_many() -> None:
    info = digits_info()
    first = info.figures["top_confusions"][0]
    support = next(r["support"] for r in info.figures["per_class"] if r["label"] == first["true"])
    text = to_markdown(model_card(info))
    said = f"{first['true']} taken for {first['predicted']}: {first['count']} of {support} photo"
    assert said in text


def test_data_and_training_are_told() -> None:
    text = to_markdown(model_card(digits_info()))
    assert "- Training photos: 1,200" in text
    assert "3 files were left out: 2 cut short and 1 not an image." in text
    assert "- Fingerprint: 5f3c" in text
    assert re.search(r"- Training: all weights, at most \d+ epochs, adamw", text)
    assert re.search(r"- Augmentation: shifted by up to", text)


def test_folds_and_leaks_are_told() -> None:
    data = digits_info().data
    folds = to_markdown(model_card(digits_info(data={**data, "folds": 5})))
    assert "those of 5-fold cross-validation" in folds
    assert "chosen on these same photos, so the best one's figures are a little too good" in folds
    assert "kept away from" not in folds
    assert "- Photos: 1,797 in 5 folds (3 folds to train, 1 to validate, 1 to test)" in folds
    assert "no group crosses from one fold to another" in folds
    assert "raining photos |" not in folds
    assert "Training photos:" not in folds
    leaky = to_markdown(model_card(digits_info(data={**data, "allow_leaks": True})))
    assert "the figures may be too good" in leaky
    assert "no group crosses" not in leaky


def test_calibration_is_an_aim_and_its_error_is_told() -> None:
    info = digits_info()
    told = to_markdown(model_card(replace(info, figures={**info.figures, "ece": 0.214})))
    assert "which aims at this: of the answers given with 80 %" in told
    assert "expected calibration error: 21.4 points on the test photos." in told
    assert "How far off" not in to_markdown(model_card(colour_info(figures={})))


def test_a_collapsed_model_is_not_recommended() -> None:
    stuck = next(row for row in digit_board().models if row.collapsed)
    text = to_markdown(model_card(digits_info(figures=stuck.to_json())))
    assert f"Do not use this model: it has collapsed ({stuck.collapsed_reason})." in text


def test_a_class_without_test_photos_is_unknown() -> None:
    figures = digits_info().figures
    first, *others = figures["per_class"]
    empty = {**first, "support": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    card = model_card(digits_info(figures={**figures, "per_class": [empty, *others]}))
    assert Page(to_html(card)).rows[1][2:] == ["0", "unknown", "unknown", "unknown"]
    assert "No test photo shows 0: nothing is known about it." in to_markdown(card)


@pytest.mark.parametrize("sure", [None, 2.0])
def test_it_says_when_no_answer_is_sure(sure: float | None) -> None:
    text = to_markdown(model_card(colour_info(thresholds={"sure": sure}, figures={})))
    assert "No probability was high enough" in text
    assert "No figures were stored" in text


def test_few_validation_photos_are_a_reason_to_be_sure_of_nothing() -> None:
    probabilities, labels = np.full((20, 2), (0.99, 0.01)), np.zeros(20, np.int64)
    limits = sure_limits(probabilities, labels)
    text = to_markdown(model_card(colour_info(thresholds=limits)))
    assert "with 90 % confidence, that at least 95 % of the answers are right" in text
    many = sure_limits(probabilities.repeat(20, axis=0), labels.repeat(20))
    assert "No answer is called sure" not in to_markdown(model_card(colour_info(thresholds=many)))


def test_little_is_known_of_an_older_bundle() -> None:
    info = BundleInfo("old", InputSpec(8, 8, 1), ("a", "b"))
    titles = [section.title for section in model_card(info).sections]
    assert "Each class" not in titles
    assert "Licence and origin" in titles
    assert "- Licence of these weights: none" in to_markdown(model_card(info))


def test_parity_and_licence() -> None:
    text = to_markdown(model_card(colour_info(weights={"source": "x 1.0", "licence": "MIT"})))
    assert "- Licence of these weights: MIT" in text
    assert "same class for 100.00% of 270 photos" in text


# --- to everybody, whatever a class is called ----------------------------------------------


@pytest.fixture(scope="module")
def tags() -> set[str]:
    return {tag for tag, _ in Page(to_html(model_card(digits_info()))).tags}


def with_names(names: tuple[str, ...]) -> BundleInfo:
    row = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 3}
    confusions = [{"true": names[0], "predicted": names[1], "count": 1}]
    figures = {
        "n": 9, "accuracy": 0.5, "top_confusions": confusions,
        "per_class": [{"label": name, **row} for name in names],
    }  # fmt: skip
    return colour_info(name=names[0], classes=names, figures=figures, data={"name": names[1]})


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(HOSTILE),
            st.text("ab|*_`<>&[]()#-\\~\n\r\t:.1 \u2028é", min_size=1, max_size=12),
        ).filter(lambda name: name.split() != []),
        min_size=2,
        max_size=4,
        unique=True,
    ).map(tuple)
)
def test_names_are_never_markup(tags: set[str], names: tuple[str, ...]) -> None:
    card = model_card(with_names(names))
    page, markdown = Page(to_html(card)), as_page(to_markdown(card))
    assert {tag for tag, _ in page.tags} <= tags
    assert {tag for tag, _ in markdown.tags} <= {
        *("h1", "h2", "p", "ul", "li", "pre", "code", "table", "thead", "tbody", "tr", "th", "td"),
    }
    for rows in (page.rows[1:], markdown.rows[1:]):
        assert [row[0].split() for row in rows] == [words_of(name) for name in names]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_show_as_they_are(name: str) -> None:
    card = model_card(with_names((name, "other")))
    for page in (Page(to_html(card)), as_page(to_markdown(card))):
        assert " ".join(words_of(name)) in " ".join(page.text.split())
        assert "script" not in {tag for tag, _ in page.tags}
        assert not any("href" in attributes for _, attributes in page.tags)


def test_the_page_loads_nothing() -> None:
    text = to_html(model_card(digits_info()))
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?:""", text)


def test_the_same_model_gives_the_same_card() -> None:
    for write in (to_markdown, to_html):
        assert write(model_card(digits_info())) == write(model_card(digits_info()))


def test_three_hundred_classes_stay_small() -> None:
    names = tuple(f"class {number:03d}" for number in range(300))
    card = model_card(with_names(names))
    assert len(to_html(card)) < 100_000
    grids = [b for section in card.sections for b in section.blocks if isinstance(b, Grid)]
    assert len(grids[0].rows) == 300
    assert all(block.rows for s in card.sections for block in s.blocks if isinstance(block, Facts))
