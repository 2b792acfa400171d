"""The report: one self-contained HTML page made from a run folder, and its figures."""

from pegboard.report.render import write_report

__all__ = ["write_report"]
