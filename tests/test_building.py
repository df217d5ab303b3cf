"""A model's file runs no code: what a spec may name, of which types and sizes, and what building touches."""

from __future__ import annotations

import copy
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from nelbo.arguments import MOST, declared
from nelbo.errors import NelboError
from nelbo.registry import OF_A_MODEL, build, lookup, registered, spec_of
from nelbo.runs import load_model, save_model
from zoo import CASES, Case

Place = tuple[str | int, ...]
BY_NAME = {case.name: case for case in CASES}
WATCHED = ("open", "import", "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "ctypes.")
_EVENTS: list[str] | None = None


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if _EVENTS is not None and event.startswith(WATCHED):
        _EVENTS.append(f"{event} {arguments[0] if arguments else ''}")


sys.addaudithook(_listen)  # for the life of the process: an audit hook cannot be taken away


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is opened, imported, started or connected meanwhile."""
    global _EVENTS  # noqa: PLW0603
    events: list[str] = []
    _EVENTS = events
    try:
        yield events
    finally:
        _EVENTS = None


def specs_by_part() -> dict[str, dict[str, Any]]:
    """One legal spec of each part of a model that the zoo uses."""
    found: dict[str, dict[str, Any]] = {}
    point = Case("autoencoder", "binary", {"posterior": "delta", "objective": "autoencoder"})
    for case in (*CASES, point):
        for _, node in nodes(case.job.objective_spec["model"]):
            if isinstance(node, Mapping):
                found.setdefault(str(node["part"]), dict(node))
    return found


def nodes(tree: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value in a tree with the way to it, the root first."""
    yield place, tree
    inner = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        if key != "part":
            yield from nodes(value, (*place, key))


def planted(tree: Any, place: Place, value: Any) -> Any:
    """The tree with another value in one place."""
    if not place:
        return value
    made = copy.deepcopy(tree)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return made


SPECS = specs_by_part()


def test_the_zoo_uses_every_part_of_a_model() -> None:
    named = {f"{kind}/{name}" for kind in OF_A_MODEL for name, _ in registered(kind)}
    assert named == set(SPECS)


@pytest.mark.parametrize("part", sorted(SPECS))
def test_building_touches_no_file_import_process_or_socket(part: str, tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text("raise SystemExit('executed')")
    build(SPECS[part], kinds=OF_A_MODEL)  # what it needs is loaded now
    hostile = [str(evil), "evil", "os", "/etc/passwd", "http://127.0.0.1:9/x", "$(false)", "", "measure/samples"]
    with watched() as events:
        build(SPECS[part], kinds=OF_A_MODEL)
        for name, word in itertools.product(declared(lookup(part)), hostile):
            try:
                build({**SPECS[part], name: word}, kinds=OF_A_MODEL)
            except NelboError:
                continue
            pytest.fail(f"{part} was built with {name}={word!r}")
    assert events == []


def test_the_watch_sees_what_it_should(tmp_path: Path) -> None:
    with watched() as events:
        (tmp_path / "x").write_text("x")
        sys.modules.pop("this_module_is_not_there", None)
        with pytest.raises(ImportError):
            __import__("this_module_is_not_there")
    assert any(event.startswith("open") for event in events)
    assert "import this_module_is_not_there" in events


@pytest.mark.parametrize("name", ["vae-binary", "label-conditional-mixed", "flow-iaf", "second-stage-full-gaussian"])
def test_a_part_that_is_none_of_a_model_is_refused_in_every_place_of_the_tree(name: str, tmp_path: Path) -> None:
    case, marker, evil = BY_NAME[name], tmp_path / "executed", tmp_path / "evil.py"
    evil.write_text(f"open({str(marker)!r}, 'w')\n\ndef features(x):\n    return x\n")
    folder = tmp_path / "model"
    save_model(folder, case.objective().model)
    config = json.loads((folder / "config.json").read_text())
    spec = config["spec"]
    for place, _ in nodes(spec):
        for plant in (
            {"part": "measure/samples", "features": str(evil)},
            {"part": "measure/samples", "features": "../evil.py"},
            {"part": "gradient/nvil", "network": {"part": "measure/samples", "features": str(evil)}},
            {"part": "kl/analytic"},
        ):
            (folder / "config.json").write_text(json.dumps({**config, "spec": planted(spec, place, plant)}))
            with pytest.raises(NelboError):
                load_model(folder)
    assert not marker.exists()


WRONG: list[tuple[str, str, Any]] = [
    ("model/latent", "prior", SPECS["posterior/gaussian"]),
    ("model/latent", "posterior", SPECS["prior/standard"]),
    ("model/latent", "likelihood", 3),
    ("posterior/gaussian", "network", SPECS["prior/standard"]),
    ("posterior/gaussian", "network", None),
    ("posterior/gaussian", "dim", 2.5),
    ("posterior/gaussian", "min_log_variance", float("nan")),
    ("network/mlp", "hidden", "8"),
    ("network/mlp", "hidden", [8, "8"]),
    ("network/mlp", "hidden", [[8]]),
    ("network/mlp", "hidden", [1] * (MOST + 1)),
    ("network/mlp", "in_features", True),
    ("network/mlp", "in_features", 2**24 + 1),
    ("network/residual-mlp", "blocks", 10**6),
    ("network/residual-mlp", "hidden", [1] * (MOST + 1)),
    ("posterior/planar", "steps", 10**9),
    ("posterior/spline", "bins", 10**6),
    ("posterior/iaf", "hidden", 10**7),
    ("prior/flow", "dim", 10**6),
    ("prior/bernoulli", "learned", "yes"),
    ("likelihood/gaussian", "sigma", "wide"),
    ("likelihood/gaussian", "shape", {"a": 1}),
    ("likelihood/mixed", "columns", [["0"]]),
]


@pytest.mark.parametrize(("part", "name", "value"), WRONG, ids=lambda each: str(each)[:30])
def test_an_argument_of_another_type_or_size_is_refused(part: str, name: str, value: Any) -> None:
    with pytest.raises(NelboError, match=name):
        build({**SPECS[part], name: value}, kinds=OF_A_MODEL)


@pytest.mark.parametrize("name", ["in_features", "out_features", "hidden"])
def test_sizes_are_held_against_the_weights_before_anything_is_allocated(name: str, tmp_path: Path) -> None:
    case = BY_NAME["vae-binary"]
    save_model(tmp_path, case.objective().model)
    config = json.loads((tmp_path / "config.json").read_text())
    config["spec"]["posterior"]["network"][name] = [2**24, 2**24] if name == "hidden" else 2**24
    (tmp_path / "config.json").write_text(json.dumps(config))  # a petabyte
    with pytest.raises(NelboError):
        load_model(tmp_path)


def test_a_spec_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    spec: dict[str, Any] = dict(SPECS["prior/standard"])
    for _ in range(50):
        spec = {"part": "model/latent", "prior": spec}
    with pytest.raises(NelboError, match="nests parts"):
        build(spec, kinds=OF_A_MODEL)
    text = json.dumps({"part": "prior/standard", "dim": 0}).replace("0", "[" * 100_000 + "]" * 100_000)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(NelboError, match="damaged"):
        load_model(tmp_path)


@pytest.mark.parametrize("case", CASES[::5], ids=lambda case: case.name)
def test_a_skeleton_on_the_meta_device_has_the_shapes_of_the_model(case: Case) -> None:
    spec = case.job.objective_spec["model"]
    with torch.device("meta"):
        skeleton = build(spec)
    real = build(spec)
    assert {n: t.shape for n, t in skeleton.state_dict().items()} == {n: t.shape for n, t in real.state_dict().items()}


DAMAGED: list[tuple[str, Any]] = [
    ("plugins", 3), ("plugins", [1]), ("plugins", [None]), ("plugins", "x"), ("weights_sha256", []),
    ("spec", {"part": "model/latent", "prior": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), DAMAGED, ids=str)
def test_a_damaged_file_is_one_sentence(name: str, value: Any, tmp_path: Path) -> None:
    case = BY_NAME["vae-binary"]
    save_model(tmp_path, case.objective().model)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, name: value}))
    with pytest.raises(NelboError):
        load_model(tmp_path)


