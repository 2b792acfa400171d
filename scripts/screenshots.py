"""Make the pictures of the documentation: reports in a browser, and the terminal.

Everything they show is real output about photos that pegboard draws itself, in a folder that is
removed afterwards. Needs Chromium (``/usr/bin/chromium``, or what PEGBOARD_CHROMIUM names) and
takes some minutes.

    python scripts/screenshots.py [--models probe,efficientnet_lite0:frozen]
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import subprocess
import sys
import tempfile
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pypdfium2
from PIL import Image
from playwright.sync_api import sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = os.environ.get("PEGBOARD_CHROMIUM", "/usr/bin/chromium")

WIDE, TALL = {"width": 1280, "height": 1000}, {"width": 1280, "height": 1500}
NARROW = {"width": 390, "height": 844}
COLUMNS = 116
FULLEST = """cells => cells.reduce((one, other) =>
  parseInt(other.textContent) > parseInt(one.textContent) ? other : one).click()"""
LARGEST = 300_000
"""Bytes of one picture."""


def main() -> None:
    """Draw photos, check and compare them, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", default="cnn4,probe,efficientnet_lite0:frozen,efficientnet_lite0"
    )
    given = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        typed(folder, "example-photos tools")
        checked = typed(folder, "check tools --merge Pliers=pliers")
        compared = typed(
            folder, f"compare tools --merge Pliers=pliers --models {given.models} --out run"
        )
        write_terminal(IMAGES / "terminal-check.svg", checked, "pegboard check")
        write_terminal(IMAGES / "terminal.svg", compared, "pegboard compare")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
            report(browser, folder / "run" / "report.html")
            check_page(browser, folder / "pegboard-check" / "report.html")
            browser.close()


def typed(folder: Path, command: str) -> str:
    """Run ``pegboard COMMAND`` in a terminal of its own; return what stands there at the end."""
    program = str(Path(sys.executable).with_name("pegboard"))
    mine, its = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [program, *command.split(), "--no-progress"] if "photos" not in command
        else [program, *command.split()],
        cwd=folder, env=environment, stdin=its, stdout=its, stderr=its,
    )  # fmt: skip
    os.close(its)
    told = b""
    while True:
        try:
            part = os.read(mine, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        told += part
    os.close(mine)
    if process.wait():
        raise SystemExit(f"pegboard {command} failed:\n{told.decode(errors='replace')}")
    return f"$ pegboard {command}\n" + told.decode().replace("\r\n", "\n")


def write_terminal(file: Path, told: str, title: str) -> None:
    """Draw a terminal's text as SVG, with the viewer's own font: nothing is loaded from afar."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(told), soft_wrap=False)
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    drawn = console.export_svg(title=title, code_format=template, unique_id="terminal")
    file.write_text(drawn.replace("Fira Code", "ui-monospace, Menlo, Consolas"), "utf-8")
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


def report(browser: Browser, page_file: Path) -> None:
    """Take the report wide, narrow, in the dark, with a cell open, and on paper."""
    take(browser, page_file, "report", viewport=TALL)
    take(browser, page_file, "report-dark", scheme="dark", at=".model.shown .matrix")
    take(browser, page_file, "report-narrow", viewport=NARROW)
    take(browser, page_file, "report-cell", press=".model.shown td.miss > button[data-cell]")
    paper(browser, page_file, "report-print")


def check_page(browser: Browser, page_file: Path) -> None:
    """Take the page of a check."""
    take(browser, page_file, "check")


def take(
    browser: Browser,
    page_file: Path,
    name: str,
    *,
    viewport: dict[str, int] = WIDE,
    scheme: str = "light",
    at: str = "",
    press: str = "",
) -> None:
    """Take one screen of a page."""
    context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(page_file.as_uri())
    if at:
        page.locator(at).first.evaluate("place => place.scrollIntoView({ block: 'center' })")
    if press:
        page.locator(press).evaluate_all(FULLEST)
        page.wait_for_selector("dialog[open] img")
        # The folder of the moment is of no interest.
        page.locator("#cell-command").evaluate(
            "code => { code.textContent = code.textContent.replace(/\\S+[/]run/, 'run'); }"
        )
    save(page.screenshot(), name)
    context.close()


def paper(browser: Browser, page_file: Path, name: str) -> None:
    """Print a page and show its first two sheets side by side."""
    page = browser.new_page()
    page.goto(page_file.as_uri())
    sheets = pypdfium2.PdfDocument(page.pdf(format="A4", print_background=True))
    images = [sheets[index].render(scale=1.2).to_pil() for index in range(2)]
    both = Image.new("RGB", (sum(image.width for image in images) + 12, images[0].height), "#888")
    both.paste(images[0], (0, 0))
    both.paste(images[1], (images[0].width + 12, 0))
    stream = BytesIO()
    both.save(stream, "PNG")
    save(stream.getvalue(), name)
    page.close()


def save(picture: bytes, name: str) -> None:
    """Write a PNG with as many colours as its size allows."""
    file = IMAGES / f"{name}.png"
    with Image.open(BytesIO(picture)) as opened:
        for colours in (256, 128, 64, 32):
            flat = opened.convert("RGB").quantize(colours, method=Image.Quantize.MEDIANCUT)
            flat.save(file, optimize=True)
            if file.stat().st_size <= LARGEST:
                print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes, {colours} colours")
                return
    raise SystemExit(f"{file} stays above {LARGEST:,} bytes")


if __name__ == "__main__":
    main()
