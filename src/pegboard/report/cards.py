"""The model cards of a run: ``card.md`` and ``card.html`` beside every bundle."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pegboard.bundle import data_facts, model_card, read_info, to_html, to_markdown
from pegboard.errors import BundleError
from pegboard.files import write_text_atomically
from pegboard.report.run import Run


def write_cards(run: Run) -> list[Path]:
    """Write the card of every model that has a bundle; the same card as in the bundle.

    The figures are those of the leaderboard, so a bundle of an older pegboard, which says less
    of its data, gets a full card too.

    Returns
    -------
    The Markdown files.
    """
    settings = run.run.get("settings") or {}
    data = data_facts(run.leaderboard["dataset"], settings, run.manifest)
    written = []
    for model in run.models:
        files = run.model_folder(model["name"])
        if not files.bundle.is_file():
            continue
        with suppress(BundleError):  # `pegboard verify` tells what is wrong with a bundle
            info = replace(read_info(files.bundle), figures=model, data=data)
            card = model_card(info)
            write_text_atomically(files.card, to_markdown(card))
            write_text_atomically(files.card_page, to_html(card))
            written.append(files.card)
    return written
