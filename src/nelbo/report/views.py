"""What the report looks at: rows through the model, and the model on its own. Values are in the data's own units.

Every view draws from a random state of its own, so that a report is the same each time and changes nothing outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch, Model, Space
from nelbo.data import evenly, one_hot
from nelbo.distributions.normal import StandardNormal
from nelbo.doctor.wording import plain
from nelbo.noise import own_noise
from nelbo.train.job import Job

__all__ = ["Encoded", "Views"]

CHUNK = 500
FAR = 2.5  # standard deviations that a walk goes


@final
@dataclass(frozen=True, eq=False)
class Encoded:
    """N rows as the posterior sees them."""

    mean: Tensor  # [N, D]
    spread: Tensor  # [N, D]  standard deviations of q(z given x)
    kl: Tensor | None  # [D]  mean KL per latent, nats; None where no closed form tells the latents apart
    label: Tensor | None  # [N]  -1 = missing
    context: Tensor | None = None  # [N, C]

    @property
    def variance_of_means(self) -> Tensor:
        return self.mean.double().var(0, correction=0)

    @property
    def by_activity(self) -> Tensor:
        """Latents [D], the one that carries most first: by KL, or by the variance of its means."""
        return torch.argsort(self.variance_of_means if self.kl is None else self.kl, descending=True, stable=True)


@final
class Views:
    """A fitted model and the data of its run."""

    def __init__(self, model: Model, job: Job) -> None:
        self.model = model
        self.job = job

    @property
    def has_standard_prior(self) -> bool:
        """Whether p(z) is a standard normal, of which any projection is one too."""
        return isinstance(self.model.prior_of(self._contexts(1)), StandardNormal)

    def some_rows(self, part: str, most: int) -> Tensor:
        """Row numbers of a part of the split, evenly spaced."""
        return evenly(getattr(self.job.split, part), most)

    def raw(self, rows: Tensor) -> Tensor:
        """Rows as the user has them."""
        return self.job.data.x.index_select(0, rows).float()

    @torch.inference_mode()
    def encode(self, rows: Tensor) -> Encoded:
        """The posterior of each row."""
        means, spreads, rates, labels, contexts = [], [], [], [], []
        for batch in self._batches(rows):
            q = self.model.encode(batch)
            means.append(self.model.point(batch))
            spreads.append(q.stddev)
            kl = torch.cat([*self.model.rates(q, batch.context).values(), means[-1].new_empty(0, len(batch))])
            rates += [kl.double()] if len(kl) == self.model.latent else []  # one for each latent
            labels += [] if batch.label is None else [batch.label]
            contexts += [] if batch.context is None else [batch.context]
        return Encoded(
            mean=torch.cat(means),
            spread=torch.cat(spreads),
            kl=torch.cat(rates, 1).mean(1) if rates else None,
            label=torch.cat(labels) if labels else None,
            context=torch.cat(contexts) if contexts else None,
        )

    @torch.inference_mode()
    def reconstruct(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What the likelihood was asked to explain, and the mean of p(x given z) at the posterior mean."""
        seen, made = [], []
        for batch in self._batches(rows):
            seen.append(self._inverse(batch.x))
            made.append(self._inverse(self.model.decode(self.model.point(batch), batch.context).mean))
        return torch.cat(seen), torch.cat(made)

    @torch.inference_mode()
    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Means of p(x given z) at n draws of z from the prior, and one draw of x from each.

        A model conditioned on the label is given those of n evenly spaced training rows, class by class.
        """
        means, draws, contexts = [], [], self._contexts(n)
        with own_noise():
            for start in range(0, n, CHUNK):
                if contexts is None:
                    px = self.model.sample(min(CHUNK, n - start))
                else:
                    px = self.model.sample(1, contexts[start : start + CHUNK])
                means.append(self._inverse(px.mean))
                draws.append(self._inverse(px.sample()))
        return torch.cat(means), torch.cat(draws)

    def walks(self, encoded: Encoded, steps: int) -> tuple[Tensor, str]:
        """Values of each latent from low to high, [steps, D], and from where to where in words."""
        share = torch.linspace(0, 1, steps).unsqueeze(-1)
        if not self.model.is_real:  # some standard deviations away there may be no such latent
            low, high = torch.quantile(encoded.mean, torch.tensor([0.01, 0.99]), 0)
            return low + share * (high - low), "from the lowest to the highest percent of the encoded test rows"
        spread = torch.nan_to_num(encoded.spread, posinf=0.0)  # tails too heavy for a variance
        width = (encoded.mean.var(0, correction=0) + spread.square().mean(0)).sqrt()
        words = f"from {plain(-FAR)} to {plain(FAR)} standard deviations of the encoded test rows"
        return encoded.mean.mean(0) + FAR * (2 * share - 1) * width, words

    @torch.inference_mode()
    def traverse(self, start: Tensor, latent: int, values: Tensor, context: Tensor | None = None) -> Tensor:
        """Means of p(x given z) as one latent of z [D] takes some values and the others, and the context [C], stay.

        On the simplex the others of its group stay in proportion.
        """
        z = start.repeat(len(values), 1)
        for group in self.model.groups.values():
            if group.space is Space.SIMPLEX and group.dims.start <= latent < group.dims.stop:
                z[:, group.dims] *= ((1 - values) / (1 - start[latent]).clamp(min=1e-6)).unsqueeze(-1)
        z[:, latent] = values
        given = None if context is None else context.expand(len(values), -1)
        return self._inverse(self.model.decode(z, given).mean)

    def _contexts(self, n: int) -> Tensor | None:
        """Those of n evenly spaced training rows, repeated where there are fewer, sorted by class."""
        spec, label = self.job.spec, self.job.data.label
        if not spec.context or label is None:
            return None
        rows = self.job.split.train
        places = torch.linspace(0, len(rows) - 1, n).round().long()
        return one_hot(label[rows[places]].sort().values, spec.context)

    def _inverse(self, x: Tensor) -> Tensor:
        return self.job.transform.inverse(x).float()

    def _batches(self, rows: Tensor) -> Iterator[Batch]:
        return self.job.in_order(rows, batch_size=CHUNK).fixed()
