"""A model on disk: its weights beside the spec that builds it, in the folder layout of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
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
    try:
        _File.model_validate(config)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = "does not describe a model" if where == "spec" else f"is damaged ({where}: {first['msg']})"
        raise StorageError(f"{folder}/config.json {what}; restore it from a copy") from None
    found: dict[str, Any] = config
    return found


class _Record(BaseModel):
    path: str
    sha256: str
    parts: list[str]


class _File(BaseModel):
    """What is read of a model's `config.json` here."""

    spec: dict[str, Any]
    plugins: list[_Record] = []
    weights_sha256: str | None = None


def load_model(folder: Path, networks: Mapping[str, nn.Module] | None = None) -> Model:
    """A model from its folder, in evaluation mode; nothing but constructors of a model's parts runs.

    Parts that came from a plugin must be registered already: see `nelbo.load_plugin`.
    """
    config = read_about(folder)
    plugins.require(config.get("plugins", ()), str(folder.parent if folder.name == "model" else folder))
    spec, file = config["spec"], folder / "model.safetensors"
    _check_sizes(spec, networks, file)
    try:
        with apart():  # initial weights are drawn, then overwritten
            model: Model = build(spec, networks, kinds=OF_A_MODEL)
    except _UNFORESEEN as problem:
        raise _not_built(folder, problem) from problem
    weights, _ = read_tensors(file)
    if config.get("weights_sha256") not in {None, digest(weights)}:
        raise StorageError(f"{folder}/model.safetensors is not the file its config.json names; restore it from a copy")
    model.load_state_dict(weights)
    model.eval()
    return model


# What a constructor of ours may raise for values of the right types that make no sense together.
_UNFORESEEN = (RuntimeError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


def _not_built(folder: Path, problem: Exception) -> StorageError:
    reason = next(iter(str(problem).splitlines()), type(problem).__name__)
    return StorageError(f"{folder}/config.json describes no model that can be built ({reason}); restore it from a copy")


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
    except _UNFORESEEN as problem:
        if not plugins.used_by(spec) and not networks:
            raise _not_built(file.parent, problem) from problem
        return  # a part of the user's own that looks at values
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
