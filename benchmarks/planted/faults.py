"""The faults: each is planted in a healthy training, in its settings, its data, its objective or its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from nelbo.core import Objective, Terms
from nelbo.models import Model
from nelbo.train.job import Job
from planted.sites import Site, Values

Settings = Mapping[str, Any]


def _no_settings(site: Site) -> Settings:
    return {}


@dataclass(frozen=True)
class Fault:
    """What is broken, and the findings that name it; where several do, the doctor may put any of them first."""

    name: str
    causes: frozenset[str]
    settings: Callable[[Site], Settings] = _no_settings
    values: Callable[[Values, np.random.Generator], Values] | None = None
    terms: Callable[[Terms, Site], Terms] | None = None
    spoil: Callable[[nn.Module], None] | None = None
    suits: Callable[[Site], bool] = field(default=lambda site: True)

    @contextmanager
    def planted(self, site: Site) -> Iterator[None]:
        """While the context is open, trainings are broken; what is read from their runs afterwards is not."""
        with (
            mock.patch.object(Model, "terms", self._terms(site)),
            mock.patch.object(Job, "build", self._build()),
        ):
            yield

    def _terms(self, site: Site) -> Callable[..., Terms]:
        original = Model.terms
        change = self.terms

        def terms(self: Model, *arguments: Any, **named: Any) -> Terms:
            found = original(self, *arguments, **named)
            return found if change is None else change(found, site)

        return terms

    def _build(self) -> Callable[..., Objective]:
        original, spoil = Job.build, self.spoil

        def build(self: Job, *arguments: Any, **named: Any) -> Objective:
            objective = original(self, *arguments, **named)
            if spoil is not None:
                spoil(objective.model)
            return objective

        return build


# What is done to the terms of the bound.


def _averaged(terms: Terms, site: Site) -> Terms:
    """log p(x given z) averaged over the cells while the KL is summed."""
    return dataclasses.replace(terms, log_px=terms.log_px / site.cells)


def _sign_flipped(terms: Terms, site: Site) -> Terms:
    """The KL added to the bound; scaled, for otherwise nothing is left after a few steps."""
    assert terms.kl is not None
    return dataclasses.replace(terms, kl=-terms.kl)


# What is done to the weights, at the start or before every step.


def _frozen(part: str) -> Callable[[nn.Module], None]:
    def spoil(model: nn.Module) -> None:
        for p in model.get_submodule(part).parameters():
            p.requires_grad_(False)

    return spoil


def _linears(module: nn.Module) -> list[nn.Linear]:
    return [each for each in module.modules() if isinstance(each, nn.Linear)]


def _before_each_step(module: nn.Module, change: Callable[[], None]) -> None:
    def hook(*_: object) -> None:
        with torch.no_grad():
            change()

    module.register_forward_pre_hook(hook)


def _dead_latents(model: nn.Module) -> None:
    """The decoder does not see the second half of the latents."""
    first = _linears(model.get_submodule("likelihood"))[0]
    half = first.in_features // 2

    def blind() -> None:
        first.weight[:, half:].zero_()

    _before_each_step(model.get_submodule("likelihood.network"), blind)


def _twins(model: nn.Module) -> None:
    """The encoder makes the first latent twice."""
    last = _linears(model.get_submodule("posterior"))[-1]
    latents = last.out_features // 2

    def copy() -> None:
        for place in (0, latents):  # means, then log-variances
            last.weight[place + 1].copy_(last.weight[place])
            last.bias[place + 1].copy_(last.bias[place])

    _before_each_step(model.get_submodule("posterior.network"), copy)


def _wide_codes(model: nn.Module) -> None:
    """Log-variances of the codes that start at a hundred."""
    last = _linears(model.get_submodule("posterior"))[-1]
    with torch.no_grad():
        last.bias[last.out_features // 2 :] += 100.0


def _large_weights(model: nn.Module) -> None:
    """Initial weights of the decoder thirty times too large."""
    with torch.no_grad():
        for each in _linears(model.get_submodule("likelihood")):
            each.weight.mul_(30.0)


# What is done to the data.


def _missing(values: Values, rng: np.random.Generator) -> Values:
    """A column that is not there in a third of the rows."""
    values = values.astype(np.float64).copy()
    values[rng.random(len(values)) < 1 / 3, values.shape[1] // 2] = np.nan
    return values


def _repeated(values: Values, rng: np.random.Generator) -> Values:
    """Every row three times, shuffled, as by a join that went wrong."""
    return rng.permutation(np.repeat(values[: max(200, len(values) // 3)], 3, axis=0))


def _unscaled(values: Values, rng: np.random.Generator) -> Values:
    """One column in thousandths of its unit."""
    values = values.astype(np.float64).copy()
    values[:, 0] *= 1e4
    return values


def _faint(values: Values, rng: np.random.Generator) -> Values:
    """Standardised, then a fifth of that."""
    values = values.astype(np.float64)
    return 0.2 * (values - values.mean(0)) / values.std(0)


def _tails(values: Values, rng: np.random.Generator) -> Values:
    """A column with noise of Student's t, 1.5 degrees of freedom."""
    values = values.astype(np.float64).copy()
    values[:, 0] += values[:, 0].std() * rng.standard_t(1.5, len(values))
    return values


