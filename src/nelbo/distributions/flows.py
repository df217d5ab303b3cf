"""zuko's flows behind one door, and the distribution that draws through them.

Importing zuko turns the validation of torch's distributions off for the whole process and empties their table of
argument constraints; it is imported here only, and both are put back.
"""

from __future__ import annotations

import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Self, final

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.drawing import fixed_draws
from nelbo.distributions.normal import DiagonalNormal
from nelbo.errors import CompositionError, ConfigError

MOST_WEIGHTS = 2**28
MOST_BINS = 64  # of a spline
START = 0.01  # of the weights that make a map other than the identity


@functools.cache
def zuko() -> Any:
    """The package, imported without its effects on torch's own distributions."""
    validate, table = vars(Distribution)["_validate_args"], vars(Distribution)["arg_constraints"]
    try:
        import zuko.distributions
        import zuko.flows
    finally:
        setattr(Distribution, "_validate_args", validate)  # noqa: B010
        setattr(Distribution, "arg_constraints", table)  # noqa: B010
    for found in vars(zuko.distributions).values():
        if isinstance(found, type) and found.__module__ == "zuko.distributions":
            # What it asked of all, for its own alone.
            setattr(found, "_validate_args", False)  # noqa: B010
            setattr(found, "arg_constraints", {})  # noqa: B010
    return zuko.flows


zuko()  # with the room: constructing a part imports nothing


def masks_of(dim: int, context: int, maps: int, hidden: Sequence[int]) -> AbstractContextManager[object]:
    """While masked networks are made: on the CPU even where others are made on the meta device.

    zuko reads the values of its masks, which the meta device has not. Their size is bounded here instead.

    Raises
    ------
    ConfigError
        If the networks would have more than 2^28 weights.
    """
    sizes = [dim + context, *hidden, 3 * MOST_BINS * dim]
    weights = sum(wide * narrow for wide, narrow in itertools.pairwise(sizes))
    if maps * max(weights, dim * (dim + context)) > MOST_WEIGHTS:
        raise ConfigError(
            f"{maps} maps of {dim} dimensions with hidden layers of {', '.join(map(str, hidden))} would have more than "
            f"{MOST_WEIGHTS:,} weights; give fewer or smaller ones"
        )
    return torch.device("cpu") if torch.get_default_device().type == "meta" else nullcontext()


def layer_sizes(hidden: Sequence[int] | int) -> tuple[int, ...]:
    """Sizes of the hidden layers of a flow's networks.

    Raises
    ------
    ConfigError
        If there are none, or one is below 1.
    """
    sizes = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    if not sizes or min(sizes) < 1:
        raise ConfigError(
            f"the networks of a flow need hidden layers of 1 unit or more, but {hidden} was given; use e.g. hidden=128"
        )
    return sizes


def autoregressive_steps(dim: int, context: int, steps: int, hidden: Sequence[int]) -> nn.ModuleList:
    """Masked autoregressive affine maps that read D values and a context, each in the order opposite to the last.

    They start next to the identity: the last layer of each network at a hundredth of its random weights, without bias.
    """
    make = zuko().MaskedAutoregressiveTransform
    with masks_of(dim, context, steps, hidden):
        forwards = torch.arange(dim)
        maps = nn.ModuleList(
            make(dim, context, order=forwards if i % 2 == 0 else forwards.flip(0), hidden_features=tuple(hidden))
            for i in range(steps)
        )
    with torch.no_grad():
        for each in maps:
            # zuko's masked layers are torch's, those of a single dimension its own.
            last = [layer for layer in each.get_submodule("hyper").children() if hasattr(layer, "weight")][-1]
            last.get_parameter("weight").mul_(START)
            last.get_parameter("bias").zero_()
    return maps


def spline_steps(dim: int, context: int, steps: int, bins: int, hidden: Sequence[int]) -> nn.ModuleList:
    """Masked autoregressive rational-quadratic splines on [-5, 5], the identity outside, in alternating order."""
    flows = zuko()
    if bins > MOST_BINS:
        raise ConfigError(f"a spline takes {MOST_BINS} bins or fewer, but bins={bins} was given")
    with masks_of(dim, context, steps, hidden):
        forwards = torch.arange(dim)
        return nn.ModuleList(
            flows.MaskedAutoregressiveTransform(
                dim,
                context,
                order=forwards if i % 2 == 0 else forwards.flip(0),
                univariate=flows.spline.MonotonicRQSTransform,
                shapes=[(bins,), (bins,), (bins - 1,)],
                hidden_features=tuple(hidden),
            )
            for i in range(steps)
        )


