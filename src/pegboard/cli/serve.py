"""``serve``: a bundle behind HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pegboard.cli.options import debug_option, json_option, threads_option
from pegboard.cli.output import show_json, tell

_MODULES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


@click.command("serve")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port; 0 for one that is free.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="A host name to answer to, besides addresses and localhost.",
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ask for the key in FILE (default: the one in PEGBOARD_API_KEY, if any).",
)
@click.option(
    "--behind-https",
    "is_https",
    is_flag=True,
    help="A proxy before it speaks HTTPS with the browsers: cookies are for HTTPS alone.",
)
@click.option(
    "--feedback",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Let the page store photos with corrections, if their senders agree.",
)
@click.option(
    "--drift",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep the counts of the page about drift in FILE.",
)
@click.option(
    "--max-upload",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="MB",
    help="Most MiB of one request.",
)
@click.option(
    "--max-photos",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Most photos of one request.",
)
@click.option(
    "--max-megapixels",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Largest photo.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="An answer that takes longer is given up with a 503.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Photos that may wait; more get a 503.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=4096,
    show_default=True,
    help="Connections at once; the one that stalls longest makes room.",
)
@threads_option
@json_option
@debug_option
def serve_command(bundle: Path, as_json: bool, debug: bool, **options: Any) -> None:
    """Answer requests about photos over HTTP, and on a page with a camera.

    The model is read again when its file changes, or on SIGHUP. Ctrl-C or SIGTERM answers what
    was taken, then ends.

    \b
    pegboard serve hammers.pegboard
    curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/predict
    """
    from pegboard.errors import require_extra

    for module in _MODULES:
        require_extra(module, "serve")
    from pegboard.serve.server import ModelServer

    server = ModelServer(bundle, _settings(**options))
    server.run(ready=lambda: _tell(server, as_json))


def _tell(server: Any, as_json: bool) -> None:
    model = server.models.current()
    if as_json:
        show_json({"address": server.address, "model": model.name, "sha256": model.sha256})
        sys.stdout.flush()
        return
    tell(f"serving {model.name}: {server.address}")
    tell("Ctrl-C ends it once all that was asked is answered")


def _settings(
    api_key_file: Path | None,
    max_upload: int,
    max_photos: int,
    max_megapixels: int,
    timeout: float,
    queue: int,
    max_connections: int,
    **options: Any,
) -> Any:
    from pegboard.serve.access import find_key
    from pegboard.serve.limits import Limits
    from pegboard.serve.server import Settings

    limits = Limits(
        body_bytes=max_upload << 20,
        photos=max_photos,
        pixels=max_megapixels * 1_000_000,
        seconds=timeout,
        queue=queue,
        connections=max_connections,
    )
    return Settings(key=find_key(api_key_file), limits=limits, **options)
