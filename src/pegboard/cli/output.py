"""What a command prints: one line of error, text, or JSON."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import click


def tell(text: str) -> None:
    """Print one line to standard error, whatever a file name in it holds."""
    encoding = sys.stderr.encoding or "utf-8"
    line = f"pegboard: {text}".replace("\n", " ")
    with suppress(OSError):
        click.echo(line.encode(encoding, "replace").decode(encoding), err=True)


def show(text: str) -> None:
    """Print text; an output that cannot show a character gets "?"."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding))


def show_json(data: Any) -> None:
    """Print strict JSON."""
    from pegboard.runs import json_text

    click.echo(json_text(data))
