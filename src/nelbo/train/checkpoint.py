"""The whole state of a training in one object, and in one file.

A checkpoint is a single safetensors file: weights, the best weights, optimiser tensors and the random state as tensors;
everything else as JSON in its metadata. One atomic write, so that no two halves can disagree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from nelbo.errors import StorageError
from nelbo.storage import read_tensors, write_tensors

FORMAT = 1


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


def save_checkpoint(path: Path, state: TrainState, objective: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write state, weights, optimiser and random state atomically."""
    tensors = {f"weights/{name}": tensor for name, tensor in objective.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best_weights.items()}
    slots, plain = _split_optimiser(optimiser.state_dict())
    tensors |= slots
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    content = {key: value for key, value in vars(state).items() if key != "best_weights"}
    metadata = {"format": str(FORMAT), "state": json.dumps(content), "optimiser": json.dumps(plain)}
    write_tensors(path, tensors, metadata)


def load_checkpoint(path: Path, objective: nn.Module, optimiser: torch.optim.Optimizer) -> TrainState:
    """Read what `save_checkpoint` wrote into the objective, the optimiser and torch's random state.

    Raises
    ------
    StorageError
        If the file is damaged, from a newer version, or of another model.
    """
    tensors, metadata = read_tensors(path)
    if int(metadata.get("format", "0")) > FORMAT:
        raise StorageError(f"{path} was written by a newer nelbo (format {metadata['format']}); upgrade nelbo")
    try:
        objective.load_state_dict(_under("weights/", tensors))
    except RuntimeError as problem:
        raise StorageError(f"{path} holds another model: {str(problem).splitlines()[-1].strip()}") from None
    optimiser.load_state_dict(_join_optimiser(tensors, json.loads(metadata["optimiser"])))
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
                tensors[f"optimiser/{index}/{name}"] = value
            else:
                plain.setdefault(str(index), {})[name] = value
    return tensors, {"state": plain, "param_groups": content["param_groups"]}


def _join_optimiser(tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(index): dict(slots) for index, slots in plain["state"].items()}
    for name, tensor in _under("optimiser/", tensors).items():
        index, _, slot = name.partition("/")
        state.setdefault(int(index), {})[slot] = tensor
    return {"state": state, "param_groups": plain["param_groups"]}
