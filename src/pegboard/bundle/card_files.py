"""A model card as Markdown and as a page. Every text in it is escaped here, and only here."""

from __future__ import annotations

import re
import unicodedata

from pegboard.bundle.card import Block, Command, Facts, Grid, ModelCard, Paragraph, Points


def to_markdown(card: ModelCard) -> str:
    """Return the card as Markdown (CommonMark with tables).

    Names show as they are, whatever they hold: what Markdown or HTML would take for markup is
    escaped.
    """
    lines = [f"# {_escaped(card.title)}", "", _escaped(card.lead), ""]
    for section in card.sections:
        lines += [f"## {_escaped(section.title)}", ""]
        for block in section.blocks:
            lines += [*_markdown(block), ""]
    return "\n".join(lines)


def _markdown(block: Block) -> list[str]:
    match block:
        case Paragraph(text):
            return [_escaped(text)]
        case Points(items):
            return [f"- {_escaped(item)}" for item in items]
        case Facts(rows):
            return [f"- {_escaped(name)}: {_escaped(text)}" for name, text in rows]
        case Command(text):
            return [f"    {visible(text)}"]
        case Grid(header, rows):
            rule = ["---", *["---:"] * (len(header) - 1)]
            cells = [map(_escaped, header), rule, *(map(_escaped, row) for row in rows)]
            return [f"| {' | '.join(row)} |" for row in cells]


def _escaped(text: str) -> str:
    plain = re.sub(r"([\\`*\[\]|~$])", r"\\\1", visible(text))
    # Not every reader of Markdown takes \< for a character; all take the entity.
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", plain)  # within a word it is no markup
    plain = re.sub(r"^([#+=-])", r"\\\1", plain)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", plain)


def visible(text: str) -> str:
    """Return text on one line, without characters that hide or reorder what stands there.

    Control characters, bidirectional overrides and bytes that are no Unicode become U+FFFD.
    """
    return "".join("\N{REPLACEMENT CHARACTER}" if _hides(letter) else letter for letter in text)


def _hides(letter: str) -> bool:
    if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp"):
        return True
    return unicodedata.bidirectional(letter) in ("LRE", "RLE", "LRO", "RLO", "PDF") or (
        unicodedata.bidirectional(letter) in ("LRI", "RLI", "FSI", "PDI")
    )


def to_html(card: ModelCard) -> str:
    """Return the card as a page that loads nothing from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("pegboard.bundle"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("card.html.j2").render(card=card)
