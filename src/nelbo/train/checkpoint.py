"""The whole state of a training in one object, and in one file.

A checkpoint is a single safetensors file: weights, their average, the best weights, optimiser tensors and random states
as tensors; everything else as JSON in its metadata. One atomic write, so that no two halves can disagree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from nelbo.errors import StorageError
from nelbo.storage import read_tensors, write_tensors

FORMAT = 4
NAME = "step-{:09d}.safetensors"
Optimisers = Mapping[str, torch.optim.Optimizer]  # by phase


@final
@dataclass
class TrainState:
    """Where a training stands; everything that decides its future besides settings and data."""

    epoch: int = 0  # complete epochs
    step: int = 0
    position: int = 0  # batches done of the epoch that runs
    sums: dict[str, Any] = field(default_factory=dict)  # what was measured in it so far
    seconds: float = 0.0
    best: float | None = None  # lowest validation loss at final weights
    best_epoch: int = 0
    waiting_since: int = 0  # epoch from which patience counts: the best one, or the end of the warm-up
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)  # of the weights, where one is kept
    noise: dict[str, Tensor] = field(default_factory=dict)  # state of the epoch's noise
    stopped: str = ""  # why training ended; empty while it goes on

    def as_json(self) -> dict[str, Any]:
        """All but the tensors."""
        return {name: value for name, value in vars(self).items() if name not in _TENSORS}


_TENSORS = {"best_weights": "best/", "average": "average/", "noise": "noise/"}


@final
class Checkpoints:
    """The last few checkpoints of a training, in a folder, by their step."""

    def __init__(self, folder: Path, keep: int = 2, stage: str = "") -> None:
        self.folder = folder
        self.stage = stage
        self._keep = keep

    @property
    def files(self) -> list[Path]:
        """The newest first."""
        return sorted(self.folder.glob(NAME.replace("{:09d}", "*")), reverse=True)

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Let a file be written; those before the last few are removed once it stands."""
        write(self.folder / NAME.format(step))
        for old in self.files[self._keep :]:
            old.unlink(missing_ok=True)

    def load(self, read: Callable[[Path], TrainState], chosen: str | None = None) -> TrainState | None:
        """What the newest checkpoint holds, or a chosen one (files after it are set aside); None where there is none.

        Raises
        ------
        StorageError
            If it is damaged, or from another version; the message names the newest one that is sound.
        """
        files = self.files
        if chosen is not None:
            files = [file for file in files if chosen in {file.name, file.stem}]
            if not files:
                known = ", ".join(file.stem for file in self.files) or "none"
                raise StorageError(f"{self.folder} holds no checkpoint {chosen!r}; it holds: {known}")
        if not files:
            return None
        try:
            state = read(files[0])
        except StorageError as problem:
            raise StorageError(f"{problem}{self._way_out(files[0])}") from None
        for later in self.files:
            if later.name > files[0].name:
                later.rename(later.with_suffix(".aside"))
        return state

    def _way_out(self, damaged: Path) -> str:
        """The newest sound checkpoint before a damaged one, as a remedy."""
        for file in self.files:
            if file.name < damaged.name and _is_sound(file):
                return f"; the one before it is sound: go on from it with --checkpoint {file.stem}"
        return "; no sound checkpoint is before it"


def _is_sound(file: Path) -> bool:
    try:
        _, metadata = read_tensors(file)
    except StorageError:
        return False
    return metadata.get("format") == str(FORMAT)


def save_checkpoint(
    path: Path, state: TrainState, objective: nn.Module, optimisers: Optimisers, stage: str = ""
) -> None:
    """Write state, weights, the optimiser of each phase and random state atomically."""
    tensors = {f"weights/{name}": tensor for name, tensor in objective.state_dict().items()}
    for field_name, prefix in _TENSORS.items():
        tensors |= {f"{prefix}{name}": tensor for name, tensor in getattr(state, field_name).items()}
    plain = {}
    for phase, optimiser in optimisers.items():
        slots, plain[phase] = _split_optimiser(optimiser.state_dict())
        tensors |= {f"optimiser/{phase}/{name}": tensor for name, tensor in slots.items()}
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    metadata = {"state": json.dumps(state.as_json()), "optimisers": json.dumps(plain)}
    write_tensors(path, tensors, {"format": str(FORMAT), "stage": stage, **metadata})


def load_checkpoint(path: Path, objective: nn.Module, optimisers: Optimisers, stage: str = "") -> TrainState:
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
    if metadata.get("stage", "") != stage:
        raise StorageError(f"{path} is of the stage {metadata.get('stage')!r}, not of {stage!r}; put it back there")
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
    held: dict[str, Any] = {name: _under(prefix, tensors) for name, prefix in _TENSORS.items()}
    return TrainState(**json.loads(metadata["state"]), **held)


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
