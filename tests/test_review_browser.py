"""The page in a real browser: with the keyboard alone, on a wide and on a narrow screen."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pegboard.corrections import read_corrections
from pegboard.review.opening import Opened
from review_folders import SUSPECTS, open_folder, serving
from visits import visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE, NARROW = {"width": 1360, "height": 850}, {"width": 360, "height": 740}


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open an address as the first page of a new visitor; whatever goes wrong there fails."""
    # What was still on its way when the server ended is no trouble of the page.
    with visiting(browser, WIDE, expected="CONNECTION_REFUSED") as open_page:

        def open_ready(*arguments: Any, **options: Any) -> Page:
            page = open_page(*arguments, **options)
            # The script gives the heading the focus when it is ready to hear keys.
            has_script = options.get("java_script_enabled", True)
            page.wait_for_selector("#heading:focus" if has_script else "#heading")
            return page

        yield open_ready


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return open_folder(tmp_path)


def settled(page: Page) -> None:
    """Wait until no answer is on its way; keys are not heard before."""
    page.wait_for_selector("html:not([aria-busy])")


def said(page: Page, text: str) -> None:
    """Wait until the live region says it."""
    page.wait_for_function(
        "text => document.getElementById('said').textContent.includes(text)", arg=text
    )
    settled(page)


