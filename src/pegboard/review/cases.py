"""What is looked at: one case per photo, the most useful first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pegboard.audit.findings import Finding
from pegboard.errors import PegboardError
from pegboard.evaluate import Predictions

DISAGREE = "reviewers-disagree"
"""Code of a photo about which two reviewers decided differently."""

STAGES = (
    DISAGREE, "label-conflict", "leak", "label-suspect", "outlier", "near-duplicate", "duplicate",
    "low-information", "blurry", "dark", "bright", "odd-size", "odd-aspect", "grey",
)  # fmt: skip
"""Kinds of findings about which a person decides photo by photo, the most useful first.

One photo under two labels and a photo of the test in training spoil what is learned and what is
measured, and are nearly always real. Wrong labels come next, surest first. Copies are kept in
one split without anybody's help, and a dark photo is a photo all the same. One kind is finished
before the next begins: people are faster with one question at a time, and it shows when a kind
is no longer worth the time.
"""

PAIRS = frozenset(("label-conflict", "leak", "near-duplicate", "duplicate"))
"""Kinds that are about two photos."""


@dataclass(frozen=True)
class Case:
    """One photo, and everything that was found about it.

    Attributes
    ----------
    path
        As in every output.
    label
        Its class in the source; "" where there are no classes.
    findings
        Most useful first; at least one.
    suggestion
        The class it may belong to; "" where none is suggested.
    """

    path: str
    label: str
    findings: tuple[Finding, ...]
    suggestion: str = ""

    @property
    def kind(self) -> str:
        """Code of the finding for which the photo is looked at."""
        return self.findings[0].code

    @property
    def score(self) -> float:
        """How surely that is a problem, 0 to 1."""
        return self.findings[0].score

    @property
    def others(self) -> tuple[str, ...]:
        """Photos that this one is a copy of, or nearly."""
        pairs = (one.other_path for one in self.findings if one.code in PAIRS and one.other_path)
        return tuple(dict.fromkeys(pairs))


@dataclass(frozen=True)
class Queue:
    """All cases in order, and what could not become one.

    ``missing`` counts findings about photos that are not in the source any more; ``elsewhere``
    findings that no decision about one photo settles (damaged files, classes), by code.
    """

    cases: tuple[Case, ...]
    missing: int = 0
    elsewhere: Mapping[str, int] | None = None

    def kinds(self) -> dict[str, list[int]]:
        """Return the numbers of the cases of each kind, in order."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for number, case in enumerate(self.cases):
            found[case.kind].append(number)
        return dict(found)


def queue_of(
    findings: Iterable[Finding], labels: Mapping[str, str | None], classes: Collection[str]
) -> Queue:
    """Put findings into the order in which they are looked at.

    Parameters
    ----------
    findings
        Of a check; those that are only noted (``info``) are not looked at.
    labels
        Class of every photo in the source, by path.
    classes
        All classes: a suggestion that is none of them is no label.
    """
    by_photo: defaultdict[str, list[Finding]] = defaultdict(list)
    elsewhere: defaultdict[str, int] = defaultdict(int)
    missing = 0
    for finding in findings:
        if not finding.counts:
            continue
        if finding.code not in STAGES:
            elsewhere[finding.code] += 1
        elif finding.path not in labels:
            missing += 1
        else:
            for one in _sides(finding, labels):
                by_photo[one.path].append(one)
    cases = [_case(path, found, labels, classes) for path, found in by_photo.items()]
    return Queue(tuple(sorted(cases, key=_usefulness)), missing, dict(elsewhere))


def _sides(finding: Finding, labels: Mapping[str, str | None]) -> Sequence[Finding]:
    """Return a finding as it looks from each photo: either of two labels may be the wrong one."""
    if finding.code != "label-conflict" or finding.other_path not in labels:
        return [finding]
    suggestion = finding.suggestion
    back = replace(finding, path=finding.other_path, other_path=finding.path)
    return [
        replace(finding, suggestion=suggestion or labels[finding.other_path] or ""),
        replace(back, suggestion=suggestion or labels[finding.path] or ""),
    ]


def _case(
    path: str,
    found: Sequence[Finding],
    labels: Mapping[str, str | None],
    classes: Collection[str],
) -> Case:
    label = labels[path] or ""
    ordered = sorted(found, key=lambda one: (STAGES.index(one.code), -one.score, one.other_path))
    suggested = (one.suggestion for one in ordered if one.suggestion in classes)
    suggestion = next((name for name in suggested if name != label), "")
    return Case(path, label, tuple(ordered), suggestion)


def _usefulness(case: Case) -> tuple[int, float, str]:
    return STAGES.index(case.kind), -case.score, case.path


# --- a run's answers ----------------------------------------------------------------------


def parse_cell(text: str, classes: Sequence[str]) -> tuple[str, str]:
    """Return the two classes of ``TRUE,PREDICTED``; a class's own name may hold commas.

    Raises
    ------
    PegboardError
        When they are not two classes of the run.
    """
    for name in classes:
        if text.startswith(f"{name},") and text[len(name) + 1 :] in classes:
            return name, text[len(name) + 1 :]
    raise PegboardError(
        f"--cell: expected TRUE,PREDICTED with two of the classes {', '.join(classes)}; "
        f"found {text!r}"
    )


def cell_findings(
    model: str,
    predictions: Iterable[Predictions],
    cell: tuple[str, str] | None = None,
) -> list[Finding]:
    """Return a model's answers that are not the label, as findings; or all those of one cell.

    The score is the probability of the answer: the surer the model, the more likely it is the
    label that is wrong. For a cell of right answers it is what is left of it to 1.
    """
    findings = []
    for part in predictions:
        answers = part.probabilities.argmax(axis=1)
        for row, (path, true, answer) in enumerate(
            zip(part.paths, part.labels, answers, strict=True)
        ):
            names = part.classes[int(true)], part.classes[int(answer)]
            if names != cell if cell else true == answer:
                continue
            sure = float(part.probabilities[row, answer])
            findings.append(
                Finding(
                    path,
                    "label-suspect",
                    "warning",
                    min(1.0, sure if true != answer else 1 - sure),
                    suggestion=names[1] if true != answer else "",
                    explanation=f"{model} says {names[1]}, {sure:.0%} sure",
                )
            )
    return findings
