"""The ``.pegboard`` file: one model, everything needed to use it, and proof that it is whole.

A bundle is a zip of uncompressed members::

    model.onnx      the network, from fitted uint8 pixels to probabilities
    model.json      name, input specification, classes, temperature, thresholds, figures, …
    card.md         the same for people
    reference.npz   a few drawn inputs and what the trained model answered to them
    checksums.json  SHA-256 of every other member

Nothing in it is pickled or executed. The same content always gives the same bytes: no dates,
a fixed order, no compression (its output differs between zlib versions, and trained weights
hardly shrink). Uncompressed members also cannot grow beyond the file's own size when read.

Checksums show damage and careless edits; they are no signature: who alters a member can alter
its checksum too.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard import __version__
from pegboard.errors import BundleError, PegboardError, RunFolderError
from pegboard.files import atomic_path
from pegboard.inputs import InputSpec
from pegboard.photos import Pixels

FORMAT = 1
SUFFIX = ".pegboard"

MAX_DIFFERENCE = 1e-3
"""Largest difference of a probability between the trained and the exported model."""
MIN_AGREEMENT = 0.999
"""Least share of photos on which both name the same class."""

AT_ONCE = 8
"""Photos in one call of the network. More is no faster on a CPU and takes more memory:
EfficientNet-Lite0 at 224 px peaked at 289 MiB with 8 and at 804 MiB with 32."""

_MODEL, _INFO, _CARD = "model.onnx", "model.json", "card.md"
_REFERENCE, _CHECKSUMS = "reference.npz", "checksums.json"
_MEMBERS = (_CARD, _CHECKSUMS, _INFO, _MODEL, _REFERENCE)
_LARGEST = {_MODEL: 2**31, _INFO: 2**24, _CARD: 2**22, _REFERENCE: 2**26, _CHECKSUMS: 2**16}
"""Bytes; ONNX itself ends at 2 GiB."""
_LARGEST_SIDE = 8192
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The zip format's first day: a date would make equal bundles differ."""
_ZIP_MAGIC = b"PK\x03\x04"

_REFERENCE_COUNT = 8
_REFERENCE_GRID = 16

# What zipfile raises on altered archives besides BadZipFile.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ValueError,
    OverflowError,
)


class DamagedBundleError(BundleError):
    """A bundle whose bytes are not those that were written."""


@dataclass(frozen=True)
class Parity:
    """How the exported model compares with the trained one on the same photos.

    Attributes
    ----------
    n
        Photos compared.
    max_difference
        Largest absolute difference of any probability.
    agreement
        Share of photos on which both name the same class, 0 to 1.
    """

    n: int
    max_difference: float
    agreement: float

    def check(self) -> None:
        """Raise BundleError unless the two are equal within the stated limits."""
        # Written so that NaN fails too.
        if self.max_difference <= MAX_DIFFERENCE and self.agreement >= MIN_AGREEMENT:
            return
        raise BundleError(
            "the exported model does not answer like the trained one: "
            f"probabilities differ by up to {self.max_difference:.2g} "
            f"(at most {MAX_DIFFERENCE:g} is accepted) and {self.agreement:.2%} of {self.n} "
            f"photos get the same class (at least {MIN_AGREEMENT:.1%} is expected); "
            "no bundle was written"
        )


