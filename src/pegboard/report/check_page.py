"""From the folder of a check to its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from pegboard import __version__
from pegboard.audit.codes import BY_NAME, Code
from pegboard.audit.exhibits import shown_findings
from pegboard.audit.findings import Finding
from pegboard.audit.folder import CheckFolder, CheckRecord
from pegboard.audit_words import next_steps, summary, title_of
from pegboard.duplicates import connect, shared
from pegboard.evidence import Evidence
from pegboard.files import write_text_atomically
from pegboard.pictures import read_pictures
from pegboard.report.check_context import CheckContext, Item, Section, Tile
from pegboard.report.gather import date_of, table_of
from pegboard.report.pieces import PhotoView
from pegboard.report.render import page_of
from pegboard.report.store import Pictures
from pegboard.sources.base import short_name
from pegboard.words import count

GROUPED = frozenset(("duplicate", "near-duplicate"))
"""Codes whose pairs are shown as the groups that they form."""

MOST_IN_GROUP = 8

MOST_LINES = 300
"""Characters of a name or an explanation: a page of a thousand findings stays small."""


def write_check_page(folder: CheckFolder) -> Path:
    """Write ``report.html`` of a check from the folder's other files alone.

    Raises
    ------
    PegboardError
        When the folder holds no check, or a file in it is damaged.
    """
    context = build_context(folder)
    page = page_of(
        "check.html.j2", {field.name: getattr(context, field.name) for field in fields(context)}
    )
    write_text_atomically(folder.report, page)
    return folder.report


def build_context(folder: CheckFolder) -> CheckContext:
    """Read the folder and decide what the page says."""
    record, findings = folder.read(), folder.read_findings()
    pictures = _Shown(folder, record, findings)
    counted = [finding for finding in findings if finding.counts]
    return CheckContext(
        version=__version__,
        date=date_of(record.finished),
        name=short_name(Path(record.location).name or record.source),
        subtitle=_subtitle(record),
        tiles=_tiles(record, counted),
        summary=tuple(summary(record, findings)),
        steps=tuple(next_steps(folder, record, findings)),
        sections=tuple(_sections(counted, pictures)),
        clean=tuple(title_of(one.code) for one in record.outcomes if one.state == "clean"),
        not_applicable=tuple(
            (title_of(one.code), one.why)
            for one in record.outcomes
            if one.state == "not-applicable"
        ),
        left_out=tuple((reason, f"{number:,}") for reason, number in record.left_out.items()),
        classes=tuple((label, f"{number:,}") for label, number in record.classes.items()),
        warnings=tuple(_short(warning) for warning in record.warnings[:20]),
        settings=table_of(record.settings),
        thresholds=tuple(
            (name, f"{value:g}") for values in record.thresholds.values()
            for name, value in values.items()
        ),
        versions=table_of(record.versions),
        fingerprint=record.fingerprint,
        location=record.location,
        pictures=tuple(pictures.ids.stored),
    )  # fmt: skip


def _subtitle(record: CheckRecord) -> str:
    classes = f" of {count(len(record.classes), 'class', 'classes')}" if record.classes else ""
    return f"{count(record.used, 'photo')}{classes}, {count(record.found, 'file')} met"


def _tiles(record: CheckRecord, counted: Sequence[Finding]) -> tuple[Tile, ...]:
    severities = Counter(finding.severity for finding in counted)
    files = {finding.path for finding in counted if not finding.path.endswith("/")}
    return (
        Tile("Errors", f"{severities['error']:,}", "what stops a photo from being used, or a test "
             "from being honest"),
        Tile("Warnings", f"{severities['warning']:,}", "what a person should look at"),
        Tile("Photos concerned", f"{len(files):,}", f"of {record.found:,} files"),
        Tile("Kinds", f"{len({finding.code for finding in counted}):,}",
             f"of {len(record.outcomes)} that were looked for"),
    )  # fmt: skip


# --- Sections ----------------------------------------------------------------------------


class _Shown:
    """What the page shows of photos: their pictures, and photos that stand for a class."""

    def __init__(
        self, folder: CheckFolder, record: CheckRecord, findings: Sequence[Finding]
    ) -> None:
        stored = read_pictures(folder.pictures) if folder.pictures.exists() else {}
        kept = {path: name for path, name in record.thumbnails.items() if name in stored}
        self.samples = record.samples
        wanted = (kept[path] for path in self._in_order(findings) if path in kept)
        self.ids = Pictures(Evidence(thumbnails=kept, pictures=stored), wanted)

    def _in_order(self, findings: Sequence[Finding]) -> Iterator[str]:
        for finding in shown_findings(findings):
            yield from (finding.path, finding.other_path)
            for name in (finding.path, finding.other_path):
                yield from self.samples.get(name.removesuffix("/"), ())

    def photo(self, path: str, lines: Sequence[str] = ()) -> PhotoView:
        """Return a photo for the page."""
        picture = self.ids.of(path)
        return PhotoView(_short(path), picture, _short(path), tuple(_short(line) for line in lines))


def _sections(counted: Sequence[Finding], shown: _Shown) -> Iterator[Section]:
    numbers = Counter(finding.code for finding in counted)
    by_code: dict[str, list[Finding]] = {}
    for finding in shown_findings(counted):
        by_code.setdefault(finding.code, []).append(finding)
    with_errors = {finding.code for finding in counted if finding.severity == "error"}
    for code in sorted(by_code, key=lambda code: (code not in with_errors, -numbers[code])):
        found = by_code[code]
        known = BY_NAME.get(code, Code(code, code, "", ""))
        rest = numbers[code] - len(found)
        items = tuple(_items(code, found, shown))
        yield Section(
            code=code,
            title=known.title,
            meaning=known.meaning,
            advice=known.advice,
            count=f"{numbers[code]:,}",
            errors=code in with_errors,
            layout=_layout(found, items),
            items=items,
            more=f"{count(rest, 'other')} in findings.csv" if rest else "",
        )


def _layout(found: Sequence[Finding], items: Sequence[Item]) -> str:
    if found[0].path.endswith("/"):
        return "classes"
    if any(finding.other_path for finding in found):
        return "pairs"
    pictured = any(photo.picture for item in items for photo in item.photos)
    return "photos" if pictured else "files"


def _items(code: str, found: Sequence[Finding], shown: _Shown) -> Iterator[Item]:
    if code in GROUPED:
        yield from _groups(found, shown)
        return
    for finding in found:
        lines = (finding.explanation, f"{finding.severity}, score {finding.score:.2f}")
        yield Item(
            _title(finding),
            tuple(_photos(finding, shown)),
            tuple(_short(line) for line in lines if line),
            finding.severity,
        )


def _title(finding: Finding) -> str:
    if finding.path.endswith("/"):
        name = finding.path.removesuffix("/")
        return f"{name}: --merge {finding.suggestion}" if finding.suggestion else name
    return f"rather {finding.suggestion}" if finding.suggestion else ""


def _photos(finding: Finding, shown: _Shown) -> Iterator[PhotoView]:
    for name in (finding.path, finding.other_path):
        if name.endswith("/"):
            label = name.removesuffix("/")
            lines = (label,) if finding.other_path else ()
            yield from (shown.photo(path, lines) for path in shown.samples.get(label, ()))
        elif name:
            yield shown.photo(name)


def _groups(found: Sequence[Finding], shown: _Shown) -> Iterator[Item]:
    """Join pairs into groups, in the order of their surest pair."""
    paths = list(dict.fromkeys(path for one in found for path in (one.path, one.other_path)))
    place = {path: index for index, path in enumerate(paths)}
    edges = [(place[one.path], place[one.other_path]) for one in found]
    first: Mapping[int, Finding] = {
        place[path]: one for one in reversed(found) for path in (one.path, one.other_path)
    }
    for group in shared(connect(len(paths), edges)):
        finding = first[group[0]]
        more = [f"and {len(group) - MOST_IN_GROUP} more"] if len(group) > MOST_IN_GROUP else []
        size = [f"{len(group)} photos"] if len(group) > 2 else []
        lines = (*size, finding.explanation, *more)
        yield Item(
            "",
            tuple(shown.photo(paths[index]) for index in group[:MOST_IN_GROUP]),
            tuple(_short(line) for line in lines if line),
            finding.severity,
        )


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST_LINES else f"{text[:MOST_LINES]}…"
