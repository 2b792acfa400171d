"""Whether exported models answer as the trained ones did, for every network of both projects.

Every model is trained for a moment and exported as ``pegboard compare`` does it; the certificate in
its file compares the trained with the exported answers on all test photos. How well a model was
trained does not matter to that, so one epoch will do, and photos of tools have 150 px, as in the
notebook. What 8 bits cost does depend on training: INT8 files are made of digits' models
after their epoch, and of models of tools that were trained on all photos at their own size.

With ``--keep`` the runs stay in a folder, and one that was stopped goes on there.

    PEGBOARD_DATA=… python benchmarks/parity.py [--quick] [--keep FOLDER] [--json FILE]
"""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import DATA, PROGRAM, WEIGHTS, compare_once, options, some_of, write_result
from pegboard.runs import slug_of

DIGITS = ("lm", "nn", "dnn", "dnnd", "cnn", "dcnn", "fastcnn")
TOOLS = (
    "cnn4", "probe", "mobilenetv2:frozen", "mobilenetv2", "xception:frozen", "xception",
    "vgg16:scratch", "efficientnet_lite0:frozen", "efficientnet_lite0",
)  # fmt: skip
SHIPPED = ("probe", "mobilenetv2:frozen", "efficientnet_lite0")
SHIPPED_EPOCHS = 4
PER_CLASS = 60
PRETRAINED = {
    "mobilenetv2": f"{WEIGHTS / 'mobilenetv2_100.safetensors'},pad=same",
    "xception": WEIGHTS / "legacy_xception.safetensors",
}


def main() -> int:
    """Measure, print and keep the result."""
    parser = options(__doc__ or "", "parity")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the runs stay")
    given = parser.parse_args()
    if not (DATA / "tools15").exists() or not (DATA / "mnist.npz").exists():
        print("skipped: PEGBOARD_DATA has no tools15 or no mnist.npz")
        return 0
    with TemporaryDirectory(prefix="pegboard-parity-") as name:
        folder = given.keep or Path(name)
        rows = [*digits(folder, quick=given.quick), *tools(folder, quick=given.quick)]
    write_result("parity", given, {"rows": rows})
    return 0


def digits(folder: Path, *, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield the certificates of the networks of Digits, in float32 and in INT8."""
    run = folder / "digits"
    names = DIGITS[:2] if quick else DIGITS
    compare(DATA / "mnist.npz", run, names, "--epochs", "1")
    for name in names:
        yield told("digits", name, certificate(run, name))
        yield in_int8("digits", run, name)


def tools(folder: Path, *, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield the certificates of the networks of Tools, and those of three in INT8."""
    names = ("cnn4", "probe") if quick else TOOLS
    few = folder / "photos"
    if not few.exists():
        some_of(DATA / "tools15", few, per_class=10 if quick else PER_CLASS)
    most_tested = ("--fractions", ".1,.05,.85", "--image-size", "150", "--epochs", "1")
    compare(few, folder / "tools", names, *most_tested)
    for name in names:
        yield told("tools, 150 px", name, certificate(folder / "tools", name))
    shipped = SHIPPED[:1] if quick else SHIPPED
    photos = few if quick else DATA / "tools15"
    compare(photos, folder / "shipped", shipped, "--epochs", str(SHIPPED_EPOCHS))
    for name in shipped:
        yield told("tools", name, certificate(folder / "shipped", name))
        yield in_int8("tools", folder / "shipped", name)


def compare(source: Path, out: Path, models: tuple[str, ...], *own: str) -> None:
    """Train and export models, unless that is done; go on where it was stopped."""
    needed = [
        option
        for base, file in PRETRAINED.items()
        if any(name.startswith(base) for name in models)
        for option in ("--weights", f"{base}={file}")
    ]
    compare_once(source, out, "--models", ",".join(models), *own, *needed)


def certificate(run: Path, model: str) -> dict[str, Any]:
    """Return the comparison that a model's file holds."""
    slug = slug_of(model)
    with zipfile.ZipFile(run / "models" / slug / f"{slug}.pegboard") as file:
        told: dict[str, Any] = json.loads(file.read("model.json"))["parity"]
    return told


def in_int8(data: str, run: Path, model: str) -> dict[str, Any]:
    """Return what INT8 costs a model; a refusal is a result, too."""
    out = run / f"{slug_of(model)}-int8.pegboard"
    command = [PROGRAM, "export", str(run), model, "--to", "pegboard-int8", "--out", str(out)]
    if not out.exists():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            line = done.stderr.strip().splitlines()[-1].removeprefix("pegboard: ")
            return {
                "data": data,
                "model": model,
                "precision": "int8",
                "refused": line.split(";")[0],
            }
    with zipfile.ZipFile(out) as file:
        return told(data, model, json.loads(file.read("model.json"))["parity"])


def told(data: str, model: str, parity: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the result."""
    kept = ("n", "precision", "max_difference", "agreement", "macro_f1_trained")
    row = {"data": data, "model": model} | {key: parity[key] for key in kept}
    lost = parity["macro_f1_trained"] - parity["macro_f1_exported"]
    return row | {"macro_f1_lost": lost, "kept_in_float": len(parity["kept_in_float"])}


if __name__ == "__main__":
    main()