@dataclass(frozen=True)
class BundleInfo:
    """What ``model.json`` says about the model.

    Attributes
    ----------
    name
        The model's name as typed, such as ``probe`` or ``mobilenetv2:frozen``.
    input
        What the network sees and how a photo is fitted to it.
    classes
        Names in the order of the probabilities.
    temperature
        The logits were divided by it (inside the network); fitted on validation.
    thresholds
        ``sure``: least probability of a sure answer, None or above 1 when none is high enough;
        ``precision``: share of right answers at or above it on validation that was asked for.
    figures
        The model's row of the leaderboard.
    parity
        Comparison with the trained model; None when there was none to compare with.
    fingerprint
        Of the data it learned from.
    versions
        Of the packages it was trained with.
    weights
        Where pretrained weights came from: ``source`` and ``licence``.
    recipe
        How it was trained.
    created_by
        The pegboard that wrote the file.
    """

    name: str
    input: InputSpec
    classes: tuple[str, ...]
    temperature: float = 1.0
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    parity: Parity | None = None
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    created_by: str = f"pegboard {__version__}"

    @property
    def slug(self) -> str:
        """The name fit for a file: ``mobilenetv2-frozen``."""
        return slug(self.name)

    @property
    def sure(self) -> float | None:
        """Least probability of a sure answer; None when no probability is high enough."""
        sure = self.thresholds.get("sure")
        return sure if sure is not None and sure <= 1 else None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, ``format`` first; figures that are not finite become null."""
        plain = {
            "format": FORMAT,
            "name": self.name,
            "input": self.input.to_json(),
            "classes": list(self.classes),
            "temperature": self.temperature,
            "thresholds": dict(self.thresholds),
            "figures": dict(self.figures),
            "parity": None if self.parity is None else vars(self.parity).copy(),
            "fingerprint": self.fingerprint,
            "versions": dict(self.versions),
            "weights": dict(self.weights),
            "recipe": dict(self.recipe),
            "created_by": self.created_by,
        }
        return {key: _plain(value) for key, value in plain.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BundleInfo:
        """Rebuild from :meth:`to_json`.

        Raises
        ------
        BundleError
            When a key is missing or holds a value of the wrong kind.
        """
        try:
            parity = data["parity"]
            info = cls(
                name=_text(data["name"]),
                input=InputSpec.from_json(data["input"]),
                classes=tuple(_text(name) for name in data["classes"]),
                temperature=float(data["temperature"]),
                thresholds=_thresholds(data["thresholds"]),
                figures=dict(data["figures"]),
                parity=None if parity is None else Parity(**parity),
                fingerprint=_text(data["fingerprint"]),
                versions=dict(data["versions"]),
                weights=dict(data["weights"]),
                recipe=dict(data["recipe"]),
                created_by=_text(data["created_by"]),
            )
            info.check()
        except KeyError as error:
            raise BundleError(f"model.json has no {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"model.json is not valid: {error}") from error
        return info

    def check(self) -> None:
        """Raise BundleError when the values cannot belong to a working model."""
        spec = self.input
        problems = {
            "it names fewer than two classes": len(self.classes) < 2,
            "it names a class twice": len(set(self.classes)) != len(self.classes),
            "the temperature is not a positive number": not 0 < self.temperature < math.inf,
            f"the input is larger than {_LARGEST_SIDE} pixels": max(spec.height, spec.width)
            > _LARGEST_SIDE,
            f"the interpolation {spec.interpolation!r} is unknown": spec.interpolation
            not in ("area", "bilinear", "bicubic"),
        }
        for problem, found in problems.items():
            if found:
                raise BundleError(f"model.json is not valid: {problem}")


@dataclass(frozen=True)
class Reference:
    """Drawn inputs and the trained model's answers, to check a bundle anywhere.

    Photos are their owner's, so none travels with a model. The inputs are small random grids,
    blown up to blocks by integer arithmetic only: the same on every machine, and a few
    kilobytes for any input size.

    Attributes
    ----------
    grids
        ``(n, g, g, channels)`` uint8.
    probabilities
        ``(n, classes)`` float32.
    """

    grids: NDArray[np.uint8]
    probabilities: NDArray[np.float32]

    def inputs(self, spec: InputSpec) -> Pixels:
        """Return the inputs, ``(n, height, width, channels)`` uint8."""
        return blow_up(self.grids, spec)


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and found whole."""

    path: Path
    info: BundleInfo
    model: bytes = field(repr=False)
    """The ONNX file."""
    card: str = field(repr=False)
    reference: Reference = field(repr=False)


class Network:
    """A bundle's ONNX graph, running on the CPU.

    Parameters
    ----------
    model
        The ONNX file's bytes; not kept.
    spec
        The input it must take.
    classes
        How many probabilities it must give.
    threads
        CPU threads; None lets ONNX Runtime choose.

    Raises
    ------
    BundleError
        When the bytes are no ONNX graph or its input and outputs are others.
    """

    def __init__(
        self, model: bytes, spec: InputSpec, classes: int, threads: int | None = None
    ) -> None:
        self._session = _open_session(model, threads)
        self._shape = spec.shape
        self._classes = classes
        self._check_graph()

    def probabilities(self, images: Pixels) -> NDArray[np.float32]:
        """Return the probability of every class.

        Parameters
        ----------
        images
            ``(n, height, width, channels)`` uint8, fitted to the input specification.

        Returns
        -------
        ``(n, classes)`` float32.
        """
        parts = [
            self._session.run(["probabilities"], {"images": images[start : start + AT_ONCE]})[0]
            for start in range(0, len(images), AT_ONCE)
        ]
        return np.concatenate([np.empty((0, self._classes), np.float32), *parts])

    def _check_graph(self) -> None:
        inputs = {value.name: value for value in self._session.get_inputs()}
        outputs = {value.name: value for value in self._session.get_outputs()}
        expected_in, expected_out = list(self._shape), self._classes
        if (
            list(inputs) != ["images"]
            or inputs["images"].type != "tensor(uint8)"
            or inputs["images"].shape[1:] != expected_in
            or "probabilities" not in outputs
            or outputs["probabilities"].shape[1:] != [expected_out]
        ):
            found = {name: value.shape[1:] for name, value in (inputs | outputs).items()}
            raise BundleError(
                "model.onnx does not fit model.json: expected uint8 images of "
                f"{expected_in} and {expected_out} probabilities, found {found}"
            )


