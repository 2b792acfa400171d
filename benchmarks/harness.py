"""What all benchmarks here do alike: options, turns, environments of competitors, results.

A benchmark compares by ratios: A and B take turns in one run on one machine, so that whatever
else the machine does slows both. It writes one JSON file with every raw time; the page
``docs/benchmarks.md`` is made from those files by ``write_page.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pegboard.cache import cache_folder
from pegboard.leaderboard import machine_info

DATA = Path(os.environ.get("PEGBOARD_DATA", "../shared/data"))
WEIGHTS = DATA.parent / "weights"
RESULTS = Path(__file__).parent / "results"
PROGRAM = str(Path(sys.executable).with_name("pegboard"))
"""The command line of the environment that runs the benchmark."""


def options(about: str, name: str) -> argparse.ArgumentParser:
    """Return the options that every benchmark takes: ``--quick`` and ``--json``."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything, to see it run")
    parser.add_argument(
        "--json", type=Path, metavar="FILE",
        help=f"write the result here (default: results/{name}.json; with --quick, nowhere)",
    )  # fmt: skip
    return parser


def some_of(
    source: Path, folder: Path, per_class: int | None, without: Collection[str] = ()
) -> Path:
    """Copy a few photos of each class, or all, but of some; return the folder of copies."""
    labels = (path for path in source.iterdir() if path.is_dir() and path.name not in without)
    for label in sorted(labels):
        (folder / label.name).mkdir(parents=True)
        for file in sorted(label.iterdir())[:per_class]:
            shutil.copyfile(file, folder / label.name / file.name)
    return folder


def repeated(source: Path, folder: Path, count: int) -> Path:
    """Write ``count`` photos: those of the source in turn, changed from the second round on."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    files = np.random.default_rng(0).permutation(np.array(files, object)).tolist()

    def write(number: int) -> None:
        turn, place = divmod(number, len(files))
        target = folder / files[place].parent.name / f"{turn}-{files[place].name}"
        if turn == 0:
            shutil.copyfile(files[place], target)
            return
        rng = np.random.default_rng(number)
        with Image.open(files[place]) as photo:
            changed(photo.convert("RGB"), rng).save(target.with_suffix(".jpg"), quality=90)

    for label in {file.parent.name for file in files}:
        (folder / label).mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(count)))
    return folder


def changed(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a photo as of another moment: cropped by up to a third, darker or brighter."""
    side = round(min(photo.size) * rng.uniform(0.65, 0.9))
    left, top = (int(rng.integers(0, length - side + 1)) for length in photo.size)
    crop = photo.crop((left, top, left + side, top + side)).resize(photo.size)
    light = rng.uniform(0.6, 1.4)
    return crop.point(lambda value: value * light)


def run_pegboard(*arguments: str, cache: Path | None = None) -> None:
    """Run pegboard's command line as a user does, quietly; ``cache`` instead of the user's own."""
    own = {} if cache is None else {"PEGBOARD_CACHE": str(cache)}
    subprocess.run(
        [PROGRAM, *arguments], env={**os.environ, **own}, check=True, capture_output=True
    )


def compare_once(source: Path, out: Path, *own: str, cache: Path | None = None) -> None:
    """Run ``pegboard compare``, unless that is done; go on where it was stopped."""
    if (out / "leaderboard.json").exists():
        return
    stopped = ["--resume"] if (out / "run.json").exists() else []
    fixed = ("--out", str(out), "--previous", "none")
    run_pegboard("compare", str(source), *fixed, *own, *stopped, cache=cache)


def take_turns(
    runs: Mapping[str, Callable[[], float | None]], turns: int, *, warm_up: int = 1
) -> dict[str, list[float]]:
    """Run each in turn, A B A B …; return the seconds of each turn but the first ones.

    A run that measures itself returns its seconds; else the whole call is timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warm_up + turns):
        for name, run in runs.items():
            started = time.perf_counter()
            told = run()
            taken = time.perf_counter() - started if told is None else told
            if turn >= warm_up:
                seconds[name].append(taken)
    return seconds


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return median, least, most and count of some figures, and the figures."""
    return {
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "n": len(values),
        "raw": list(values),
    }


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, Any]:
    """Return how many times longer ``slow`` takes, turn by turn."""
    return summary([a / b for a, b in zip(slow, fast, strict=True)])


