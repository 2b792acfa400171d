"""A real Chromium, and pages opened in it as new visitors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = Path(os.environ.get("PEGBOARD_CHROMIUM", "/usr/bin/chromium"))


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Start a browser, or skip the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}; set PEGBOARD_CHROMIUM to a browser")
    with sync_api.sync_playwright() as playwright:
        # A container's root may not use the sandbox; the pages are our own.
        own = ["--no-sandbox", "--disable-gpu", *arguments]
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=own)
        yield started
        started.close()


@contextmanager
def visiting(
    browser: Browser, viewport: dict[str, int], *, expected: str
) -> Iterator[Callable[..., Page]]:
    """Open addresses as new visitors; whatever goes wrong there fails at the end.

    ``expected`` is a part of the messages that are no trouble.
    """
    troubles: list[str] = []
    contexts: list[BrowserContext] = []

    def note(said: Any) -> None:
        if said.type in ("error", "warning"):
            troubles.append(said.text)

    def open_page(address: str, viewport: dict[str, int] = viewport, **options: Any) -> Page:
        context = browser.new_context(viewport=viewport, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", note)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in troubles if expected not in text] == []
