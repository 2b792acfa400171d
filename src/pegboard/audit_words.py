"""A check in words: what was found, and which command to type next.

The terminal and the report say the same sentences.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pegboard.audit.codes import BY_NAME
from pegboard.audit.findings import Finding
from pegboard.audit.folder import DEFAULT, CheckFolder, CheckRecord
from pegboard.words import count, left_out_sentence, listing

REVIEWED = frozenset((
    "label-suspect", "label-conflict", "outlier", "duplicate", "near-duplicate", "dark", "bright",
    "blurry", "low-information", "odd-size", "odd-aspect", "grey",
))  # fmt: skip
"""Codes about single photos that people decide on, one by one."""

_COLUMNS = ("path_column", "label_column", "split_column", "group_column")


@dataclass(frozen=True)
class Step:
    """A command to type next, and what it is good for."""

    why: str
    command: str


def summary(record: CheckRecord, findings: Sequence[Finding]) -> list[str]:
    """Say what was looked at and what was found, the most important first."""
    return [_looked_at(record), _found(findings), *_facts(record.facts)]


def _looked_at(record: CheckRecord) -> str:
    classes = f" in {count(len(record.classes), 'class', 'classes')}" if record.classes else ""
    used = f"{count(record.used, 'photo')}{classes} checked"
    if not record.left_out:
        return f"{used}; every file can be used."
    return f"{used}. {left_out_sentence(record.left_out)}"


def _found(findings: Sequence[Finding]) -> str:
    counted = [finding for finding in findings if finding.counts]
    if not counted:
        return "Nothing was found that needs a decision."
    errors = sum(finding.severity == "error" for finding in counted)
    kinds = len({finding.code for finding in counted})
    told = [
        count(number, noun)
        for number, noun in ((errors, "error"), (len(counted) - errors, "warning"))
        if number
    ]
    return f"{listing(told)} of {count(kinds, 'kind')}."


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what checks say of the whole: a fact's ``words``."""
    for fact in facts.values():
        if isinstance(fact, dict) and isinstance(fact.get("words"), str):
            yield fact["words"]


def title_of(code: str) -> str:
    """Return a code's name for people; one of a newer pegboard stands as it is."""
    return BY_NAME[code].title if code in BY_NAME else code


def next_steps(folder: CheckFolder, record: CheckRecord, findings: Sequence[Finding]) -> list[Step]:
    """Return the commands that use the findings, in the order to type them."""
    codes = {finding.code for finding in findings if finding.counts}
    # Reviewing needs no columns: it knows them from check.json.
    review = ["pegboard", "review", record.source]
    if folder.path != DEFAULT:
        review += ["--findings", str(folder.path)]
    compare = ["pegboard", "compare", record.source, *source_options(record.settings)]
    for suggestion in _merges(record.settings, findings):
        compare += ["--merge", suggestion]
    steps = []
    decided = folder.corrections.exists()
    if codes & REVIEWED:
        steps.append(Step("Decide, photo by photo:", shlex.join(review)))
        decided = True
    if decided and record.classes:
        with_them = [*compare, "--corrections", str(folder.corrections)]
        steps.append(Step("Train with what was decided:", shlex.join(with_them)))
    elif record.classes:
        steps.append(Step("Train and compare models:", shlex.join(compare)))
    return steps


def source_options(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options that read a source as a check or run did."""
    for name in _COLUMNS:
        default = name.removesuffix("_column")
        if settings.get(name, default) != default:
            yield from (f"--{name.replace('_', '-')}", str(settings[name]))
    for before, into in (settings.get("merge") or {}).items():
        yield from ("--merge", f"{before}={into}")
    for name in settings.get("exclude_class") or ():
        yield from ("--exclude-class", str(name))


def _merges(settings: Mapping[str, Any], findings: Sequence[Finding]) -> list[str]:
    """Return what ``--merge`` is suggested, each class once."""
    merged = set(settings.get("merge") or {})
    wanted = []
    for finding in findings:
        name = finding.path.removesuffix("/")
        if finding.code == "class-name-variant" and name not in merged:
            merged.add(name)
            wanted.append(finding.suggestion)
    return wanted
