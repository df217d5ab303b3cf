"""Models of a few binary latents, in which every expectation is a sum over all codes.

z in {0, 1}^D, x given z and z given x Bernoulli with linear logits. The formulas here are written from the
definitions, in plain torch; they use nothing of the library but the model's parameters.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nelbo.likelihoods import BernoulliLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import Linear
from nelbo.posteriors import BernoulliPosterior, RelaxedBernoulliPosterior
from nelbo.priors import BernoulliPrior, RelaxedBernoulliPrior


@final
@dataclass(frozen=True, eq=False)
class BinaryModel:
    """A model of linear parts in float64, and what is known of it at the rows `x` [B, P]."""

    model: LatentVariableModel
    x: Tensor

    @property
    def codes(self) -> Tensor:
        """All of them, [2^D, D]."""
        return all_codes(self.model.latent)

    def log_q(self) -> Tensor:
        """log q(z given x) of every code, [2^D, B]."""
        weight, bias = self._of("posterior.network.layer")
        return log_mass(self.codes.unsqueeze(1), torch.sigmoid(self.x @ weight.T + bias))

    def log_weights(self) -> Tensor:
        """log p(x, z) - log q(z given x) of every code, [2^D, B]."""
        return self.log_joint() - self.log_q()

    def log_joint(self) -> Tensor:
        """log p(x given z) + log p(z) of every code, [2^D, B]."""
        return self.log_px() + self.log_pz().unsqueeze(1)

    def log_px(self) -> Tensor:
        weight, bias = self._of("likelihood.network.layer")
        return log_mass(self.x, torch.sigmoid(self.codes @ weight.T + bias).unsqueeze(1))

    def log_pz(self) -> Tensor:
        return log_mass(self.codes, torch.sigmoid(self.model.get_parameter("prior.logits")))

    def evidence(self) -> Tensor:
        """log sum_z p(x, z), [B]."""
        return self.log_joint().exp().sum(0).log()

    def expected(self, bound: Callable[[Tensor], Tensor], draws: int, log_w: Tensor | None = None) -> Tensor:
        """E_q[bound(log w_1, ..., log w_K)], [B], by all tuples of K codes; differentiable in every parameter."""
        log_w = self.log_weights() if log_w is None else log_w
        tuples = torch.cartesian_prod(*[torch.arange(len(self.codes))] * draws).view(-1, draws)
        mass = self.log_q()[tuples].sum(1).exp()  # [2^(D K), B]
        return (mass * bound(log_w[tuples].transpose(0, 1))).sum(0)

    def _of(self, layer: str) -> tuple[Tensor, Tensor]:
        return self.model.get_parameter(f"{layer}.weight"), self.model.get_parameter(f"{layer}.bias")


def log_mass(values: Tensor, shares: Tensor) -> Tensor:
    """log prod_d p_d^v_d (1 - p_d)^(1 - v_d), [..., D] -> [...]."""
    return (values * shares.log() + (1 - values) * (1 - shares).log()).sum(-1)


def all_codes(dim: int) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=dim)), dtype=torch.float64)


def random_binary(seed: int, dim: int = 2, cells: int = 4, rows: int = 3, scale: float = 1.0) -> BinaryModel:
    """Random parameters and random rows; q is not the posterior."""
    model = LatentVariableModel(
        BernoulliPrior(dim, learned=True),
        BernoulliPosterior(Linear(cells, dim), dim),
        BernoulliLikelihood(Linear(dim, cells), (cells,)),
    )
    return BinaryModel(randomised(model, seed, scale), random_rows(seed, rows, cells))


def relaxed_binary(seed: int, temperature: float, dim: int = 2, cells: int = 4) -> LatentVariableModel:
    """The relaxed model, both temperatures the same."""
    model = LatentVariableModel(
        RelaxedBernoulliPrior(dim, learned=True, temperature=temperature),
        RelaxedBernoulliPosterior(Linear(cells, dim), dim, temperature),
        BernoulliLikelihood(Linear(dim, cells), (cells,)),
    )
    return randomised(model, seed)


def randomised(model: LatentVariableModel, seed: int, scale: float = 1.0) -> LatentVariableModel:
    generator = torch.Generator().manual_seed(seed)
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def random_rows(seed: int, rows: int, cells: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, (rows, cells), generator=generator).double()
