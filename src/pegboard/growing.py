"""The trained model that a comparison goes on from: what it is, and which photos it has seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pegboard.bundle import Bundle, BundleInfo, read_bundle
from pegboard.errors import LeakError, ModelError, PegboardError
from pegboard.manifest import ManifestRow, read_manifest
from pegboard.models.registry import ModelName, parse_model_name
from pegboard.models.weights import ResolvedWeights
from pegboard.photos import Photo, SplitName
from pegboard.runs import RUNS, RunFolder, read_json
from pegboard.settings import CompareSettings

if TYPE_CHECKING:
    from pegboard.models.start import Start

_NAMED = 3


@dataclass(frozen=True)
class Origin:
    """A model to go on from.

    Attributes
    ----------
    bundle
        Its file, read and found whole.
    weights
        ``weights.safetensors`` of its training; None where the run is not to be found.
    seen
        Split of every photo of its run, by checksum; None where that is not known.
    """

    bundle: Bundle
    weights: Path | None = None
    seen: Mapping[str, SplitName] | None = None
    name: ModelName = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", parse_model_name(self.info.name))

    @property
    def info(self) -> BundleInfo:
        """What the file says."""
        return self.bundle.info

    @property
    def file(self) -> Path:
        """What holds the weights: of the training, else the bundle."""
        return self.weights or self.bundle.path

    def sha256(self) -> str:
        """Return the checksum of :attr:`file`."""
        return _sha256(self.file)

    def start(self) -> Start:
        """Return the weights that another training begins with."""
        from pegboard.models.start import Start  # noqa: PLC0415  (it takes PyTorch)

        return Start(self.name, self.file, self.sha256(), self.info.classes)

    def begins(self, name: ModelName) -> bool:
        """Whether a model can start with this one's weights."""
        tuned = {"frozen", "finetune"}
        return name.base == self.name.base and (
            name.mode == self.name.mode or {name.mode, self.name.mode} <= tuned
        )

    def kept(self, previous: Mapping[str, SplitName] | None) -> Mapping[str, SplitName] | None:
        """Return assignments to keep: those given, but for what this model has seen."""
        return previous if self.seen is None else {**(previous or {}), **self.seen}


def open_origin(settings: CompareSettings) -> Origin | None:
    """Read the bundle that ``--from`` names, and look for the run it came from.

    That is the folder it lies in, or a run in ``pegboard-runs/`` or where the new one goes that
    has the very same file.

    Raises
    ------
    BundleError
        When it is no whole bundle.
    PegboardError
        When another setting contradicts it.
    """
    if settings.from_bundle is None:
        return None
    bundle = read_bundle(settings.from_bundle)
    _check_settings(settings, bundle)
    for run in _runs_near(bundle.path, settings):
        folder = run.model(bundle.info.slug)
        with suppress(PegboardError, OSError):
            if _sha256(folder.bundle) == _sha256(bundle.path):
                weights = folder.weights if folder.weights.is_file() else None
                return Origin(bundle, weights, _seen(run, bundle.info))
    return Origin(bundle)


def _check_settings(settings: CompareSettings, bundle: Bundle) -> None:
    spec, said = bundle.info.input, f"--from {settings.from_bundle}"
    if settings.folds:
        raise PegboardError(
            f"{said} and --folds exclude each other: every photo is tested once, those that the "
            "model was trained on too"
        )
    if settings.fit not in ("auto", spec.fit):
        raise PegboardError(f"{said} was trained with --fit {spec.fit}, which stays; got another")
    if settings.image_size not in (None, spec.height):
        raise PegboardError(f"{said} sees {spec.height} px, which stay; leave --image-size out")
    if settings.recipe == "notebook" and bundle.info.recipe.get("name") != "notebook":
        raise PegboardError(
            f"{said} was not trained by the notebooks' recipe, which has another head"
        )


def _runs_near(bundle: Path, settings: CompareSettings) -> Iterator[RunFolder]:
    places = [RUNS, settings.out.parent] if settings.out else [RUNS]
    own = bundle.resolve().parents[2:3]
    candidates = [*own, *(file.parent for place in places for file in place.glob("*/run.json"))]
    for folder in dict.fromkeys(path.resolve() for path in candidates):
        run = RunFolder(folder)
        if run.is_ours():
            yield run


