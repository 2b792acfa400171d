"""One epoch of a reference net in Keras, timed; runs in an environment of its own.

Reads one JSON argument: ``net``, ``data`` (an npz), ``train`` and ``validation`` (how many
photos), ``batch``, ``threads``, ``seed``. Its last line of output is JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

WARM_UP_BATCHES = 20
FIRST_VALIDATION = 50_000


def cnn() -> list[Any]:
    """Return the layers between the photo and the dense part."""
    return [_convolution(64), layers.MaxPooling2D(), _convolution(32), layers.MaxPooling2D()]


def dcnn() -> list[Any]:
    """Return the layers between the photo and the dense part."""
    return [
        _convolution(64), _convolution(64), layers.MaxPooling2D(), layers.Dropout(0.25),
        _convolution(32), _convolution(32), layers.MaxPooling2D(),
    ]  # fmt: skip


NETS = {"cnn": cnn, "dcnn": dcnn}


def _convolution(filters: int) -> Any:
    return layers.Conv2D(filters, 3, padding="same", activation="relu")


def build(net: str) -> Any:
    """Return the net, ready to fit."""
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            *NETS[net](),
            layers.Flatten(),
            layers.Dense(400, activation="relu"),
            layers.Dropout(0.25),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def main(given: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of one epoch with its validation, and what was learnt."""
    tf.config.threading.set_intra_op_parallelism_threads(given["threads"])
    keras.utils.set_random_seed(given["seed"])
    train, validation = photos(given)
    model = build(given["net"])
    # The functions of training and validation are traced before the clock starts.
    warm = slice(0, WARM_UP_BATCHES * given["batch"])
    few = tuple(part[warm] for part in train), tuple(part[warm] for part in validation)
    fit(model, *few, given["batch"])
    started, began = time.perf_counter(), time.process_time()
    history = fit(model, train, validation, given["batch"])
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - began,
        "validation_accuracy": history.history["val_accuracy"][-1],
        "parameters": model.count_params(),
        "xla": bool(model.jit_compile),
        "versions": {name: version(name) for name in ("keras", "tensorflow-cpu", "numpy")},
    }


def photos(given: dict[str, Any]) -> tuple[Any, Any]:
    """Return photos ``(N, 28, 28, 1)`` in [0, 1] and labels, to train and to validate."""
    with np.load(given["data"]) as arrays:
        pixels, labels = arrays["x_train"], arrays["y_train"]
    pixels = (pixels[..., None] / 255).astype(np.float32)
    train = slice(0, given["train"])
    validation = slice(FIRST_VALIDATION, FIRST_VALIDATION + given["validation"])
    return (pixels[train], labels[train]), (pixels[validation], labels[validation])


def fit(model: Any, train: Any, validation: Any, batch: int) -> Any:
    """Train for one epoch."""
    return model.fit(*train, batch_size=batch, epochs=1, validation_data=validation, verbose=0)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