def slug(name: str) -> str:
    """Return a model's name as it stands in file names: ``:`` and ``/`` become ``-``."""
    return name.replace(":", "-").replace("/", "-")


def reference_grids(channels: int, n: int = _REFERENCE_COUNT) -> NDArray[np.uint8]:
    """Draw the grids of a :class:`Reference`, ``(n, 16, 16, channels)``.

    From an even grey to full contrast, so that not all answers are alike.
    """
    rng = np.random.default_rng(0)
    shape = (_REFERENCE_GRID, _REFERENCE_GRID, channels)
    levels = rng.integers(0, 256, (n, 1, 1, channels))
    noise = rng.integers(-128, 128, (n, *shape))
    contrast = np.arange(n).reshape(-1, 1, 1, 1)
    return np.clip(levels + noise * contrast // n, 0, 255).astype(np.uint8)


def blow_up(grids: NDArray[np.uint8], spec: InputSpec) -> Pixels:
    """Enlarge ``(n, g, g, channels)`` grids to ``(n, height, width, channels)`` blocks."""
    rows = np.arange(spec.height) * grids.shape[1] // spec.height
    columns = np.arange(spec.width) * grids.shape[2] // spec.width
    return np.ascontiguousarray(grids[:, rows][:, :, columns])


# --- writing -----------------------------------------------------------------------------


def write_bundle(
    path: str | Path,
    *,
    onnx: bytes | Path,
    info: BundleInfo,
    reference: Reference | None = None,
) -> None:
    """Write a bundle, whole or not at all.

    Parameters
    ----------
    path
        The file; one that exists is replaced.
    onnx
        The network (or its file): input ``images`` uint8 ``(N, height, width, channels)``,
        output ``probabilities`` float32 ``(N, classes)``.
    info
        What is said about it.
    reference
        The trained model's answers to the reference inputs; without them, the answers of
        ``onnx`` itself on this machine are stored.

    Raises
    ------
    BundleError
        When the network does not fit ``info``.
    PegboardError
        When the file cannot be written.
    """
    info.check()
    model = onnx if isinstance(onnx, bytes) else onnx.read_bytes()
    if reference is None:
        network = Network(model, info.input, len(info.classes))
        grids = reference_grids(info.input.channels)
        reference = Reference(grids, network.probabilities(blow_up(grids, info.input)))
    members = {
        _CARD: card(info).encode(),
        _INFO: _json_bytes(info.to_json()),
        _MODEL: model,
        _REFERENCE: _reference_bytes(reference),
    }
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    _write_zip(Path(path), members | {_CHECKSUMS: _json_bytes(sums)})


def rewrite_info(path: str | Path, info: BundleInfo) -> None:
    """Replace what a bundle says about its model, such as figures measured on the bundle.

    Raises
    ------
    BundleError
        When the file is no bundle, or ``info`` does not fit its network.
    """
    bundle = read_bundle(path)
    old = bundle.info
    if (info.input, info.classes, info.temperature) != (old.input, old.classes, old.temperature):
        raise BundleError(f"{path}: the new description belongs to another network")
    write_bundle(path, onnx=bundle.model, info=info, reference=bundle.reference)


def _write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, date_time=_EPOCH)
            member.create_system = 3  # else the byte says on which system it was written
            member.external_attr = 0o644 << 16
            archive.writestr(member, members[name], compress_type=zipfile.ZIP_STORED)


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def _reference_bytes(reference: Reference) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, grids=reference.grids, probabilities=reference.probabilities)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    """Return JSON values: NumPy numbers as Python's, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# --- reading -----------------------------------------------------------------------------


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle and check all of it: archive, format, members, sizes, checksums, values.

    Raises
    ------
    BundleError
        When the file is missing, is not a bundle, or was made by a newer pegboard.
    DamagedBundleError
        When it was cut off or altered.
    """
    path = Path(path)
    with _open_zip(path) as archive:
        try:
            _check_format(path, archive)
            _check_members(path, archive)
            members = {name: _read_member(path, archive, name) for name in _MEMBERS}
        except (OSError, *_ZIP_ERRORS) as error:
            raise _damaged(path, str(error)) from error
    _check_sums(path, members)
    try:
        info = BundleInfo.from_json(_parse(members[_INFO]))
        reference = _parse_reference(members[_REFERENCE], info)
        return Bundle(path, info, members[_MODEL], members[_CARD].decode(), reference)
    except BundleError as error:
        raise BundleError(f"{path} cannot be used: {error}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} cannot be used: card.md is not UTF-8") from error


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        with path.open("rb") as file:
            start = file.read(4)
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise BundleError(f"{path} does not exist; expected a {SUFFIX} file") from error
    except IsADirectoryError as error:
        raise BundleError(
            f"{path} is a folder; expected a {SUFFIX} file, such as models/NAME/NAME{SUFFIX} in it"
        ) from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    except _ZIP_ERRORS as error:
        if start == _ZIP_MAGIC:
            raise _damaged(path, "the archive is cut off") from error
        raise _not_a_bundle(path, f"{_kind(start)}") from error


