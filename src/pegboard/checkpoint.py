"""A training on disk between epochs: safetensors and JSON, so nothing is ever unpickled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pegboard.files import write_bytes_atomically
from pegboard.train import TrainingState

EVERY_SECONDS = 20.0
"""Least time between two checkpoints: short epochs are cheaper to repeat than to keep."""


class FileCheckpoint:
    """Keeps one training in one file.

    Parameters
    ----------
    path
        Where the checkpoint lies; removed by :meth:`forget`.
    fingerprint
        Of everything that decides the training (data, recipe, seed). A checkpoint with
        another fingerprint is not loaded.
    """

    def __init__(
        self,
        path: Path,
        fingerprint: str,
        *,
        every: float = EVERY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._every = every
        self._clock = clock
        self._saved_at = clock()

    def save(self, state: TrainingState, module: nn.Module, optimizer: Any) -> None:
        """Write the state, unless the last checkpoint is recent."""
        if self._clock() - self._saved_at < self._every:
            return
        tensors = _flatten(module, state, optimizer)
        header = {
            "fingerprint": self._fingerprint,
            "state": json.dumps(state.to_json()),
            "groups": json.dumps(_plain_groups(optimizer)),
        }
        write_bytes_atomically(self._path, save(tensors, metadata=header))
        self._saved_at = self._clock()

    def load(self, module: nn.Module) -> tuple[TrainingState, dict[str, Any]] | None:
        """Restore the module's weights; None where there is no fitting checkpoint."""
        if not self._path.exists():
            return None
        with safe_open(self._path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("fingerprint") != self._fingerprint:
                return None
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        state = TrainingState.from_json(json.loads(header["state"]))
        state.best_weights = _part(tensors, "best.") or None
        state.average = _part(tensors, "average.") or None
        module.load_state_dict(_part(tensors, "module."))
        return state, _optimizer_state(_part(tensors, "optimizer."), json.loads(header["groups"]))

    def forget(self) -> None:
        """Remove the file: the training is finished."""
        self._path.unlink(missing_ok=True)


def _flatten(module: nn.Module, state: TrainingState, optimizer: Any) -> dict[str, Tensor]:
    tensors = {f"module.{key}": value for key, value in module.state_dict().items()}
    tensors |= {f"best.{key}": value for key, value in (state.best_weights or {}).items()}
    tensors |= {f"average.{key}": value for key, value in (state.average or {}).items()}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            tensors[f"optimizer.{index}.{key}"] = torch.as_tensor(value)
    # safetensors refuses tensors that share memory, and a checkpoint outlives the device.
    return {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}


def _plain_groups(optimizer: Any) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = optimizer.state_dict()["param_groups"]
    return groups


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }


def _optimizer_state(tensors: dict[str, Tensor], groups: list[dict[str, Any]]) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": groups}
