"""What the latents do: rate per dimension, active units, outputs at their floor."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast, final

import torch
from torch import Tensor, nn

from nelbo.core import Batch, Model
from nelbo.distributions.drawing import rsample_with_log_prob
from nelbo.distributions.normal import Floored
from nelbo.noise import own_noise

DRAWS = 20  # of the Monte Carlo KL, a row
ACTIVE = (
    0.01  # variance of the posterior mean over data above which a latent is active; Burda et al. (2016), section 5.3
)


@final
@dataclass(frozen=True, eq=False)
class LatentSummary:
    """Figures over the rows of a data set, float64."""

    kl: Tensor | None  # [D]  mean KL per latent, nats; None where no closed form tells the latents apart
    rate: float | None  # mean KL over all latents: their sum, else a Monte Carlo one; None without a density
    variance_of_means: Tensor  # [D]  variance over data of the posterior mean
    by_group: dict[str, float] = field(default_factory=dict)  # mean KL of each group that has a closed form
    share_at_floor: dict[str, float] = field(default_factory=dict)  # by module: outputs at the log-variance floor

    @property
    def active_units(self) -> int:
        """Latents whose posterior mean varies by more than 0.01 over the data."""
        return int((self.variance_of_means > ACTIVE).sum())


@torch.inference_mode()
def summarise_latents(model: Model, batches: Iterable[Batch]) -> LatentSummary:
    """Encode every row, decode its mean, and summarise; two passes' worth of moments in one, in float64."""
    means, sampled = [], []
    rates: dict[str, list[Tensor]] = {}
    with of_log_variances(model, Floored.share_at_floor) as shares, own_noise():
        for batch in batches:
            q, z = model.encode(batch), model.point(batch)
            model.decode(z, batch.context)
            means.append(z.double().cpu())
            closed = model.rates(q, batch.context)
            for name, kl in closed.items():
                rates.setdefault(name, []).append(kl.double().cpu())
            if len(closed) < len(model.groups) and model.abilities.density:
                z, log_q = rsample_with_log_prob(q, DRAWS)
                log_p = model.prior_of(batch.context).log_prob(z)
                sampled.append((cast("Tensor", log_q) - log_p).mean(0).double().cpu())
    by_group = {name: torch.cat(found, 1).mean(1) for name, found in rates.items()}  # [G] each
    total = float(torch.cat(sampled).mean()) if sampled else None
    if len(by_group) == len(model.groups):
        total = float(torch.cat(list(by_group.values())).sum())
    apart = all(name in by_group and len(by_group[name]) == group.size for name, group in model.groups.items())
    return LatentSummary(
        kl=torch.cat([by_group[name] for name in model.groups]) if apart else None,
        rate=total,
        variance_of_means=torch.cat(means).var(0, correction=0),
        by_group={name: float(found.sum()) for name, found in by_group.items()},
        share_at_floor={name: sum(found) / len(found) for name, found in shares.items()},
    )


@torch.inference_mode()
def distortion(model: Model, batches: Iterable[Batch]) -> float:
    """D = -E_q log p(x given z) in nats per datum, one draw of z a row; with the rate R the bound is -(R + D).

    References
    ----------
    Alemi et al. (2018), Fixing a broken ELBO, arXiv:1711.00464.
    """
    found = []
    with own_noise():
        for batch in batches:
            z, _ = rsample_with_log_prob(model.encode(batch), 1, density=False)
            found.append(-model.log_px(z, batch)[0].double().cpu())
    return float(torch.cat(found).mean())


@contextmanager
def of_log_variances(model: nn.Module, look: Callable[[Floored, Tensor], Tensor]) -> Iterator[dict[str, list[float]]]:
    """What `look` finds in each output of every `Floored` of a model, by module, while the context is open."""
    found: dict[str, list[float]] = {}

    def hook(name: str, owner: nn.Module, _: object, out: Tensor) -> None:
        found.setdefault(name, []).append(float(look(cast("Floored", owner), out)))

    floored = [(name, module) for name, module in model.named_modules() if isinstance(module, Floored)]
    handles = [module.register_forward_hook(functools.partial(hook, name)) for name, module in floored]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