def _check_format(path: Path, archive: zipfile.ZipFile) -> None:
    if min((member.header_offset for member in archive.infolist()), default=0) > 0:
        # Of a bundle cut off near its end, the directory of reference.npz is found instead.
        raise _damaged(path, "the archive is cut off")
    if _INFO not in archive.namelist():
        raise _not_a_bundle(path, "a zip without model.json")
    try:
        found = _parse(_read_member(path, archive, _INFO)).get("format")
    except DamagedBundleError:
        raise
    except BundleError as error:
        raise _damaged(path, f"{_INFO}: {error}") from error
    if isinstance(found, int) and found > FORMAT:
        raise BundleError(
            f"{path} has bundle format {found} and this pegboard ({__version__}) reads up to "
            f"{FORMAT}; update pegboard: pip install --upgrade pegboard"
        )
    if found != FORMAT:
        raise _not_a_bundle(path, f"model.json with format {found!r} instead of {FORMAT}")


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    names = sorted(archive.namelist())
    if names != sorted(_MEMBERS):
        raise _damaged(path, f"expected {', '.join(_MEMBERS)}, found {', '.join(names)[:200]}")


def _read_member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise _damaged(path, f"{name} is compressed or encrypted, which pegboard never does")
    if member.file_size > _LARGEST[name] or member.file_size != member.compress_size:
        raise _damaged(path, f"{name} claims {member.file_size} bytes")
    with archive.open(member) as file:
        data = file.read()
    if len(data) != member.file_size:
        raise _damaged(path, f"{name} is cut off")
    return data


def _check_sums(path: Path, members: Mapping[str, bytes]) -> None:
    try:
        expected = _parse(members[_CHECKSUMS])
    except BundleError as error:
        raise _damaged(path, str(error)) from error
    others = [name for name in _MEMBERS if name != _CHECKSUMS]
    if sorted(expected) != sorted(others):
        raise _damaged(path, "checksums.json does not list the other members")
    for name in others:
        if hashlib.sha256(members[name]).hexdigest() != expected[name]:
            raise _damaged(path, f"{name} is not what its checksum says")


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"its JSON cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise BundleError("its JSON is not an object")
    return value


def _parse_reference(data: bytes, info: BundleInfo) -> Reference:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            reference = Reference(arrays["grids"], arrays["probabilities"])
    except (KeyError, OSError, *_ZIP_ERRORS) as error:
        raise BundleError(f"{_REFERENCE} cannot be read: {error}") from error
    grids, answers = reference.grids, reference.probabilities
    if (
        grids.dtype != np.uint8
        or grids.ndim != 4
        or grids.shape[3] != info.input.channels
        or answers.dtype != np.float32
        or answers.shape != (len(grids), len(info.classes))
    ):
        raise BundleError(f"{_REFERENCE} does not fit model.json")
    return reference


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r}")
    return value


def _thresholds(value: Mapping[str, Any]) -> dict[str, float | None]:
    return {key: None if number is None else float(number) for key, number in value.items()}


def _damaged(path: Path, detail: str) -> DamagedBundleError:
    return DamagedBundleError(
        f"{path} was damaged or altered: {detail}; copy or export it again from its run folder"
    )


def _not_a_bundle(path: Path, found: str) -> BundleError:
    return BundleError(
        f"{path} is not a {SUFFIX} file (found {found}); "
        f"pegboard compare writes one per model: RUN/models/NAME/NAME{SUFFIX}"
    )


