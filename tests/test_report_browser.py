"""The report in a real browser: cells and their photos, sorting, models, keyboard, paper, axe."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pegboard.examples import write_tool_photos
from pegboard.report import write_report
from run_folders import make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def run(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compare two fast models on drawn photos of tools, once."""
    folder = tmp_path_factory.mktemp("report")
    photos = write_tool_photos(folder / "tools", per_class=12, untidy=False, size=96)
    command = [
        *(sys.executable, "-m", "pegboard.cli", "compare", str(photos), "--models", "lm,fastcnn"),
        *("--image-size", "24", "--epochs", "2", "--out", str(folder / "run")),
        *("--previous", "none", "--fit", "squash", "--threads", "1"),
    ]
    subprocess.run(command, check=True, capture_output=True, env=os.environ)
    return folder / "run"


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a report; an error, a warning or a request to anywhere fails the test."""
    troubles: list[str] = []
    contexts = []

    def note_request(request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            troubles.append(request.url)

    def open_page(
        report: Path, fragment: str = "", viewport: dict[str, int] = WIDE, **options: object
    ) -> Page:
        context = browser.new_context(viewport=viewport, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", note_request)
        page.on(
            "console",
            lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.goto(report.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


def wrong_cells(run: Path, slug: str) -> dict[tuple[str, str], set[str]]:
    """Photos of every off-diagonal cell, from predictions.csv itself."""
    cells: dict[tuple[str, str], set[str]] = {}
    with (run / "models" / slug / "predictions.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == "test" and row["label"] != row["predicted"]:
                cells.setdefault((row["label"], row["predicted"]), set()).add(row["path"])
    return cells


def largest(cells: dict[tuple[str, str], set[str]]) -> tuple[str, str]:
    return max(cells, key=lambda cell: len(cells[cell]))


def best_slug(run: Path) -> str:
    return json.loads((run / "leaderboard.json").read_text("utf-8"))["best"]


def cell_button(page: Page, slug: str, true: str, predicted: str) -> Any:
    classes = json.loads(page.inner_text("script#photos") or page.text_content("script#photos"))
    names = classes["classes"]
    place = f'[data-true="{names.index(true)}"][data-predicted="{names.index(predicted)}"]'
    return page.locator(f"#model-{slug}-matrix button[data-cell]{place}")


def shown_paths(page: Page) -> set[str]:
    """Paths of the photos in the open dialog."""
    return set(
        page.eval_on_selector_all("#cell-photos .path", "items => items.map(item => item.title)")
    )


def test_a_press_on_a_cell_opens_its_photos_and_no_others(run, visit):
    slug = best_slug(run)
    cells = wrong_cells(run, slug)
    page = visit(run / "report.html")
    for true, predicted in sorted(cells)[:4]:
        cell_button(page, slug, true, predicted).click()
        assert page.locator("#cell-dialog").evaluate("dialog => dialog.open")
        assert shown_paths(page) == cells[true, predicted]
        assert page.locator("#cell-review").is_visible()
        assert f"--cell {true},{predicted}" in page.inner_text("#cell-command")
        page.click("#cell-close")
        assert not page.locator("#cell-dialog").evaluate("dialog => dialog.open")


def test_no_command_is_shown_for_a_cell_that_review_does_not_open(run, visit):
    """The command goes through the answers of the best model."""
    other = next(name for name in ("lm", "fastcnn") if name != best_slug(run))
    true, predicted = largest(wrong_cells(run, other))
    page = visit(run / "report.html", f"#cell={other}/{true}/{predicted}")
    page.wait_for_selector("#cell-dialog[open]")
    assert page.locator("#cell-review").is_hidden()


def test_a_cell_works_by_keyboard_and_gives_the_focus_back(run, visit):
    slug = best_slug(run)
    cells = wrong_cells(run, slug)
    true, predicted = largest(cells)
    page = visit(run / "report.html")
    button = cell_button(page, slug, true, predicted)
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#cell-dialog[open]")
    assert shown_paths(page) == cells[true, predicted]
    page.keyboard.press("Escape")
    page.wait_for_selector("#cell-dialog", state="hidden")
    assert button.evaluate("button => button === document.activeElement")


def test_an_address_opens_a_cell(run, visit):
    slug = best_slug(run)
    cells = wrong_cells(run, slug)
    true, predicted = largest(cells)
    page = visit(run / "report.html", f"#cell={slug}/{true}/{predicted}")
    page.wait_for_selector("#cell-dialog[open]")
    assert shown_paths(page) == cells[true, predicted]


def test_the_leaderboard_is_sorted_by_the_numbers(run, visit):
    board = json.loads((run / "leaderboard.json").read_text("utf-8"))
    page = visit(run / "report.html")
    heading = page.locator("#leaderboard-table th", has_text="Accuracy").first
    orders = {}
    for _ in range(2):
        heading.locator("button").click()
        orders[heading.get_attribute("aria-sort")] = page.eval_on_selector_all(
            "#leaderboard-table tbody tr", "rows => rows.map(row => row.dataset.model)"
        )
    accuracy = {model["name"]: model["accuracy"] for model in board["models"]}
    assert set(orders) == {"ascending", "descending"}
    for order, names in orders.items():  # models that tie stay as they were
        found = [accuracy[name] for name in names]
        assert found == sorted(accuracy.values(), reverse=order == "descending")


def test_one_model_at_a_time_chosen_by_the_arrow_keys(run, visit):
    page = visit(run / "report.html")
    shown = "sections => sections.filter(s => s.checkVisibility()).map(s => s.id)"
    first = page.eval_on_selector_all("section.model", shown)
    assert len(first) == 1
    page.locator("#model-tabs [role=tab][aria-selected=true]").focus()
    page.keyboard.press("ArrowRight")
    second = page.eval_on_selector_all("section.model", shown)
    assert len(second) == 1
    assert second != first
    page.keyboard.press("ArrowLeft")
    assert page.eval_on_selector_all("section.model", shown) == first


def test_the_matrix_shows_shares_and_another_order(run, visit):
    slug = best_slug(run)
    page = visit(run / "report.html")
    rows = f"#model-{slug}-matrix tbody th"
    given = page.locator(rows).all_inner_texts()
    section = page.locator(f"#model-{slug}")
    section.locator("input[data-switch=order][value=similarity]").check()
    similar = page.locator(rows).all_inner_texts()
    assert Counter(similar) == Counter(given)
    columns = page.locator(f"#model-{slug}-matrix thead th").all_text_contents()
    assert [text.strip() for text in columns][: len(similar)] == [text.strip() for text in similar]
    section.locator("input[data-switch=order][value=given]").check()
    assert page.locator(rows).all_inner_texts() == given
    cell = page.locator(f"#model-{slug}-matrix button[data-cell]").first
    counts = cell.inner_text()
    section.locator("input[data-switch=cells][value=percent]").check()
    assert "%" in cell.inner_text()
    assert cell.inner_text() != counts


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_sticks_out_sideways(run, visit, viewport):
    page = visit(run / "report.html", viewport=viewport)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= viewport["width"]


@pytest.mark.parametrize("classes", [1, 2, 15, 300])
def test_any_number_of_classes_stays_usable(tmp_path, visit, classes):
    names = tuple(f"class {number:03d}" for number in range(classes))
    make_run(
        tmp_path / "run",
        classes=names,
        models={"probe": 2.2, "cnn4": 1.1},
        per_class=max(6, 600 // classes),
    )
    write_report(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").stat().st_size < 6_000_000
    page = visit(tmp_path / "run" / "report.html", viewport=NARROW)
    assert page.locator("#leaderboard-table tbody tr").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    assert page.locator("section.model.shown").count() == 1


def test_on_paper_no_figure_is_cut(run, visit):
    import pypdfium2

    page = visit(run / "report.html")
    paper = page.pdf(format="A4", print_background=True)
    text = "\n".join(
        sheet.get_textpage().get_text_range() for sheet in pypdfium2.PdfDocument(paper)
    )
    assert "Leaderboard" in text
    assert "How to repeat" in text
    page.emulate_media(media="print")
    uncut = page.eval_on_selector_all(
        "figure, tr, li.mistake, .tiles > div",
        "items => items.filter(item => item.checkVisibility())"
        ".filter(item => !(function inside(e) { return e && (getComputedStyle(e).breakInside"
        " === 'avoid' || inside(e.parentElement)); })(item)).length",
    )
    assert uncut == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing_serious(run, visit, viewport, scheme):
    page = visit(run / "report.html", viewport=viewport, color_scheme=scheme)
    assert serious(page) == []
    page.locator(".model.shown button[data-cell]").first.click()
    page.wait_for_selector("#cell-dialog[open]")
    assert serious(page) == []


def test_axe_finds_nothing_serious_in_a_model_card(run, visit):
    cards = sorted(run.glob("models/*/card.html"))
    assert cards
    for scheme in ("light", "dark"):
        assert serious(visit(cards[0], color_scheme=scheme)) == []


def serious(page: Page) -> list[tuple[str, str]]:
    """Serious and critical findings of axe: rule and first place."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    return [
        (found["id"], found["nodes"][0]["html"][:200])
        for found in axe.run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]
