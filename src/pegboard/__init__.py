"""pegboard: from an untidy folder of labelled photos to a classifier you can trust and ship.

>>> import pegboard
>>> run = pegboard.compare("photos/", models="probe,cnn4")      # doctest: +SKIP
>>> run.leaderboard                                             # doctest: +SKIP
>>> run.load().predict("photo.jpg")                             # doctest: +SKIP

Importing the package costs nothing: each public name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pegboard.api import check as check
    from pegboard.api import compare as compare
    from pegboard.api import load as load
    from pegboard.api import open_run as open_run
    from pegboard.check_results import Check as Check
    from pegboard.errors import PegboardError as PegboardError
    from pegboard.estimator import ImageClassifier as ImageClassifier
    from pegboard.loaded import Model as Model
    from pegboard.loaded import PredictionList as PredictionList
    from pegboard.results import Run as Run
    from pegboard.rows import Prediction as Prediction

__version__ = "0.1.0"

_HOMES = {
    "Check": "pegboard.check_results",
    "ImageClassifier": "pegboard.estimator",
    "Model": "pegboard.loaded",
    "PegboardError": "pegboard.errors",
    "Prediction": "pegboard.rows",
    "PredictionList": "pegboard.loaded",
    "Run": "pegboard.results",
    "check": "pegboard.api",
    "compare": "pegboard.api",
    "load": "pegboard.api",
    "open_run": "pegboard.api",
}

__all__ = [
    "Check",
    "ImageClassifier",
    "Model",
    "PegboardError",
    "Prediction",
    "PredictionList",
    "Run",
    "__version__",
    "check",
    "compare",
    "load",
    "open_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
