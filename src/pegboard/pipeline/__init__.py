"""The main job: from a source to a run folder with leaderboard, report and bundles.

``comparison`` tells it from the first check to the report. The stages stand in modules of their
own: ``resume`` and ``before`` find what an earlier run leaves, ``rounds`` says what is trained
on what, ``training`` trains, ``answering`` opens the test set, ``deployment`` makes each model a
file, ``scoring`` makes the figures, ``finishing`` the report. All of them work on one
``active_run``; ``reserves`` keeps a budget's last seconds for the later ones.
"""

from pegboard.pipeline.comparison import compare

__all__ = ["compare"]