def made(opened: Opened) -> list[tuple[str, str, str]]:
    if not opened.review.log.path.exists():
        return []
    lines = read_corrections(opened.review.log.path)
    return [(one.action, one.path, one.label_after) for one in lines]


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_review_from_beginning_to_end_with_keys_alone(
    visit: Callable[..., Page], opened: Opened, viewport: dict[str, int]
) -> None:
    with serving(opened) as server:
        page = visit(server.address, viewport)
        press = page.keyboard.press
        said_first = page.inner_text("h1")
        assert said_first == f"Photo 1 of {SUSPECTS + 1}"
        press("a")
        said(page, "Relabelled to square: disc/000.jpg. Photo 2 of")
        press("k")
        said(page, "Kept as disc: disc/001.jpg. Photo 3 of")
        press("d")
        said(page, "Dropped: disc/002.jpg. Photo 4 of")
        press("u")
        said(page, "Taken back: drop, disc/002.jpg. Photo 3 of")
        press("r")  # type ahead, and choose with the arrows
        page.keyboard.type("s")
        assert page.locator("#matches li").first.inner_text() == "square"
        press("Escape")
        assert page.evaluate("document.activeElement.id") == "heading"
        press("r")
        page.keyboard.type("cr")
        press("Enter")
        said(page, "Relabelled to cross: disc/002.jpg.")
        press("g")
        page.keyboard.type(str(SUSPECTS + 1))
        press("Enter")
        said(page, f"Photo {SUSPECTS + 1} of")
        assert "Nearly the same picture twice" in page.inner_text("h2")
        press("p")
        said(page, f"Photo {SUSPECTS} of")
        press("ArrowRight")
        said(page, f"Photo {SUSPECTS + 1} of")
        press("s")
        said(page, "Same object as cross/001.jpg: cross/000.jpg.")
        press("b")
        page.wait_for_selector("ul.bulk")
        page.focus("#at_least")
        page.select_option("#at_least", "0")
        page.locator("form.threshold button").press("Enter")
        settled(page)
        page.wait_for_function("document.querySelectorAll('ul.bulk li').length === 3")
        assert "disc → square: 3" in page.inner_text("ul.changes")
        page.locator("ul.bulk input").nth(1).press("Space")  # this one is left out
        assert made(opened)[-1][0] == "same-object"
        page.locator("button.main").press("Enter")
        said(page, "2 suggestions accepted.")
        press("k")
        page.wait_for_url("**/end")
        assert "Everything is decided" in page.inner_text("h1")
        assert "pegboard compare" in page.inner_text("pre >> nth=0")
    assert made(opened) == [
        ("accept", "disc/000.jpg", "square"),
        ("keep", "disc/001.jpg", ""),
        ("drop", "disc/002.jpg", ""),
        ("undo", "disc/002.jpg", ""),
        ("relabel", "disc/002.jpg", "cross"),
        ("same-object", "cross/000.jpg", ""),
        ("accept", "disc/003.jpg", "square"),
        ("accept", "disc/005.jpg", "square"),
        ("keep", "disc/004.jpg", ""),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_fits_the_screen_and_can_be_read(
    visit: Callable[..., Page], opened: Opened, viewport: dict[str, int], scheme: str
) -> None:
    with serving(opened) as server:
        page = visit(server.address, viewport, color_scheme=scheme)
        for path in ("/photo/1", f"/photo/{SUSPECTS + 1}", "/bulk?at_least=0", "/end"):
            page.goto(server.address.partition("?")[0] + path[1:])
            page.wait_for_function(
                "[...document.images].every(i => i.loading === 'lazy' || i.naturalWidth)"
            )
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
            assert page.evaluate(LOWEST_CONTRAST) >= 4.5, path
        page.goto(server.address.partition("?")[0] + "photo/1")
        box = page.locator("button[value=accept]").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= viewport["height"], "out of sight"
        photo = page.locator("img.large").first.bounding_box()
        assert photo is not None
        assert photo["y"] < viewport["height"] / 2
        assert photo["width"] >= 0.35 * viewport["width"]


# Of all texts on the page: WCAG's contrast with the nearest background that is not transparent.
LOWEST_CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c[3] === 255) return c;
    }
    return [255, 255, 255, 255];
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let lowest = 21;
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const is_seen = walk.currentNode.data.trim() && element.checkVisibility();
    if (!is_seen || element.closest('kbd')) continue;
    const text = light(rgb(getComputedStyle(element).color));
    const [a, b] = [text, light(ground(element))].sort((x, y) => y - x);
    lowest = Math.min(lowest, (a + 0.05) / (b + 0.05));
  }
  return lowest;
}"""


def test_a_screen_reader_has_a_name_for_everything(
    visit: Callable[..., Page], opened: Opened
) -> None:
    with serving(opened) as server:
        page = visit(server.address)
        for path in ("photo/1", "bulk?at_least=0"):
            page.goto(server.address.partition("?")[0] + path)
            nameless = page.evaluate(
                """() => [...document.querySelectorAll('button, a, input, select')]
                  .filter((e) => e.type !== 'hidden')
                  .filter((e) => !(e.textContent.trim() || e.labels?.length || e.ariaLabel))
                  .map((e) => e.outerHTML)"""
            )
            assert nameless == []
            assert page.evaluate("[...document.images].every(i => i.hasAttribute('alt'))")
            assert page.locator("[role=status][aria-live=polite]").count() == 1
            assert page.evaluate("document.documentElement.lang") == "en"
            assert page.locator("h1").count() == 1
        page.goto(server.address.partition("?")[0] + "photo/1")
        field = page.locator("#label")
        field.focus()
        assert field.get_attribute("role") == "combobox"
        assert field.get_attribute("aria-expanded") == "true"
        page.keyboard.press("ArrowDown")
        active = field.get_attribute("aria-activedescendant")
        assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"


def test_tab_reaches_every_decision_in_order(visit: Callable[..., Page], opened: Opened) -> None:
    with serving(opened) as server:
        page = visit(server.address)
        met = []
        for _ in range(30):
            page.keyboard.press("Tab")
            met.append(page.evaluate("document.activeElement.value || document.activeElement.id"))
        for one, other in zip(("accept", "keep", "drop"), ("keep", "drop", "label"), strict=True):
            assert met.index(one) < met.index(other)


def test_keys_can_be_turned_off_and_are_left_alone_in_fields(
    visit: Callable[..., Page], opened: Opened
) -> None:
    with serving(opened) as server:
        page = visit(server.address)
        page.focus("#label")
        page.keyboard.type("add")
        page.keyboard.press("Escape")
        page.locator("#keys").press("Enter")
        for key in "akdubn":
            page.keyboard.press(key)
        page.locator("#heading").focus()
        page.keyboard.press("Control+a")
        page.wait_for_timeout(300)
        assert page.url.endswith("/photo/1")
        page.locator("#keys").press("Enter")
        page.locator("#heading").focus()
        page.keyboard.press("n")
        said(page, "Photo 2 of")
    assert made(opened) == []


def test_a_new_class_has_to_be_chosen_as_one(visit: Callable[..., Page], opened: Opened) -> None:
    with serving(opened) as server:
        page = visit(server.address)
        page.keyboard.press("r")
        page.keyboard.type("ring")
        assert page.locator("#matches li").all_inner_texts() == ["New class: ring"]
        page.keyboard.press("Enter")
        said(page, "Relabelled to ring")
        page.keyboard.press("r")
        page.keyboard.type("ri")
        assert page.locator("#matches li").first.inner_text() == "ring"
    assert made(opened) == [("relabel", "disc/000.jpg", "ring")]


def test_the_back_button_goes_back(visit: Callable[..., Page], opened: Opened) -> None:
    with serving(opened) as server:
        page = visit(server.address)
        page.keyboard.press("k")
        said(page, "Photo 2 of")
        page.go_back()
        said(page, "Photo 1 of")
        assert "Decided: keep, by ann" in page.inner_text(".decide")


def test_without_scripts_every_form_works(visit: Callable[..., Page], opened: Opened) -> None:
    with serving(opened) as server:
        page = visit(server.address, java_script_enabled=False)
        page.click("button[value=accept]")
        page.wait_for_url("**/photo/2")
        page.fill("#label", "cross")
        page.click("form.relabel button")
        page.wait_for_url("**/photo/3")
        page.click("form.undo button")
        page.wait_for_url("**/photo/2")
        page.click("text=Accept several")
        page.click("button.main")
        page.wait_for_url("**/photo/**")
    actions = [action for action, _, _ in made(opened)]
    assert actions[:3] == ["accept", "relabel", "undo"]
    assert set(actions[3:]) == {"accept"}


def test_another_sites_page_can_do_nothing(
    visit: Callable[..., Page], opened: Opened, tmp_path: Path
) -> None:
    """A page of another origin, in the very browser that holds the cookie."""
    with serving(opened) as server:
        page = visit(server.address)
        token = page.input_value("#decide input[name=token]")
        base = server.address.partition("?")[0]
        evil = page.context.new_page()
        evil.goto("data:text/html,<h1>evil</h1>")
        answers = evil.evaluate(
            """async ([base, token]) => {
              const body = new URLSearchParams({ token, number: 1, action: 'drop' });
              const tried = [];
              for (const mode of ['no-cors', 'cors']) {
                try {
                  const answer = await fetch(
                    base + 'decide', { method: 'POST', mode, credentials: 'include', body });
                  tried.push(answer.type === 'opaque' ? 'opaque' : answer.status);
                } catch { tried.push('refused'); }
              }
              const image = new Image();
              const loaded = new Promise((done) => {
                image.onload = () => done('shown');
                image.onerror = () => done('refused');
              });
              image.src = base + 'picture/0/small';
              tried.push(await loaded);
              return tried;
            }""",
            [base, token],
        )
        assert answers[0] in ("opaque", "refused")
        assert answers[1:] == ["refused", "refused"]
    assert made(opened) == []


def test_kill_9_in_the_middle_loses_nothing(visit: Callable[..., Page], tmp_path: Path) -> None:
    open_folder(tmp_path)
    program = str(Path(sys.executable).with_name("pegboard"))
    command = [program, "review", "photos", "--findings", "found", "--no-open", "--reviewer", "ann"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    address = next(word for word in process.stderr.readline().split() if word.startswith("http"))
    page = visit(address)
    for number in (2, 3, 4):
        page.keyboard.press("a")
        said(page, f"Photo {number} of")
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    lines = read_corrections(tmp_path / "found/corrections.csv")
    assert [(one.action, one.path) for one in lines] == [
        ("accept", f"disc/{index:03d}.jpg") for index in range(3)
    ]
    page.context.set_offline(False)
    assert open_folder(tmp_path).review.next_open(-1) == 3
    page.context.close()