def _seen(run: RunFolder, info: BundleInfo) -> Mapping[str, SplitName] | None:
    """Return the split of the run's photos; all were trained on where there were folds."""
    if read_json(run.run).get("fingerprint") != info.fingerprint:
        return None
    rows = read_manifest(run.manifest)
    if info.data.get("folds"):
        return dict.fromkeys((row.sha256 for row in rows), "train")
    return {row.sha256: row.split for row in rows}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- what fits ---------------------------------------------------------------------------


def check_models(origin: Origin, names: Sequence[ModelName]) -> None:
    """Refuse models of which none can start with these weights.

    Raises
    ------
    ModelError
        With the name of the one that can.
    """
    if not any(origin.begins(name) for name in names):
        asked = ", ".join(name.typed for name in names)
        raise ModelError(
            f"--from {origin.bundle.path} holds a model {origin.info.name}, and --models asks for "
            f"{asked}; leave --models out, or name {origin.info.name} among them"
        )


def check_weights(origin: Origin, weights: Mapping[str, ResolvedWeights]) -> None:
    """Refuse another pretrained backbone than the model stands on.

    Raises
    ------
    ModelError
        When the backbone's weights come from elsewhere.
    """
    own, found = origin.info.weights.get("source"), weights.get(origin.name.base)
    if origin.name.needs_weights and found is not None and own != found.source:
        raise ModelError(
            f"--from {origin.bundle.path} stands on the weights {own} of {origin.name.base}, found "
            f"{found.source}; give the same --weights {origin.name.base}=FILE"
        )


def check_start(
    origin: Origin,
    names: Sequence[ModelName],
    weights: Mapping[str, ResolvedWeights],
    recipe: str,
) -> None:
    """Refuse a file that does not hold the weights as they were trained.

    An exported network has batch normalisation folded into other weights; without the run it
    came from it cannot be trained on. That is known before any photo is read.

    Raises
    ------
    ModelError
        With what to name instead.
    """
    if origin.weights is not None:
        return
    from pegboard.models.build import build_model  # noqa: PLC0415
    from pegboard.models.start import begin_with  # noqa: PLC0415

    start = origin.start()
    for name in filter(origin.begins, names):
        own = weights.get(name.base)
        module = build_model(name, len(start.classes), origin.info.input, own, recipe=recipe)
        begin_with(module, start, start.classes)


def check_photos(origin: Origin, photos: Iterable[Photo]) -> None:
    """Refuse colour photos for a model that sees grey.

    Raises
    ------
    ModelError
        With one of the photos.
    """
    if origin.info.input.channels == 1:
        colour = next((photo for photo in photos if photo.channels == 3), None)
        if colour is not None:
            raise ModelError(
                f"--from {origin.bundle.path} sees grey photos, and {colour.path} is in colour; "
                "train a new model, without --from"
            )


# --- what it has seen --------------------------------------------------------------------


def check_unseen(origin: Origin, rows: Iterable[ManifestRow], *, allow_leaks: bool) -> None:
    """Refuse to test on photos that the model was trained or validated on.

    Only a split that the source itself gives can put them there.

    Raises
    ------
    LeakError
        With the first of them.
    """
    seen = origin.seen or {}
    leaking = [
        row.path
        for row in rows
        if row.split == "test" and seen.get(row.sha256) in ("train", "validation")
    ]
    if leaking and not allow_leaks:
        raise LeakError(
            f"--from {origin.bundle.path}: {len(leaking)} photos given as test photos were in its "
            f"training or validation ({', '.join(leaking[:_NAMED])}); leave them out, or go on "
            "with --allow-leaks"
        )


def growth_notes(origin: Origin, rows: Sequence[ManifestRow]) -> list[str]:
    """Say what the user should know before believing the figures."""
    file = origin.bundle.path.name
    classes, before = {row.label for row in rows}, set(origin.info.classes)
    new, gone = sorted(classes - before), sorted(before - classes)
    notes = []
    if new:
        notes.append(f"classes that {file} did not know: {', '.join(new)}")
    if gone:
        notes.append(
            f"classes of {file} without photos here: {', '.join(gone)}; the new model will not "
            "know them"
        )
    if origin.seen is None:
        return [
            *notes,
            f"the run that {file} came from was not found, so it is not known which photos it "
            "learned from: if some are among the test photos now, figures are too good; to be "
            "sure, name the file inside its run folder, or test on photos taken since",
        ]
    here = {row.sha256 for row in rows}
    absent = sum(checksum not in here for checksum in origin.seen)
    if absent:
        notes.append(
            f"{absent} of the {len(origin.seen)} photos of the run that {file} came from are not "
            "here: what only they show may be forgotten, and near copies of them among the test "
            "photos cannot be found"
        )
    return notes
