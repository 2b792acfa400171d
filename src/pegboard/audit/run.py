"""Run the checks one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pegboard.audit.findings import SEVERITIES, Finding, NotApplicable, Outcome
from pegboard.audit.registry import CHECKS, Check
from pegboard.audit.subject import Subject
from pegboard.errors import BudgetSpent, FeaturesUnavailable


@dataclass(frozen=True)
class AuditResult:
    """Everything that a check of a source found.

    Attributes
    ----------
    findings
        Sorted by severity, then code, then score (the highest first), then path.
    outcomes
        One per code, in the order of the checks.
    facts
        What checks tell besides findings, by name.
    thresholds
        What decided, by check and name.
    """

    findings: Sequence[Finding]
    outcomes: Sequence[Outcome]
    facts: Mapping[str, Any] = field(default_factory=dict)
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def counted(self) -> list[Finding]:
        """Warnings and errors."""
        return [finding for finding in self.findings if finding.counts]


def run_checks(subject: Subject, checks: Sequence[Check] = CHECKS) -> AuditResult:
    """Run every check; one that cannot look, or finds no time, says so and the rest go on.

    What costs time looks at the subject's budget; what is known already is told in any case.
    """
    findings: list[Finding] = []
    outcomes: list[Outcome] = []
    for check in checks:
        result = _result(check, subject)
        if isinstance(result, NotApplicable):
            outcomes += [
                Outcome(code, "not-applicable", 0, result.why, result.blocked)
                for code in check.CODES
            ]
        else:
            findings += result
            outcomes += _outcomes(check, result)
    return AuditResult(
        sorted(findings, key=_order), outcomes, dict(subject.facts), _thresholds(checks)
    )


def _result(check: Check, subject: Subject) -> list[Finding] | NotApplicable:
    try:
        return check.check(subject)
    except FeaturesUnavailable as error:
        return NotApplicable(str(error), blocked=True)
    except BudgetSpent:
        return NotApplicable("the time budget was spent before it came to this", blocked=True)


def _outcomes(check: Check, findings: Sequence[Finding]) -> list[Outcome]:
    counted = Counter(finding.code for finding in findings if finding.counts)
    noted = Counter(finding.code for finding in findings if not finding.counts)
    assert counted.keys() | noted.keys() <= set(check.CODES)
    return [
        Outcome(
            code,
            "found" if counted[code] else "clean",
            counted[code],
            f"{noted[code]:,} more for information" if noted[code] else "",
        )
        for code in check.CODES
    ]


def _order(finding: Finding) -> tuple[int, str, float, str, str]:
    severity = SEVERITIES.index(finding.severity)
    return severity, finding.code, -finding.score, finding.path, finding.other_path


def _thresholds(checks: Sequence[Check]) -> dict[str, Mapping[str, float]]:
    named = {check.CODES[0]: getattr(check, "THRESHOLDS", {}) for check in checks}
    return {code: dict(values) for code, values in named.items() if values}