NONSENSE: list[tuple[str, str, Any]] = [
    ("reading/scaled", "scale", 0.0),
    ("likelihood/gaussian", "shape", [-1]),
    ("likelihood/gaussian", "shape", [2**24, 2**24, 2**24]),
    ("likelihood/gaussian", "shift", [0.0, 1.0]),
    ("network/mlp", "out_features", -1),
    ("network/linear", "in_features", -3),
]


@pytest.mark.parametrize(("part", "name", "value"), NONSENSE, ids=str)
def test_values_that_make_no_sense_together_are_one_sentence(part: str, name: str, value: Any, tmp_path: Path) -> None:
    case = next(case for case in CASES if part in json.dumps(case.job.objective_spec["model"]))
    save_model(tmp_path, case.objective().model)
    config = json.loads((tmp_path / "config.json").read_text())
    place = next(place for place, node in nodes(config["spec"]) if isinstance(node, dict) and node["part"] == part)
    (tmp_path / "config.json").write_text(
        json.dumps({**config, "spec": planted(config["spec"], (*place, name), value)})
    )
    with pytest.raises(NelboError):
        load_model(tmp_path)


def test_a_part_that_was_taken_away_or_added_is_saved_so(tmp_path: Path) -> None:
    with_reading, without = BY_NAME["vae-real"].objective().model, BY_NAME["vae-binary"].objective().model
    reading = with_reading.reading
    with_reading.reading = None  # type: ignore[assignment]
    without.reading = reading  # type: ignore[assignment]
    for name, model in (("a", with_reading), ("b", without)):
        save_model(tmp_path / name, model)
    assert spec_of(with_reading)["reading"] is None
    assert load_model(tmp_path / "a").reading is None
    assert spec_of(load_model(tmp_path / "b"))["reading"] == spec_of(reading)


def test_a_part_that_took_anothers_place_is_what_is_saved(tmp_path: Path) -> None:
    case = BY_NAME["vae-binary"]
    model = case.objective().model
    model.prior = build({"part": "prior/mixture", "dim": 2, "components": 3})
    assert spec_of(model)["prior"] == {"part": "prior/mixture", "dim": 2, "components": 3}
    save_model(tmp_path, model)
    assert load_model(tmp_path).state_dict().keys() == model.state_dict().keys()
