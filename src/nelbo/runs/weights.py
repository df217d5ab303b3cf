"""A model on disk: its weights beside the spec that builds it, in the folder layout of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nelbo import plugins
from nelbo.core import Model
from nelbo.errors import StorageError
from nelbo.noise import apart
from nelbo.registry import OF_A_MODEL, Spec, build, spec_of
from nelbo.runs.folder import check_format
from nelbo.storage import digest, read_json, read_tensors, tensor_shapes, write_json, write_tensors

__all__ = ["FORMAT", "load_model", "read_about", "save_model"]

FORMAT = 2


def save_model(folder: Path, model: Model, about: Mapping[str, Any] | None = None) -> None:
    """Weights and spec, weights first: a `config.json` says that the folder is whole.

    Parameters
    ----------
    about
        What else belongs to the model, as plain JSON: the data that it reads.
    """
    spec, weights = spec_of(model), model.state_dict()
    write_tensors(folder / "model.safetensors", weights)
    content = {
        "format": FORMAT,
        "spec": spec,
        "plugins": plugins.used_by(spec),
        "weights_sha256": digest(weights),
        **(about or {}),
    }
    write_json(folder / "config.json", content)


def read_about(folder: Path) -> dict[str, Any]:
    """What `save_model` wrote beside the weights.

    Raises
    ------
    StorageError
        If it is missing or damaged, of another format, or describes no model.
    """
    config = read_json(folder / "config.json")
    check_format(config, FORMAT, str(folder))
    if not isinstance(config.get("spec"), dict):
        raise StorageError(f"{folder}/config.json does not describe a model (it has no spec); restore it from a copy")
    found: dict[str, Any] = config
    return found


def load_model(folder: Path, networks: Mapping[str, nn.Module] | None = None) -> Model:
    """A model from its folder, in evaluation mode; nothing but constructors of a model's parts runs.

    Parts that came from a plugin must be registered already: see `nelbo.load_plugin`.
    """
    config = read_about(folder)
    plugins.require(config.get("plugins", ()), str(folder.parent if folder.name == "model" else folder))
    spec, file = config["spec"], folder / "model.safetensors"
    _check_sizes(spec, networks, file)
    with apart():  # initial weights are drawn, then overwritten
        model: Model = build(spec, networks, kinds=OF_A_MODEL)
    weights, _ = read_tensors(file)
    if config.get("weights_sha256") not in {None, digest(weights)}:
        raise StorageError(f"{folder}/model.safetensors is not the file its config.json names; restore it from a copy")
    model.load_state_dict(weights)
    model.eval()
    return model


def _check_sizes(spec: Spec, networks: Mapping[str, nn.Module] | None, file: Path) -> None:
    """Refuse a spec whose weights are not those of the file, before anything is allocated for them.

    Raises
    ------
    StorageError
        If names or shapes differ, or the spec is of no model.
    """
    try:
        with torch.device("meta"), apart():
            model = build(spec, networks, kinds=OF_A_MODEL)
    except (RuntimeError, NotImplementedError):  # a part of the user's own that looks at values
        if not plugins.used_by(spec) and not networks:
            raise
        return
    if not isinstance(model, Model):
        raise StorageError(f"{file.parent}/config.json describes no model but {spec['part']!r}; restore it from a copy")
    needed = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = tensor_shapes(file)
    wrong = sorted(name for name in {*needed, *found} if needed.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise StorageError(
            f"{file} does not fit its config.json: {name} is {_size(found.get(name))} in the one and "
            f"{_size(needed.get(name))} in the other; restore both from a copy"
        )


def _size(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape)) or "one number"
