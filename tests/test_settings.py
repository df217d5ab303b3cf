"""Settings: precedence, ranges, and one sentence for every mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nelbo.errors import ConfigError
from nelbo.settings import Settings, read_config, resolve


def test_later_layers_win() -> None:
    settings = resolve({"latent": 5, "lr": 0.1, "beta": 2.0}, {"latent": 6, "lr": 0.2}, {"latent": 7})
    assert (settings.latent, settings.lr, settings.beta) == (7, 0.2, 2.0)
    assert resolve() == Settings()


def test_layers_are_left_as_they_were() -> None:
    first, second = {"epochs": 3}, {"steps": 5}
    resolve(first, second)
    assert (first, second) == ({"epochs": 3}, {"steps": 5})


def test_steps_of_a_later_layer_replace_epochs_of_an_earlier_one_and_the_other_way_round() -> None:
    by_steps = resolve({"epochs": 3}, {"steps": 5})
    assert (by_steps.epochs, by_steps.steps) == (None, 5)
    by_epochs = resolve({"steps": 5}, {"epochs": 3})
    assert (by_epochs.epochs, by_epochs.steps) == (3, None)
    with pytest.raises(ConfigError, match="--epochs and --steps exclude each other; give one"):
        resolve({"epochs": 3, "steps": 5})


def test_stored_settings_come_back_the_same() -> None:
    for settings in (resolve({"steps": 7, "hidden": (4, 3)}), resolve({"epochs": 7, "drop": ("a", "b")})):
        assert resolve(json.loads(json.dumps(settings.model_dump(mode="json")))) == settings


@pytest.mark.parametrize(
    ("key", "near"), [("latnt", "latent"), ("batchsize", "batch_size"), ("learning_rates", None), ("sead", "seed")]
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, near: str | None, tmp_path: Path) -> None:
    hint = f"did you mean '{near}'" if near else "known: "
    with pytest.raises(ConfigError, match=rf"unknown setting '{key}'; .*{hint}|unknown setting '{key}'; {hint}"):
        resolve({key: 1})
    path = tmp_path / "c.toml"
    path.write_text(f"{key} = 1\n")
    with pytest.raises(ConfigError, match=rf"unknown setting in .*c\.toml: '{key}'; "):
        read_config(path)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"latent": 0}, "--latent should be greater than or equal to 1, but 0 was given"),
        ({"latent": "many"}, "--latent should be a valid integer, unable to parse string as an integer"),
        ({"batch_size": 0}, "--batch-size should be greater than or equal to 1, but 0 was given"),
        ({"epochs": 0}, "--epochs should be greater than or equal to 1, but 0 was given"),
        ({"lr": 0.0}, "--lr should be greater than 0, but 0.0 was given"),
        ({"lr": float("nan")}, "--lr should be a finite number, but nan was given"),
        ({"beta": -1.0}, "--beta should be greater than or equal to 0, but -1.0 was given"),
        ({"samples": 0}, "--samples should be greater than or equal to 1"),
        ({"seed": -1}, "--seed should be greater than or equal to 0"),
        ({"test": 1.5}, "--test should be less than 1, but 1.5 was given"),
        ({"keep": "bset"}, "--keep should be 'best' or 'last', but 'bset' was given"),
        ({"precision": "fp8"}, "--precision should be 'float32' or 'bf16', but 'fp8' was given"),
        ({"binarize": "static"}, "--binarize should be 'none', 'dynamic' or 'threshold', but 'static' was given"),
        (
            {"binarize": "dynamic", "transform": "logit"},
            "--binarize dynamic and --transform logit exclude each other; give one",
        ),
    ],
)
def test_a_value_out_of_range_is_one_sentence_that_names_the_flag(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(values)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_settings_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().latent = 3


def test_binarisation_is_a_transform() -> None:
    assert resolve({"binarize": "dynamic"}).transform_string == "binarize:mode=dynamic"
    assert resolve({"transform": "logit"}).transform_string == "logit"
    assert Settings().transform_string == "auto"


def test_a_toml_file_is_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('latent = 3\nhidden = [8, 4]\nwarmup = "linear:0.2"\n')
    settings = resolve(read_config(path), {"latent": 4})
    assert (settings.latent, settings.hidden, settings.warmup) == (4, (8, 4), "linear:0.2")


def test_a_file_that_is_missing_or_no_toml_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .* give an existing TOML file"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        read_config(tmp_path)
    path = tmp_path / "c.toml"
    path.write_text("latent: 3\n")
    with pytest.raises(ConfigError, match=r"is not TOML .* write lines such as: latent = 20"):
        read_config(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        read_config(path)
