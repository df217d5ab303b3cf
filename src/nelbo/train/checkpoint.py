"""The whole state of a training in one object, and in one file.

A checkpoint is a single safetensors file: weights, the best weights, optimiser tensors and the random state as tensors;
everything else as JSON in its metadata. One atomic write, so that no two halves can disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from nelbo.errors import StorageError
from nelbo.storage import read_tensors, write_tensors

FORMAT = 2
Optimisers = Mapping[str, torch.optim.Optimizer]  # by phase


@final
@dataclass
class TrainState:
    """Where a training stands; everything that decides its future besides settings and data."""

    epoch: int = 0  # complete epochs
    step: int = 0
    seconds: float = 0.0
    best: float | None = None  # lowest validation loss at final weights
    best_epoch: int = 0
    waiting_since: int = 0  # epoch from which patience counts: the best one, or the end of the warm-up
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    stopped: str = ""  # why training ended; empty while it goes on


def save_checkpoint(path: Path, state: TrainState, objective: nn.Module, optimisers: Optimisers) -> None:
    """Write state, weights, the optimiser of each phase and random state atomically."""
    tensors = {f"weights/{name}": tensor for name, tensor in objective.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best_weights.items()}
    plain = {}
    for phase, optimiser in optimisers.items():
        slots, plain[phase] = _split_optimiser(optimiser.state_dict())
        tensors |= {f"optimiser/{phase}/{name}": tensor for name, tensor in slots.items()}
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    content = {key: value for key, value in vars(state).items() if key != "best_weights"}
    metadata = {"format": str(FORMAT), "state": json.dumps(content), "optimisers": json.dumps(plain)}
    write_tensors(path, tensors, metadata)


def load_checkpoint(path: Path, objective: nn.Module, optimisers: Optimisers) -> TrainState:
    """Read what `save_checkpoint` wrote into the objective, the optimisers and torch's random state.

    Raises
    ------
    StorageError
        If the file is damaged, from another version, or of another model.
    """
    tensors, metadata = read_tensors(path)
    written = int(metadata.get("format", "0"))
    if written > FORMAT:
        raise StorageError(f"{path} was written by a newer nelbo (format {written}); upgrade nelbo")
    if written < FORMAT:
        raise StorageError(f"{path} was written by an older nelbo (format {written}); train anew with --overwrite")
    try:
        objective.load_state_dict(_under("weights/", tensors))
    except RuntimeError as problem:
        raise StorageError(f"{path} holds another model: {str(problem).splitlines()[-1].strip()}") from None
    plain = json.loads(metadata["optimisers"])
    for phase, optimiser in optimisers.items():
        optimiser.load_state_dict(_join_optimiser(_under(f"optimiser/{phase}/", tensors), plain[phase]))
    torch.set_rng_state(tensors["random/cpu"])
    if torch.cuda.is_available() and "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"])
    return TrainState(**json.loads(metadata["state"]), best_weights=_under("best/", tensors))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _split_optimiser(content: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the rest (numbers of slots, hyper-parameters) as JSON."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for index, slots in content["state"].items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"{index}/{name}"] = value
            else:
                plain.setdefault(str(index), {})[name] = value
    return tensors, {"state": plain, "param_groups": content["param_groups"]}


def _join_optimiser(tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(index): dict(slots) for index, slots in plain["state"].items()}
    for name, tensor in tensors.items():
        index, _, slot = name.partition("/")
        state.setdefault(int(index), {})[slot] = tensor
    return {"state": state, "param_groups": plain["param_groups"]}
