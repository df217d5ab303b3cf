"""Every choice of a training run, in one checked and serialisable place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nelbo.errors import ConfigError, unknown

STAGES = "stages"  # of a file: what a training does one after the other, each with changes to the settings


@final
class Settings(BaseModel):
    """What to train, on what, and how. Precedence: command line, then a TOML file, then the recipe's defaults.

    Nothing here is about one machine but `threads` and `device`; a run stores the resolved settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # The data and how they are read.
    source: str = "digits"
    label: str | None = None
    drop: tuple[str, ...] = ()
    group: str | None = None
    kind: str | None = None
    condition: Literal["none", "label"] = "none"
    transform: str = "auto"
    binarize: Literal["none", "dynamic", "threshold"] = "none"
    scaling: str = "auto"
    split: str = "auto"
    validation: float | None = Field(default=None, ge=0, lt=1)
    test: float | None = Field(default=None, gt=0, lt=1)

    # The model.
    recipe: str = "vae"
    latent: int = Field(default=16, ge=1)
    prior: str = "standard"
    posterior: str = "gaussian"
    likelihood: str = "auto"
    network: str = "mlp"
    hidden: tuple[int, ...] = (512, 256)
    min_log_variance: float = -14.0

    # The objective.
    objective: str = "elbo"
    samples: int | None = Field(default=None, ge=1)
    beta: float = Field(default=1.0, ge=0)
    warmup: str = "none"

    # The training.
    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=128, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    lr_schedule: str = "cosine"
    optimizer: str = "adam"
    clip: float | None = Field(default=None, gt=0)
    patience: int | None = Field(default=None, ge=1)
    keep: Literal["best", "last"] = "best"
    seed: int = Field(default=0, ge=0, lt=2**63)
    threads: int | None = Field(default=None, ge=1)
    device: str = "auto"
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False
    time_limit: str | None = None
    ema: float | None = Field(default=None, gt=0, lt=1)
    checkpoint_every: str = "1min"
    keep_checkpoints: int = Field(default=2, ge=1)
    log_every: str = "50steps"
    log: tuple[str, ...] = ()
    images_every: str | None = None

    @model_validator(mode="after")
    def _one_transform(self) -> Self:
        if self.binarize != "none" and self.transform not in {"auto", "none"}:
            raise ValueError(
                f"--binarize {self.binarize} and --transform {self.transform} exclude each other; give one"
            )
        if self.epochs is not None and self.steps is not None:
            raise ValueError("--epochs and --steps exclude each other; give one")
        return self

    @property
    def transform_string(self) -> str:
        """The transform as a part string; `auto` leaves the choice to the recipe."""
        return self.transform if self.binarize == "none" else f"binarize:mode={self.binarize}"


def resolve(*layers: Mapping[str, Any]) -> Settings:
    """Settings from layers, the later ones winning.

    Raises
    ------
    ConfigError
        For an unknown key (with the nearest known one) or a value out of range, in one sentence.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if key not in Settings.model_fields:
                raise unknown("setting", key, Settings.model_fields)
            # Steps given by a later layer replace epochs given by an earlier one, and the other way round.
            for one, other in (("epochs", "steps"), ("steps", "epochs")):
                if key == one and other not in layer:
                    merged.pop(other, None)
            merged[key] = value
    try:
        return Settings(**merged)
    except ValidationError as problem:
        raise ConfigError(_sentence(problem)) from None


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, and under `stages` its list of tables `[[stages]]`, if there is one.

    Raises
    ------
    ConfigError
        If it cannot be read, is not TOML, or holds an unknown key.
    """
    import tomllib

    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"cannot read the configuration {path}: {problem}; give an existing TOML file") from None
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{path} is not TOML ({problem}); write lines such as: latent = 20") from None
    for key in content:
        if key not in {*Settings.model_fields, STAGES}:
            raise unknown(f"setting in {path}:", key, Settings.model_fields)
    return content


def _sentence(problem: ValidationError) -> str:
    first = problem.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    message = str(first["msg"]).removeprefix("Value error, ")
    if not field:
        return message
    message = message.removeprefix("Input should be ")
    return f"--{field.replace('_', '-')} should be {message}, but {first['input']!r} was given"