def _few(values: Values, rng: np.random.Generator) -> Values:
    return values[np.sort(rng.permutation(len(values))[:300])]


def _is_table(site: Site) -> bool:
    return site.is_table


def _is_real(site: Site) -> bool:
    return site.kind == "real"


def _times_lr(factor: float) -> Callable[[Site], Settings]:
    return lambda site: {"lr": site.settings["lr"] * factor}


def _named(*keys: str) -> frozenset[str]:
    return frozenset(keys)


FAULTS = (
    Fault("likelihood averaged over cells", _named("likelihood-averaged"), terms=_averaged),
    Fault("KL with its sign flipped", _named("kl-sign"), terms=_sign_flipped),
    Fault(
        "decoder cut off the graph",
        _named("detached-encoder"),
        settings=lambda site: {"network": "cut-off-mlp"},
    ),
    Fault("encoder frozen", _named("frozen-encoder"), spoil=_frozen("posterior")),
    Fault("decoder frozen", _named("frozen-decoder"), spoil=_frozen("likelihood")),
    Fault("dead latents", _named("dead-latents"), spoil=_dead_latents),
    Fault("twin latents", _named("duplicate-latents"), spoil=_twins),
    Fault(
        "decoder's first weights too large", _named("exploding-gradients", "learning-rate-high"), spoil=_large_weights
    ),
    Fault("log-variances that overflow", _named("log-variance-overflow"), spoil=_wide_codes),
    Fault("learning rate 100 times too high", _named("learning-rate-high"), settings=_times_lr(100.0)),
    Fault("learning rate 100 times too low", _named("learning-rate-low"), settings=_times_lr(0.01)),
    Fault(
        "warm-up that never ends",
        _named("kl-not-annealed"),
        settings=lambda site: {"warmup": "linear:1.0", "time_limit": "2s", "keep": "last"},
    ),
    Fault("beta as large as the data", _named("beta-high"), settings=lambda site: {"beta": float(site.cells)}),
    Fault(
        "decoder with a variance above the data's",
        _named("variance-too-large"),
        settings=lambda site: {"likelihood": "gaussian:sigma=unit", "scaling": "none"},
        values=_faint,
        suits=_is_real,
    ),
    Fault("three epochs", _named("under-trained", "too-few-steps"), settings=lambda site: {"epochs": 3}),
    Fault(
        "a large net on few rows, its last weights",
        _named("overfitting"),
        settings=lambda site: {"hidden": (512, 512), "keep": "last", "epochs": 400, "patience": None},
        values=_few,
    ),
    Fault("missing cells", _named("missing-values"), values=_missing, suits=_is_table),
    Fault("repeated rows", _named("duplicated-rows", "leakage"), values=_repeated),
    Fault(
        "an unscaled column",
        _named("unscaled-columns"),
        settings=lambda site: {"scaling": "none"},
        values=_unscaled,
        suits=_is_real,
    ),
    Fault("a column with heavy tails", _named("heavy-tails"), values=_tails, suits=_is_real),
    Fault(
        "a density for whole numbers",
        _named("wrong-likelihood"),
        settings=lambda site: {"transform": "density", "likelihood": "gaussian"},
        suits=lambda site: site.kind == "whole",
    ),
    Fault(
        "a net of twelve sigmoid layers",
        _named("vanishing-gradients"),
        settings=lambda site: {"hidden": (64,) * 12, "network": "mlp:activation=sigmoid"},
    ),
)
