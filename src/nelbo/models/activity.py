"""What the latents do: rate per dimension, active units, outputs at their floor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast, final

import torch
from torch import Tensor

from nelbo.core import Batch
from nelbo.distributions.drawing import rsample_with_log_prob
from nelbo.distributions.kl import rate
from nelbo.distributions.normal import Floored
from nelbo.models.latent import LatentVariableModel

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
    share_at_floor: dict[str, float] = field(default_factory=dict)  # by module: outputs at the log-variance floor

    @property
    def active_units(self) -> int:
        """Latents whose posterior mean varies by more than 0.01 over the data."""
        return int((self.variance_of_means > ACTIVE).sum())


@torch.inference_mode()
def summarise_latents(model: LatentVariableModel, batches: Iterable[Batch]) -> LatentSummary:
    """Encode every row, decode its mean, and summarise; two passes' worth of moments in one, in float64."""
    means, rates, sampled = [], [], []
    with _floor_counts(model) as shares, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for batch in batches:
            q = model.encode(batch)
            model.decode(q.mean, batch.context)
            means.append(q.mean.double().cpu())
            p = model.prior(batch.context, model.posterior)
            kl = rate(q, p)
            if kl is not None:
                rates.append(kl.double().cpu())
            elif model.has_density:
                z, log_q = rsample_with_log_prob(q, DRAWS)
                sampled.append((cast("Tensor", log_q) - p.log_prob(z)).mean(0).double().cpu())
    closed_form = torch.cat(rates, 1).mean(1) if rates else None  # [G]
    spread = torch.cat(means).var(0, correction=0)
    total = float(torch.cat(sampled).mean()) if sampled else None
    if closed_form is not None:
        total = float(closed_form.sum())
    apart = closed_form is not None and len(closed_form) == len(spread)
    return LatentSummary(
        kl=closed_form if apart else None,
        rate=total,
        variance_of_means=spread,
        share_at_floor={name: sum(found) / len(found) for name, found in shares.items() if found},
    )


@torch.inference_mode()
def distortion(model: LatentVariableModel, batches: Iterable[Batch]) -> float:
    """D = -E_q log p(x given z) in nats per datum, one draw of z a row; with the rate R the bound is -(R + D).

    References
    ----------
    Alemi et al. (2018), Fixing a broken ELBO, arXiv:1711.00464.
    """
    found = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for batch in batches:
            z, _ = rsample_with_log_prob(model.encode(batch), 1, density=False)
            found.append(-model.likelihood.log_px(model.prior.code(z), batch)[0].double().cpu())
    return float(torch.cat(found).mean())


@contextmanager
def _floor_counts(model: LatentVariableModel) -> Iterator[dict[str, list[float]]]:
    """Shares at the floor of every `Floored` in the model, one a call, while the context is open."""
    shares: dict[str, list[float]] = {}
    handles = []
    for name, module in model.named_modules():
        if not isinstance(module, Floored):
            continue
        found = shares.setdefault(name, [])

        def look(owner: Floored, _: object, out: Tensor, found: list[float] = found) -> None:
            found.append(float(owner.share_at_floor(out)))

        handles.append(module.register_forward_hook(look))
    try:
        yield shares
    finally:
        for handle in handles:
            handle.remove()
