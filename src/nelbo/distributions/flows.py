"""zuko's flows behind one door, and the distribution that draws through them.

Importing zuko turns the validation of torch's distributions off for the whole process and empties their table of
argument constraints; it is imported here only, and both are put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.normal import DiagonalNormal

FIXED_DRAWS = 256  # for moments that have no closed form


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


def autoregressive_steps(dim: int, context: int, steps: int, hidden: Sequence[int]) -> nn.ModuleList:
    """Masked autoregressive affine maps that read D values and a context, each in the order opposite to the last."""
    forwards = torch.arange(dim)
    make = zuko().MaskedAutoregressiveTransform
    return nn.ModuleList(
        make(dim, context, order=forwards if i % 2 == 0 else forwards.flip(0), hidden_features=tuple(hidden))
        for i in range(steps)
    )


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
        T_1 .. T_S, each with `call_and_ladj` and `inv`.
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
        return self._fixed().mean(0)

    @property
    def variance(self) -> Tensor:
        """Monte Carlo, as the mean."""
        return self._fixed().var(0)

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        return self.rsample_with_log_prob(sample_shape)[0]

    def rsample_with_log_prob(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> tuple[Tensor, Tensor]:
        """A draw and its log density, in one pass."""
        return self._push(self.base.rsample(sample_shape))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., D] gives."""
        return self.from_noise_with_log_prob(noise)[0]

    def from_noise_with_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The draw that standard normal noise [..., D] gives, and its log density, in one pass."""
        return self._push(self.base.from_noise(noise))

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value), `[..., D] -> [...]`, nats, by the inverse maps."""
        total = value.new_zeros(())
        for transform in reversed(self.transforms):
            value, ladj = transform.inv.call_and_ladj(value)
            total = total + ladj
        return self.base.log_prob(value) + total

    def _push(self, e: Tensor) -> tuple[Tensor, Tensor]:
        log_density = self.base.log_prob(e)
        for transform in self.transforms:
            e, ladj = transform.call_and_ladj(e)
            log_density = log_density - ladj
        return e, log_density

    def _fixed(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(FIXED_DRAWS, 1, *self.event_shape, generator=generator, dtype=self.base.loc.dtype)
        return self.from_noise(noise.to(self.base.loc.device))
