"""The history of runs: list them, say what changed from one to another, remove some."""

from pegboard.history.comparison import RunComparison, compare_runs
from pegboard.history.entries import BestModel, RunEntry, find_run, list_runs, read_entry
from pegboard.history.removal import Removal, plan_removal, remove_runs

__all__ = [
    "BestModel",
    "Removal",
    "RunComparison",
    "RunEntry",
    "compare_runs",
    "find_run",
    "list_runs",
    "plan_removal",
    "read_entry",
    "remove_runs",
]
