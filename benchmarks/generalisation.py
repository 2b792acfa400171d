"""How much worse a model is on photos unlike those it learned from, in two ways.

*Altered photos*: the test photos of tools15 before another background, in another colour, scale
or fit; macro-F1 before and after, on the same photos. Backgrounds are replaced only where the
object can be told from its background; ``--look DIR`` writes some of them to look at.

*Held-out backgrounds*: each class is clustered by what its photos show along their border (the
backbone's features of the photo with its middle masked); one cluster of each class is tested, the
rest trained on, in turns until each was. Beside it, as many of each class held out at random. No
group of duplicates is on both sides.

Models are trained and asked by the functions that ``pegboard compare`` uses, on one intake. With
``--keep`` they stay in a folder, and are not trained again.

    PEGBOARD_DATA=… python benchmarks/generalisation.py [--quick] [--seeds 3] [--clusters 5]
        [--model efficientnet_lite0] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alterations import ALTERATIONS, VERSION, Alteration, altered
from harness import DATA, options, some_of, write_result
from pegboard.embed import Embedder, Item
from pegboard.images import to_pixels
from pegboard.inputs import InputSpec, fit_image
from pegboard.learn import Job, Task, embed, last_linear, load_trained, predict_logits, train_job
from pegboard.loader import Photos
from pegboard.metrics import confusion_matrix, macro_f1
from pegboard.photos import Pixels
from pegboard.pipeline.rounds import job_of, task_of
from pegboard.prepare import Prepared, plan_models, prepare
from pegboard.progress import Progress
from pegboard.runs import ModelFolder
from pegboard.settings import CompareSettings
from pegboard.split import split_photos

Indices = NDArray[np.int64]
Shown = NDArray[np.float32] | NDArray[np.uint8]
"""Features of photos where a model is a head on a frozen backbone, else the fitted photos."""
Ask = Callable[[Any], Indices]
MASKED = 0.2
"""From so far in, as a share of each side, a photo is masked to see its border alone."""
VALIDATION = 0.15
"""Share of what is not tested that C is chosen on, where backgrounds are held out."""


@dataclass(frozen=True)
class Bench:
    """The photos, read once, and the recipes that are compared."""

    prepared: Prepared
    photos: Photos
    jobs: Mapping[str, Job]
    folder: Path
    models: dict[tuple[str, str], Ask] = field(default_factory=dict)

    @property
    def job(self) -> Job:
        """Any of the jobs: all see the same."""
        return next(iter(self.jobs.values()))

    @property
    def spec(self) -> InputSpec:
        """What the models see."""
        return self.job.spec

    @property
    def is_head(self) -> bool:
        """Whether the models are heads on features of a frozen backbone."""
        return self.job.recipe.method == "logistic"

    def seen(self, items: Sequence[Item]) -> Shown:
        """Return what the models are asked about."""
        if self.is_head:
            return embedder(self).features(items, progress=Progress())
        return np.stack([make() for _, make in items])

    def seen_as_they_are(self, task: Task, indices: Indices) -> Shown:
        """Return the same for photos that nobody altered."""
        if self.is_head:
            return embed(self.job, task, indices)
        return self.photos.take(indices, self.spec)


def main() -> None:
    """Measure both and write the result."""
    parser = options(__doc__ or "", "generalisation")
    parser.add_argument("--model", default="probe")
    parser.add_argument("--recipes", default="default,robust")
    parser.add_argument("--seeds", type=int, default=3, help="split seeds for altered photos")
    parser.add_argument("--clusters", type=int, default=5, help="backgrounds of each class")
    parser.add_argument("--on", choices=("validation", "test"), default="test")
    parser.add_argument("--views", type=int, help="views of a photo, in place of the recipe's")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where trained models stay")
    parser.add_argument("--look", type=Path, metavar="DIR", help="write some altered photos here")
    given = parser.parse_args()
    if not (DATA / "tools15").exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    with TemporaryDirectory() as folder:
        source = DATA / "tools15"
        if given.quick:
            source = some_of(source, Path(folder) / "some", 20)
            given.seeds, given.clusters = min(given.seeds, 1), min(given.clusters, 2)
        bench = opened(source, given, given.keep or Path(folder))
        if given.look:
            look(bench, given.look)
        result = {
            "photos": len(bench.prepared.photos),
            "model": given.model,
            "on": given.on,
            "views": {name: job.recipe.views.count for name, job in bench.jobs.items()},
            "altered": altered_photos(bench, given.seeds, given.on),
            "backgrounds": held_out(bench, given.clusters) if given.clusters else None,
        }
    write_result("generalisation", given, result)


def opened(source: Path, given: argparse.Namespace, folder: Path) -> Bench:
    """Take in the photos as ``compare`` does, and plan the model with each recipe."""
    jobs = {}
    settings = CompareSettings(
        str(source), models=given.model, previous="none", fit="letterbox", device="cpu"
    )
    prepared = prepare(settings)
    for recipe in given.recipes.split(","):
        (plan,) = plan_models(prepared, replace(settings, recipe=recipe), "letterbox")
        if given.views is not None and plan.recipe.views.count:
            views = replace(plan.recipe.views, count=given.views)
            plan = replace(plan, recipe=replace(plan.recipe, views=views))
        jobs[recipe] = job_of(plan, settings, settings.seed)
    return Bench(prepared, Photos(prepared.source, prepared.split.rows), jobs, folder)


def answers_of(bench: Bench, recipe: str, task: Task, shown: Shown) -> Indices:
    """Return the classes that a model answers; it is trained on the task when first asked."""
    sides = task.train.tobytes() + task.validation.tobytes()
    key = (recipe, hashlib.sha256(sides).hexdigest()[:12])
    if key not in bench.models:
        bench.models[key] = trained(bench, bench.jobs[recipe], task, "-".join(key))
    return bench.models[key](shown)


def trained(bench: Bench, job: Job, task: Task, name: str) -> Ask:
    """Train a model as ``compare`` does; return what asks it."""
    folder = ModelFolder(bench.folder / name, "model")
    if not folder.training.exists():
        train_job(job, task, folder)
        print(f"trained {name}", file=sys.stderr)
    module = load_trained(job, len(task.classes), folder)
    if not bench.is_head:
        return lambda pixels: predict_logits(job, module, pixels).argmax(1)
    linear = last_linear(module.head)
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    return lambda features: (features @ weight.T + bias).argmax(1)


def score(task: Task, indices: Indices, answers: Indices) -> float:
    """Return macro-F1."""
    matrix = confusion_matrix(task.labels[indices], answers, len(task.classes))
    return macro_f1(matrix)


# --- Altered photos --------------------------------------------------------------------------


def altered_photos(bench: Bench, seeds: int, on: str) -> list[dict[str, Any]]:
    """Return a row for each alteration: macro-F1 before and after, for each recipe."""
    rows: dict[str, dict[str, Any]] = {}
    for seed in range(seeds):
        task = split_task(bench, seed)
        asked = task.test if on == "test" else task.validation
        plain = bench.seen_as_they_are(task, asked)
        place = {int(index): number for number, index in enumerate(asked)}
        for alteration in (None, *ALTERATIONS):
            usable, shown = asked, plain
            if alteration:
                usable, shown = seen_altered(bench, task, asked, alteration, seed)
            name = alteration.name if alteration else "as they are"
            row = rows.setdefault(name, {"alteration": name, "n": [], "macro_f1": {}})
            row["n"].append(len(usable))
            before = plain[[place[int(index)] for index in usable]]
            for recipe in bench.jobs:
                pair = [
                    score(task, usable, answers_of(bench, recipe, task, photos))
                    for photos in (before, shown)
                ]
                row["macro_f1"].setdefault(recipe, []).append(pair)
    return [with_means(row) for row in rows.values()]


def with_means(row: dict[str, Any]) -> dict[str, Any]:
    """Add means and the spread of the drop over the seeds."""
    row["mean"] = {
        recipe: {
            "before": statistics.mean(before for before, _ in pairs),
            "after": statistics.mean(after for _, after in pairs),
            "drop": statistics.mean(before - after for before, after in pairs),
            "drop_sd": deviation([before - after for before, after in pairs]),
        }
        for recipe, pairs in row["macro_f1"].items()
    }
    return row


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation, 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def split_task(bench: Bench, seed: int) -> Task:
    """Return the task of one split seed, over the same photos in the same order."""
    split = split_photos(bench.prepared.intake, seed=seed)
    to_split = {row.path: row.split for row in split.rows}
    found = np.array([to_split[row.path] for row in bench.prepared.split.rows])
    parts = [np.flatnonzero(found == name) for name in ("train", "validation", "test")]
    return task_of(bench.prepared, bench.photos, *parts)


def seen_altered(
    bench: Bench, task: Task, asked: Indices, alteration: Alteration, seed: int
) -> tuple[Indices, Shown]:
    """Return which photos could be altered, and what the models see of what came of it."""
    others = [pixels_of(bench, int(index)) for index in asked[:: max(1, len(asked) // 60)]]
    usable, items = [], []
    for index in asked:
        chance = chance_of(task.keys[index], alteration.name, seed)
        made = altered(pixels_of(bench, int(index)), alteration, others, chance)
        if made is not None:
            usable.append(index)
            slug = hashlib.sha256(alteration.name.encode()).hexdigest()[:8]
            key = f"{task.keys[index]}-altered-{VERSION}-{slug}-{seed}"
            items.append((key, lambda made=made: fit_image(made, bench.spec)))
    return np.array(usable, np.int64), bench.seen(items)


def pixels_of(bench: Bench, index: int) -> Pixels:
    """Return a photo's decoded pixels in colour."""
    pixels = to_pixels(bench.photos.payload(index))
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def chance_of(key: str, name: str, seed: int) -> np.random.Generator:
    """Return a source of chance for one photo, one alteration and one seed."""
    digest = hashlib.sha256(f"{key}-{name}-{seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8]))


def embedder(bench: Bench) -> Embedder:
    """Return the backbone's embedder."""
    job = bench.job
    assert job.weights is not None
    return Embedder(job.name.base, job.weights, job.spec, threads=job.threads)


def look(bench: Bench, folder: Path) -> None:
    """Write a sheet of photos and what becomes of them for each alteration."""
    folder.mkdir(parents=True, exist_ok=True)
    task = split_task(bench, 0)
    others = [pixels_of(bench, int(index)) for index in task.test[::12]]
    for number, alteration in enumerate(ALTERATIONS):
        pairs = []
        for index in np.random.default_rng(0).permutation(task.test):
            photo = pixels_of(bench, int(index))
            made = altered(photo, alteration, others, chance_of(task.keys[index], "", 0))
            if made is not None:
                sides = [fit_image(one, bench.spec)[::2, ::2] for one in (photo, made)]
                pairs.append(np.concatenate(sides))
            if len(pairs) == 12:
                break
        Image.fromarray(np.concatenate(pairs, axis=1)).save(folder / f"{number:02}.png")


# --- Held-out backgrounds --------------------------------------------------------------------


def held_out(bench: Bench, clusters: int) -> dict[str, Any]:
    """Return macro-F1 where one background of each class is new, and where none is."""
    labels, groups = bench.prepared.labels, group_numbers(bench.prepared)
    ways = {
        "new background": clustered(labels, groups, border_features(bench), clusters),
    }
    ways["at random"] = shuffled(labels, groups, ways["new background"])
    found: dict[str, Any] = {"clusters": clusters, "macro_f1": {}, "pooled": {}, "n": []}
    found["n"] = [int((ways["new background"] == turn).sum()) for turn in range(clusters)]
    for recipe in bench.jobs:
        for way, turn_of in ways.items():
            figures, answers = in_turns(bench, recipe, turn_of)
            found["macro_f1"].setdefault(recipe, {})[way] = figures
            matrix = confusion_matrix(labels, answers, len(bench.prepared.classes))
            found["pooled"].setdefault(recipe, {})[way] = macro_f1(matrix)
    return found


def in_turns(bench: Bench, recipe: str, turn_of: Indices) -> tuple[list[float], Indices]:
    """Return macro-F1 of every turn, and every photo's answer in the turn that tested it."""
    labels, groups = bench.prepared.labels, group_numbers(bench.prepared)
    figures, said = [], np.full(len(labels), -1)
    for turn in range(int(turn_of.max()) + 1):
        test, rest = np.flatnonzero(turn_of == turn), np.flatnonzero(turn_of != turn)
        chosen = np.random.default_rng(turn).random(int(groups.max()) + 1) < VALIDATION
        validates = chosen[groups[rest]]
        task = task_of(bench.prepared, bench.photos, rest[~validates], rest[validates], test)
        answers = answers_of(bench, recipe, task, bench.seen_as_they_are(task, test))
        said[test] = answers
        figures.append(score(task, test, answers))
    return figures, said


def group_numbers(prepared: Prepared) -> Indices:
    """Return each photo's group of duplicates, numbered."""
    names = [row.group or row.path for row in prepared.split.rows]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def border_features(bench: Bench) -> NDArray[np.float32]:
    """Return the backbone's features of each photo's border, ``(N, D)``, the middle masked."""
    spec = bench.spec
    top, left = round(spec.height * MASKED), round(spec.width * MASKED)

    def border(index: int) -> Pixels:
        pixels = bench.photos.one(index, spec).copy()
        pixels[top:-top, left:-left] = 128
        return pixels

    items = [
        (f"{photo.pixels}-border-{MASKED}", lambda index=index: border(index))
        for index, photo in enumerate(bench.prepared.photos)
    ]
    return embedder(bench).features(items)


def clustered(
    labels: Indices, groups: Indices, features: NDArray[np.float32], clusters: int
) -> Indices:
    """Return for each photo the turn in which its cluster of backgrounds is tested."""
    from sklearn.cluster import KMeans

    turn_of = np.empty(len(labels), np.int64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        own, number = np.unique(groups[mine], return_inverse=True)
        means = np.stack([unit[mine[number == group]].mean(0) for group in range(len(own))])
        found = KMeans(clusters, n_init=4, random_state=0).fit_predict(means)
        order = np.random.default_rng(int(label)).permutation(clusters)
        turn_of[mine] = order[found][number]
    return turn_of


def shuffled(labels: Indices, groups: Indices, turn_of: Indices) -> Indices:
    """Return turns of about the same sizes in every class, with groups dealt out by chance."""
    dealt = np.empty_like(turn_of)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        ends = np.cumsum(np.bincount(turn_of[mine], minlength=int(turn_of.max()) + 1))
        own = np.random.default_rng(int(label)).permutation(np.unique(groups[mine]))
        sizes = np.array([(groups[mine] == group).sum() for group in own])
        turns = np.searchsorted(ends, np.cumsum(sizes) - sizes, side="right")
        dealt[mine] = [turns[np.flatnonzero(own == group)[0]] for group in groups[mine]]
    return dealt


if __name__ == "__main__":
    main()
