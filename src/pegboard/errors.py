"""What can go wrong for a user, as one tree.

::

    PegboardError            exit code 1: one line, no traceback
      + UnusableImage        one photo cannot be used (reason, detail)
      + SourceError          the data cannot be read or holds too little
      + InputError           photos or labels given from Python do not fit (also a ValueError)
      + LeakError            photos shared between given splits
      + ModelError           a model name, its weights or its input do not fit
      + BundleError          a .pegboard file is not one, is damaged or too new
      + RunFolderError       the output folder cannot be used
      + PlotUnavailable      a run does not hold what a figure shows
      + MissingExtra         an optional part is not installed
      + FeaturesUnavailable  a check needs a backbone's features and cannot have them
    BudgetSpent              the time budget is used up (never reaches the user)
    Interrupted              Ctrl-C, with what to do to go on; exit code 130
    GateFound                exit code 3: a gate found what it looked for

A message says what was expected, what was found and what to do.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType


class PegboardError(Exception):
    """A user's mistake or unusable input, told in one clear line."""

    exit_code = 1


class UnusableImage(PegboardError):
    """One photo cannot be used.

    ``reason`` is one of the reasons in ``intake.json``; ``detail`` says what was found.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class SourceError(PegboardError):
    """The data named by the user cannot be read, or holds too little to learn from."""


class InputError(PegboardError, ValueError):
    """Photos, labels or options given from Python do not fit."""


class LeakError(PegboardError):
    """The same photo lies in two of the given splits."""


class ModelError(PegboardError):
    """A model name, its weights, or the input size it needs do not fit."""


class BundleError(PegboardError):
    """A ``.pegboard`` file is not one, was damaged or altered, or is too new."""


class RunFolderError(PegboardError):
    """The output folder cannot be used as it is."""


class PlotUnavailable(PegboardError):
    """A figure cannot be drawn, because the run does not hold what it shows."""


class MissingExtra(PegboardError):
    """An optional part of pegboard is not installed."""


class FeaturesUnavailable(PegboardError):
    """A check needs the features of a backbone, and cannot have them."""


class BudgetSpent(Exception):
    """The time budget is used up; the caller stops and reports what there is."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of the work: what was done is kept in ``folder``, or in that file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"stopped; what was done is kept in {folder}")
        self.folder = folder


class GateFound(PegboardError):
    """A gate (``check --fail-on``, ``split --verify``, ``verify``) found what it looked for."""

    exit_code = 3


def require_extra(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say which extra installs it.

    Raises
    ------
    MissingExtra
        When the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{module.split('.', maxsplit=1)[0]} is needed here and is not installed; "
            f"install it with: pip install 'pegboard[{extra}]'"
        ) from error
