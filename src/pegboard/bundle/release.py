"""One model of a run as one file to use elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pegboard.bundle.archive import read_bundle
from pegboard.bundle.info import SUFFIX
from pegboard.errors import PegboardError, RunFolderError
from pegboard.files import atomic_path
from pegboard.runs import slug_of

EXPORTS: Sequence[str] = ("pegboard", "onnx", "pegboard-int8", "onnx-int8")


def export_model(
    run: str | Path,
    model: str,
    to: str = "pegboard",
    out: str | Path | None = None,
    *,
    force: bool = False,
) -> Path:
    """Write a run's model as one file to use elsewhere.

    Parameters
    ----------
    run
        A run folder of ``pegboard compare``.
    model
        The model's name as typed there.
    to
        ``pegboard`` (the whole bundle) or ``onnx`` (the network alone; it takes uint8 pixels
        fitted to its size, and classes and fit stand in its metadata).
    out
        The file; by default ``NAME.pegboard`` or ``NAME.onnx`` in the current folder.
    force
        Replace ``out`` if it exists.

    Returns
    -------
    The file written.

    Raises
    ------
    RunFolderError
        When ``run`` is no run folder or holds no such model.
    BundleError
        When the model's bundle is damaged.
    PegboardError
        When ``to`` is unknown or not available, or ``out`` exists or cannot be written.
    """
    if to not in EXPORTS:
        raise PegboardError(f"--to: expected one of {', '.join(EXPORTS)}, got {to!r}")
    if to.endswith("-int8"):
        raise PegboardError(
            f"--to {to} is not available in this version; use --to {to.removesuffix('-int8')}"
        )
    bundle = read_bundle(_bundle_of(Path(run), model))
    target = Path(out) if out is not None else Path(f"{bundle.info.slug}.{to}")
    if target.exists() and not force:
        raise PegboardError(f"{target} exists; give another --out, or --force to replace it")
    data = bundle.model if to == "onnx" else bundle.path.read_bytes()
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)
    return target


def _bundle_of(run: Path, model: str) -> Path:
    if not (run / "run.json").is_file():
        raise RunFolderError(
            f"{run} is not a run folder (it holds no run.json); give the folder that "
            "pegboard compare wrote"
        )
    name = slug_of(model)
    path = run / "models" / name / f"{name}{SUFFIX}"
    if not path.is_file():
        known = sorted(file.stem for file in (run / "models").glob(f"*/*{SUFFIX}"))
        raise RunFolderError(
            f"{run} has no bundle of a model {model!r}; it has: {', '.join(known) or 'none'}"
        )
    return path
