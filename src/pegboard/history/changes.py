"""What changed from one run to another before anything was trained: photos and settings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pegboard.manifest import ManifestRow, fingerprint

Json = Mapping[str, Any]


@dataclass(frozen=True)
class PhotoChange:
    """One photo of both runs that has another label, or lies in another split."""

    path: str
    sha256: str
    before: str
    after: str


@dataclass(frozen=True)
class DataChange:
    """What changed in the photos. A photo is the same when its contents are.

    Attributes
    ----------
    same
        Whether paths, labels, splits and contents are all equal.
    photos
        Used in A and in B.
    left_out
        Files left out in A and in B.
    added, removed
        Photos of only one of the runs.
    relabelled, moved
        Photos with another label, or in another split. A photo can be both.
    renamed
        Number of photos with another path.
    classes_added, classes_removed
        Names.
    """

    same: bool
    photos: tuple[int, int]
    left_out: tuple[int, int]
    added: tuple[ManifestRow, ...]
    removed: tuple[ManifestRow, ...]
    relabelled: tuple[PhotoChange, ...]
    moved: tuple[PhotoChange, ...]
    renamed: int
    classes_added: tuple[str, ...]
    classes_removed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "same": self.same,
            "photos": _both(self.photos),
            "left_out": _both(self.left_out),
            "added": [_row_json(row) for row in self.added],
            "removed": [_row_json(row) for row in self.removed],
            "relabelled": [asdict(change) for change in self.relabelled],
            "moved": [asdict(change) for change in self.moved],
            "renamed": self.renamed,
            "classes_added": list(self.classes_added),
            "classes_removed": list(self.classes_removed),
        }


def _both(pair: tuple[int, int]) -> dict[str, int]:
    return {"a": pair[0], "b": pair[1]}


def _row_json(row: ManifestRow) -> dict[str, str]:
    return {"path": row.path, "label": row.label, "split": row.split, "sha256": row.sha256}


def data_change(
    a: Sequence[ManifestRow], b: Sequence[ManifestRow], left_out: tuple[int, int] = (0, 0)
) -> DataChange:
    """Compare two manifests by the contents of the photos."""
    pairs, removed, added = pair_photos(a, b)
    labels, labels_after = ({row.label for row in rows} for rows in (a, b))
    return DataChange(
        same=fingerprint(a) == fingerprint(b),
        photos=(len(a), len(b)),
        left_out=left_out,
        added=tuple(added),
        removed=tuple(removed),
        relabelled=tuple(
            PhotoChange(after.path, after.sha256, before.label, after.label)
            for before, after in pairs
            if before.label != after.label
        ),
        moved=tuple(
            PhotoChange(after.path, after.sha256, before.split, after.split)
            for before, after in pairs
            if before.split != after.split
        ),
        renamed=sum(before.path != after.path for before, after in pairs),
        classes_added=tuple(sorted(labels_after - labels)),
        classes_removed=tuple(sorted(labels - labels_after)),
    )


def pair_photos(
    a: Iterable[ManifestRow], b: Iterable[ManifestRow]
) -> tuple[list[tuple[ManifestRow, ManifestRow]], list[ManifestRow], list[ManifestRow]]:
    """Pair photos of equal contents; copies of one photo are paired by path where they can be.

    Returns
    -------
    The pairs, the photos that only ``a`` has, and those that only ``b`` has, by path.
    """
    copies: dict[str, tuple[list[ManifestRow], list[ManifestRow]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((a, b)):
        for row in sorted(rows, key=lambda row: row.path):
            copies[row.sha256][side].append(row)
    pairs: list[tuple[ManifestRow, ManifestRow]] = []
    removed: list[ManifestRow] = []
    added: list[ManifestRow] = []
    for before, after in copies.values():
        matched = _by_path(before, after)
        pairs += matched
        taken = {row.path for pair in matched for row in pair[:1]}
        rest = [row for row in before if row.path not in taken]
        rest_after = [row for row in after if row.path not in taken]
        number = min(len(rest), len(rest_after))
        pairs += zip(rest[:number], rest_after[:number], strict=True)
        removed += rest[number:]
        added += rest_after[number:]
    return pairs, _sorted(removed), _sorted(added)


def _by_path(
    before: Iterable[ManifestRow], after: Iterable[ManifestRow]
) -> list[tuple[ManifestRow, ManifestRow]]:
    rows = {row.path: row for row in before}
    return [(rows[row.path], row) for row in after if row.path in rows]


def _sorted(rows: Iterable[ManifestRow]) -> list[ManifestRow]:
    return sorted(rows, key=lambda row: row.path)


def tally(names: Iterable[str]) -> list[tuple[str, int]]:
    """Count names, the commonest first, equal ones by name."""
    return sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True)
class ValueChange:
    """One setting, version or fact that differs; None where a run does not state it."""

    name: str
    a: Any
    b: Any


def settings_changes(a: Json, b: Json) -> list[ValueChange]:
    """Compare what the user asked for and what was decided for the models of both runs.

    Parameters
    ----------
    a, b
        As in ``run.json``.
    """
    changes = value_changes(a.get("settings"), b.get("settings"))
    changes += value_changes(
        {"fit chosen": (a.get("fit") or {}).get("chosen")},
        {"fit chosen": (b.get("fit") or {}).get("chosen")},
    )
    plans, plans_after = a.get("models") or {}, b.get("models") or {}
    for name in plans:
        if name in plans_after:
            changes += value_changes(_plan(plans[name]), _plan(plans_after[name]), name)
    return changes


def _plan(plan: Json) -> dict[str, Any]:
    """Return a model's plan without what is only true on one machine: where weights lie."""
    weights = {key: value for key, value in (plan.get("weights") or {}).items() if key != "path"}
    return {**plan, "weights": weights}


def version_changes(a: Json, b: Json) -> list[ValueChange]:
    """Compare the versions of the packages two runs were made with."""
    return value_changes(a.get("versions"), b.get("versions"))


def machine_changes(a: Json, b: Json) -> list[ValueChange]:
    """Compare the machines two runs were made on."""
    facts, facts_after = (
        {key: value for key, value in (run.get("machine") or {}).items() if key != "versions"}
        for run in (a, b)
    )
    return value_changes(facts, facts_after)


def value_changes(a: Any, b: Any, prefix: str = "") -> list[ValueChange]:
    """Compare two JSON values; nested ones are named ``recipe.phases.0.epochs``."""
    before, after = dict(_flat(a or {}, prefix)), dict(_flat(b or {}, prefix))
    return [
        ValueChange(name, before.get(name), after.get(name))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = enumerate(value)
    else:
        yield name, value
        return
    for key, item in items:
        yield from _flat(item, f"{name}.{key}" if name else str(key))
