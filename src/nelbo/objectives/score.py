"""Score-function gradients, for latents that have no reparameterisation, and what is subtracted from their signal."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.core import Batch, Bound, Draw, Gradient, Terms
from nelbo.errors import ConfigError
from nelbo.networks.mlp import apply
from nelbo.networks.reading import Reading
from nelbo.registry import register


@register("gradient/reinforce")
@final
class Reinforce(Gradient):
    r"""d E_q[f] = E_q[sum_k f_k d log q(z_k) + d f]: f is the bound, f_k what of it the k-th draw has a part in.

    f_k is all of f for the importance-weighted bound, and the k-th term of the sum for the evidence lower bound. It is
    a constant in the first sum.

    References
    ----------
    Williams (1992), Simple statistical gradient-following algorithms; Paisley, Blei and Jordan (2012),
    arXiv:1206.6430, eq. 5.
    """

    draw = Draw.SCORE

    def forward(self, bound: Bound, log_w: Tensor, terms: Terms, batch: Batch) -> Tensor:
        return bound(log_w, terms.log_r) + _score(_own(bound, log_w, terms), terms)


@register("gradient/reinforce-average")
@final
class ReinforceAverage(Gradient):
    """REINFORCE whose signal is f_k less a moving average of it over the batches before.

    Parameters
    ----------
    decay
        Share of the average that stays at each step, 0 to 1.

    References
    ----------
    Williams (1992), Simple statistical gradient-following algorithms.
    """

    draw = Draw.SCORE

    def __init__(self, decay: float = 0.9) -> None:
        super().__init__()
        self.average = MovingAverage(decay)

    def forward(self, bound: Bound, log_w: Tensor, terms: Terms, batch: Batch) -> Tensor:
        signal = self.average.centred(_own(bound, log_w, terms))
        return bound(log_w, terms.log_r) + _score(signal, terms)


@register("gradient/nvil")
@final
class NVIL(Gradient):
    """REINFORCE whose signal is f_k less a network of the datum and less the moving average of what that leaves.

    The network learns to predict the signal by least squares; that loss has the value 0 here, so that it moves no
    reported figure, and the gradient it should have.

    Parameters
    ----------
    network
        From x to one number.
    decay
        Of the moving average, 0 to 1.
    reading
        How the network reads x, as that of the posterior does.

    References
    ----------
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks, arXiv:1402.0030, eq. 6-9;
    without the division by the running standard deviation, which makes the estimate biased.
    """

    draw = Draw.SCORE

    def __init__(self, network: nn.Module, decay: float = 0.9, reading: Reading | None = None) -> None:
        super().__init__()
        self.network = network
        self.reading = reading
        self.average = MovingAverage(decay)

    def forward(self, bound: Bound, log_w: Tensor, terms: Terms, batch: Batch) -> Tensor:
        x = batch.inputs if self.reading is None else self.reading(batch.inputs)
        predicted = apply(self.network, x, batch.context).squeeze(-1)
        signal = self.average.centred(_own(bound, log_w, terms) - predicted.detach())
        misfit = (signal + predicted.detach() - predicted).square().mean(0)
        return bound(log_w, terms.log_r) + _score(signal, terms) - (misfit - misfit.detach())


@register("gradient/vimco")
@final
class VIMCO(Gradient):
    r"""Each draw's signal is f less f with that draw's log w replaced by the mean of the others': K >= 2.

    No parameters and no state. For the evidence lower bound it is REINFORCE with the other draws' mean as the baseline.

    References
    ----------
    Mnih and Rezende (2016), Variational inference for Monte Carlo objectives, arXiv:1602.06725, eq. 9-11.
    """

    draw = Draw.SCORE

    def forward(self, bound: Bound, log_w: Tensor, terms: Terms, batch: Batch) -> Tensor:
        draws = log_w.shape[0]
        if draws < 2:
            raise ConfigError("the leave-one-out signal needs 2 draws or more; give e.g. --samples 5")
        value, constant = bound(log_w, terms.log_r), log_w.detach()
        others = (constant.sum(0) - constant) / (draws - 1)
        # [K, K, B]: in row k the k-th draw is replaced.
        replaced = constant.expand(draws, *constant.shape).clone()
        replaced.diagonal(dim1=0, dim2=1).copy_(others.transpose(0, 1))
        log_r = None if terms.log_r is None else terms.log_r.detach()
        without = torch.stack([bound(row, log_r) for row in replaced])
        return value + _score(value.detach() - without, terms)


class MovingAverage(nn.Module):
    """Of the mean of a signal over batches; it moves in training only, after it was used."""

    value: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ConfigError(f"the decay of a moving average must be 0 or more and below 1, but {decay} was given")
        self.decay = decay
        self.register_buffer("value", torch.zeros(()))

    def centred(self, signal: Tensor) -> Tensor:
        """`signal` less the average of the batches before."""
        result = signal - self.value
        if self.training:
            self.value = torch.lerp(signal.mean().to(self.value.dtype), self.value, self.decay)
        return result


def _own(bound: Bound, log_w: Tensor, terms: Terms) -> Tensor:
    """What of the bound each draw has a part in, [K, B], a constant."""
    return bound.own(log_w.detach(), None if terms.log_r is None else terms.log_r.detach())


def _score(signal: Tensor, terms: Terms) -> Tensor:
    """sum_k signal d log q(z_k), with the value 0: [B]."""
    if terms.log_qz is None:
        raise ConfigError("a score-function gradient needs the density of q; use a posterior that has one")
    score = (signal * terms.log_qz).sum(0)
    return score - score.detach()