@dataclass(frozen=True)
class Watched:
    """What a command took, from start to end, all processes that it started included.

    Attributes
    ----------
    peak_bytes
        Largest resident memory of all its processes together, as looked at every so often.
    own_bytes
        The same without pages of files, which the system takes back when it needs the room.
    cpu_seconds
        Of all cores together: hardly longer where the machine does other work, too.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    own_bytes: int
    output: str


def watch(
    command: Sequence[str], *, every: float = 0.05, environment: Mapping[str, str] | None = None
) -> Watched:
    """Run a command to its end and look at its memory every ``every`` seconds (Linux).

    Raises
    ------
    RuntimeError
        When it fails, with its last lines.
    """
    started, computed = time.perf_counter(), cpu_of_children()
    child = subprocess.Popen(
        list(command),
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peaks = [0, 0]
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(every):
            peaks[:] = map(max, peaks, _resident(child.pid))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    output = child.communicate()[0]
    seconds = time.perf_counter() - started
    ended.set()
    looking.join()
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {child.returncode}\n{output[-2000:]}")
    return Watched(seconds, cpu_of_children() - computed, *peaks, output)


def cpu_of_children() -> float:
    """Return the seconds that the processes started and ended so far have computed."""
    used = os.times()
    return used.children_user + used.children_system


def _resident(pid: int) -> tuple[int, int]:
    """Return resident bytes of a process and its descendants: all, and those of no file."""
    whole = own = 0
    for process in _family(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{process}/status").read_text("ascii", "replace").splitlines():
                if line.startswith("VmRSS:"):
                    whole += 1024 * int(line.split()[1])
                elif line.startswith("RssAnon:"):
                    own += 1024 * int(line.split()[1])
    return whole, own


def _family(pid: int) -> list[int]:
    found = [pid]
    for process in found:
        with suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def write_result(name: str, given: argparse.Namespace, result: Mapping[str, Any]) -> None:
    """Print the result with machine and versions, and keep it."""
    whole = {
        "benchmark": name,
        "command": " ".join([f"python benchmarks/{name}.py", *_asked(given)]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine_info().to_json(),
        "load": [round(load, 1) for load in os.getloadavg()],
        **result,
    }
    text = json.dumps(_rounded(whole), indent=1, ensure_ascii=False) + "\n"
    print(text)
    file = given.json or (None if given.quick else RESULTS / f"{name}.json")
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


def _asked(given: argparse.Namespace) -> list[str]:
    """Return the options of this call, but for where results and models are kept."""
    places = {name: str(place) for name in ("json", "keep") if (place := getattr(given, name, ""))}
    own = {*places.values(), *(f"--{name}" for name in places)}
    return [option for option in sys.argv[1:] if option not in own]


def _rounded(value: Any) -> Any:
    """Return the same with six significant digits: more were never measured."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


@dataclass(frozen=True)
class Environment:
    """A competitor's own virtual environment, made when first needed and kept in the cache.

    Attributes
    ----------
    packages
        What pip installs, with exact versions.
    """

    name: str
    packages: tuple[str, ...]

    def python(self) -> Path:
        """Return its interpreter, after installing what is missing."""
        key = hashlib.sha256("\n".join((sys.version, *self.packages)).encode()).hexdigest()[:12]
        folder = cache_folder() / "benchmarks" / f"{self.name}-{key}"
        python = folder / "bin" / "python"
        done = folder / "installed"
        if not done.exists():
            print(f"installing {', '.join(self.packages)} into {folder}", file=sys.stderr)
            venv.create(folder, with_pip=True, clear=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *self.packages], check=True)
            done.touch()
        return python

    def run(self, script: Path, *arguments: str, threads: int = 2) -> Any:
        """Run a script in it; return the JSON that its last line of output holds."""
        done = subprocess.run(
            [str(self.python()), str(script), *arguments],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.strip().splitlines()[-1])
