"""Where pegboard keeps what it can make again: features, backbones, named downloads."""

from __future__ import annotations

import os
from pathlib import Path

from pegboard.errors import PegboardError


def cache_folder() -> Path:
    """Return the cache folder, created if need be.

    ``$PEGBOARD_CACHE``, else ``$XDG_CACHE_HOME/pegboard``, else ``~/.cache/pegboard``.

    Raises
    ------
    PegboardError
        When the folder cannot be created.
    """
    folder = _wanted_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PegboardError(
            f"the cache folder {folder} cannot be created ({error.strerror}); "
            "set PEGBOARD_CACHE to a folder you may write to"
        ) from error
    return folder


def _wanted_folder() -> Path:
    own = os.environ.get("PEGBOARD_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification says that a relative value is to be ignored.
    if shared and Path(shared).is_absolute():
        return Path(shared) / "pegboard"
    try:
        home = Path.home()
    except RuntimeError as error:
        raise PegboardError(
            "no home folder is known for the cache; set PEGBOARD_CACHE to a folder you may write to"
        ) from error
    return home / ".cache" / "pegboard"