class Bijection(ABC):
    """A map of R^D to itself whose parameters are tensors, one set a row, as zuko's are functions."""

    @abstractmethod
    def call_and_ladj(self, e: Tensor) -> tuple[Tensor, Tensor]:
        """T(e), [..., D], and log abs(det dT / de), [...]."""

    @abstractmethod
    def invert_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """e with T(e) = z, [..., D], and log abs(det de / dz), [...]."""

    @abstractmethod
    def stopped(self) -> Self:
        """The same map with its parameters constant."""

    @property
    def inv(self) -> Inverse:
        return Inverse(self)


@final
class Inverse:
    """A bijection the other way round."""

    def __init__(self, forwards: Bijection) -> None:
        self._forwards = forwards

    def call_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self._forwards.invert_and_ladj(z)


@final
class Affine(Bijection):
    """T(e) = loc + exp(log_scale) e in every dimension; both [..., D]."""

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc = loc
        self.log_scale = log_scale

    def call_and_ladj(self, e: Tensor) -> tuple[Tensor, Tensor]:
        return torch.addcmul(self.loc, self.log_scale.exp(), e), self.log_scale.sum(-1)

    def invert_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return (z - self.loc) * torch.exp(-self.log_scale), -self.log_scale.sum(-1)

    def stopped(self) -> Affine:
        return Affine(self.loc.detach(), self.log_scale.detach())


@final
class Pushed(Distribution):
    r"""z = T_S(... T_1(e)), e ~ N(loc, diag(exp(log_variance))): batch shape [B], event shape [D].

    log q(z) = log N(e) - sum_s log abs(det dT_s / de_s): one pass for a draw of its own (`rsample_with_log_prob`), as
    many passes as dimensions for a z from elsewhere (`log_prob`).

    Parameters
    ----------
    base
        Of e.
    transforms
        T_1 .. T_S, each a `Bijection` or a map of zuko's.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: DiagonalNormal, transforms: Sequence[Any]) -> None:
        self.base = base
        self.transforms = tuple(transforms)
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Monte Carlo, from `FIXED_DRAWS` draws whose noise is always the same."""
        return fixed_draws(self, self.base.loc).mean(0)

    @property
    def variance(self) -> Tensor:
        """Monte Carlo, as the mean."""
        return fixed_draws(self, self.base.loc).var(0)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        return self.rsample_with_log_prob(sample_shape)[0]

    def rsample_with_log_prob(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> tuple[Tensor, Tensor]:
        """A draw and its log density, in one pass."""
        return self._scored(self.base.rsample(sample_shape))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., D] gives."""
        return self.from_noise_with_log_prob(noise)[0]

    def from_noise_with_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The draw that standard normal noise [..., D] gives, and its log density, in one pass."""
        return self._scored(self.base.from_noise(noise))

    def stopped(self) -> Pushed:
        """The same distribution with its parameters constant.

        Raises
        ------
        CompositionError
            If a map has its parameters in a network of its own, where they cannot be held.
        """
        held = [transform.stopped() for transform in self.transforms if isinstance(transform, Bijection)]
        if len(held) < len(self.transforms):
            raise CompositionError(
                "this flow cannot hold the parameters of its networks constant inside log q; use gradient=pathwise, "
                "or --posterior planar or householder"
            )
        return Pushed(self.base.stopped(), held)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value), `[..., D] -> [...]`, nats, by the inverse maps."""
        total = value.new_zeros(())
        for transform in reversed(self.transforms):
            value, ladj = transform.inv.call_and_ladj(value)
            total = total + ladj
        return self.base.log_prob(value) + total

    def push(self, e: Tensor) -> tuple[Tensor, Tensor]:
        """T(e), [..., D], and log abs(det dT / de), [...]."""
        total = e.new_zeros(())
        for transform in self.transforms:
            e, ladj = transform.call_and_ladj(e)
            total = total + ladj
        return e, total

    def _scored(self, e: Tensor) -> tuple[Tensor, Tensor]:
        z, ladj = self.push(e)
        return z, self.base.log_prob(e) - ladj