def _kind(start: bytes) -> str:
    kinds = {b"": "an empty file", b"\xff\xd8": "a JPEG image", b"\x89PNG": "a PNG image"}
    for magic, kind in kinds.items():
        if start == magic or (magic and start.startswith(magic)):
            return kind
    return "another kind of file"


def _open_session(model: bytes, threads: int | None) -> Any:
    import onnxruntime  # noqa: PLC0415  (a sixth of a second, not needed to read figures)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # failures come as exceptions
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a dozen classes and no common base
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError(f"model.onnx cannot be loaded: {first_line}") from error


# --- the card ----------------------------------------------------------------------------


def card(info: BundleInfo) -> str:
    """Return the model card (Mitchell et al. 2019, "Model Cards for Model Reporting"), Markdown."""
    sections = (_card_head(info), _card_figures(info), _card_use(info), _card_origin(info))
    return "\n".join(line for section in sections for line in section)


def _card_head(info: BundleInfo) -> list[str]:
    spec = info.input
    colour = "grey" if spec.channels == 1 else "RGB"
    return [
        f"# {info.name}",
        "",
        f"Names one of {len(info.classes)} classes for a photo.",
        "",
        *(f"- {name}" for name in info.classes),
        "",
        f"A photo is turned upright (EXIF), fitted to {spec.width} by {spec.height} "
        f"{colour} pixels ({spec.fit}, {spec.interpolation}) and normalised inside the model.",
        "",
    ]


def _card_figures(info: BundleInfo) -> list[str]:
    figures = info.figures
    lines = ["## How good it is", ""]
    for key, title in (("accuracy", "Accuracy"), ("macro_f1", "Macro-F1")):
        if isinstance(figures.get(key), int | float):
            lines.append(f"- {title} on test photos: {figures[key]:.3f}{_interval(figures, key)}")
    if isinstance(figures.get("n"), int):
        lines.append(f"- Test photos: {figures['n']}")
    if len(lines) == 2:
        lines.append("No figures were stored.")
    if info.parity is not None:
        lines += [
            f"- Exported against trained model: largest difference of a probability "
            f"{info.parity.max_difference:.1e}, same class for {info.parity.agreement:.2%} of "
            f"{info.parity.n} photos",
        ]
    return [
        *lines,
        "",
        "These figures hold for photos like those it was tested on. Other cameras, places and "
        "backgrounds can lower them a good deal; `pegboard verify BUNDLE --on FOLDER` measures it.",
        "",
    ]


def _interval(figures: Mapping[str, Any], key: str) -> str:
    interval = figures.get(f"{key}_ci")
    if not isinstance(interval, list | tuple) or len(interval) != 2 or None in interval:
        return ""
    return f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})"


def _card_use(info: BundleInfo) -> list[str]:
    sure = info.sure
    said = (
        "No probability was high enough to call an answer sure."
        if sure is None
        else f"An answer is called sure from a probability of {sure:.3f} on: there, "
        f"{_share(info)} of the answers on validation photos were right."
    )
    return [
        "## How to use it",
        "",
        f"    pegboard predict {info.slug}{SUFFIX} photo.jpg",
        "",
        f"Probabilities are calibrated with temperature {info.temperature:.3f}. {said}",
        "It always names one of its classes, also for a photo of something else.",
        "",
    ]


def _share(info: BundleInfo) -> str:
    return share_text(info.thresholds.get("precision"))


def share_text(precision: float | None) -> str:
    """Return a threshold's precision as people read it: ``95 %`` (also when not stated)."""
    return f"{100 * (0.95 if precision is None else precision):g} %"


def _card_origin(info: BundleInfo) -> list[str]:
    weights = ", ".join(f"{key}: {value}" for key, value in info.weights.items())
    versions = ", ".join(f"{key} {value}" for key, value in info.versions.items())
    rows = {
        "Pretrained weights": weights or "none",
        "Data fingerprint": info.fingerprint or "not stored",
        "Trained with": versions or "not stored",
        "Written by": info.created_by,
    }
    return ["## Where it comes from", "", *(f"- {key}: {value}" for key, value in rows.items()), ""]


# --- export from a run folder ------------------------------------------------------------

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
    name = slug(model)
    path = run / "models" / name / f"{name}{SUFFIX}"
    if not path.is_file():
        known = sorted(file.stem for file in (run / "models").glob(f"*/*{SUFFIX}"))
        raise RunFolderError(
            f"{run} has no bundle of a model {model!r}; it has: {', '.join(known) or 'none'}"
        )
    return path
