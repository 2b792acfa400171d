"""Corrections of labels: an append-only table of decisions about photos.

Photos are never touched. A later line about a photo replaces an earlier one; what holds is
what is left when all lines are read in order. :class:`CorrectionsLog` writes them,
:func:`apply_corrections` applies them when photos are taken in.
"""

from pegboard.corrections.applying import apply_corrections
from pegboard.corrections.changes import LabelChange, decisions_by_action, label_changes
from pegboard.corrections.ledger import Ledger
from pegboard.corrections.lines import ACTIONS, COLUMNS, Correction, read_corrections
from pegboard.corrections.log import CorrectionsLog
from pegboard.corrections.merging import Conflict, Merged, merge_corrections

__all__ = [
    "ACTIONS",
    "COLUMNS",
    "Conflict",
    "Correction",
    "CorrectionsLog",
    "LabelChange",
    "Ledger",
    "Merged",
    "apply_corrections",
    "decisions_by_action",
    "label_changes",
    "merge_corrections",
    "read_corrections",
]
