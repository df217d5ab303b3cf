"""What a model is: everything that a caller may ask of it, so that nobody asks what class it is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.core.batch import Batch
from nelbo.core.parts import Likelihood, Space
from nelbo.core.terms import Draw, Terms
from nelbo.errors import CompositionError

__all__ = ["Abilities", "FreePosterior", "Group", "LikelihoodModel", "Model", "Sides"]


@final
@dataclass(frozen=True)
class Group:
    """Latents that belong together: where they stand in z, and what they are."""

    dims: slice
    space: Space

    @property
    def size(self) -> int:
        return int(self.dims.stop) - int(self.dims.start)


@final
@dataclass(frozen=True)
class Abilities:
    """What a model can do. Whoever needs more refuses the model when both are put together."""

    density: bool  # q(z given x) and p(z) have densities: there is a bound and a likelihood
    reparameterised: bool  # draws of q have a gradient; where not, a score function stands in for it
    variance: bool  # q has variances
    stoppable: bool  # q can hold its parameters constant inside log q (Draw.STOPPED)
    weighs_draws: bool = False  # terms have sample weights: some latents are enumerated, not drawn
    exact_evidence: bool = False  # `evidence` knows log p(x)
    exact_posterior: bool = False  # `encode` is p(z given x) itself


@final
@dataclass(frozen=True)
class Sides:
    """The modules of the generative model and of the recognition model, for phases that own one side."""

    prior: Sequence[nn.Module]  # of p(z)
    likelihood: Sequence[nn.Module]  # of p(x given z)
    recognition: Sequence[nn.Module]  # of q(z given x)

    @property
    def by_part(self) -> Mapping[str, Sequence[nn.Module]]:
        """The same by the name of the part that each side is in a model of three parts."""
        return {"prior": self.prior, "posterior": self.recognition, "likelihood": self.likelihood}

    @property
    def prior_learns(self) -> bool:
        """Whether p(z) has anything to learn."""
        return any(True for _ in self.parameters(self.prior))

    @staticmethod
    def parameters(modules: Sequence[nn.Module]) -> Iterator[nn.Parameter]:
        """The parameters of some modules that are trained."""
        return (p for module in modules for p in module.parameters() if p.requires_grad)


@final
@dataclass(frozen=True, eq=False)
class FreePosterior:
    """q of a batch with the outputs of its network as parameters of their own, one set a row."""

    q: Callable[[], Distribution]
    outputs: nn.Parameter  # [B, F]
    has_shared: bool  # whether q has parameters beside those outputs


class Model(nn.Module, ABC):
    """A latent-variable model p(x, z) with a recognition model q(z given x); it reads data in the user's own units.

    What is abstract a model must say; what is not follows from that, or is refused with a sentence.

    Parameters
    ----------
    groups
        The latents by name, each a slice of the concatenated z with a space of its own.

    Raises
    ------
    CompositionError
        If the slices leave out a latent or share one.
    """

    def __init__(self, groups: Mapping[str, Group]) -> None:
        super().__init__()
        self.groups = _in_order(groups)

    @property
    @abstractmethod
    def abilities(self) -> Abilities:
        """What is possible with this model."""

    @property
    @abstractmethod
    def scores_mass(self) -> bool:
        """Whether log p(x given z) is a probability mass; else it is a density."""

    @abstractmethod
    def sides(self) -> Sides:
        """Which modules are generative and which recognise."""

    @abstractmethod
    def prior_of(self, context: Tensor | None = None) -> Distribution:
        """p(z), joint over the concatenated z, for rows of a context: event shape [D], batch shape [] or [B]."""

    @abstractmethod
    def encode(self, batch: Batch) -> Distribution:
        """q(z given x), joint over the concatenated z: batch shape [B], event shape [D]."""

    @abstractmethod
    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """p(x given z) for z [N, D]: an elementwise distribution over x, [N, *event]."""

    @abstractmethod
    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        """log p(x given z) of given latents, `[K, B, D] -> [K, B]`, in nats, in the units of the user's data."""

    @abstractmethod
    def terms(self, batch: Batch, samples: int = 1, draw: Draw = Draw.PATHWISE, analytic: bool = False) -> Terms:
        """The pieces of the bound for K = `samples` draws; with `analytic` the KL in closed form where one is known."""

    @abstractmethod
    def mode(self, px: Distribution) -> Tensor:
        """The most probable x of each cell under p(x given z), a legal value of the data's kind."""

    def point(self, batch: Batch) -> Tensor:
        """The one code of each row, [B, D]: the mean of q(z given x) unless the model has a better one."""
        return self.encode(batch).mean

    def code(self, z: Tensor) -> Tensor:
        """What the decoder reads of z, `[..., D] -> [..., D']`: z itself unless the model says otherwise."""
        return z

    def log_joint(self, batch: Batch, z: Tensor) -> Tensor:
        """log p(x, z) of given latents, `[K, B, D] -> [K, B]`."""
        log_joint: Tensor = self.log_px(z, batch) + self.prior_of(batch.context).log_prob(z)
        return log_joint

    def rates(self, q: Distribution, context: Tensor | None = None) -> Mapping[str, Tensor]:
        """KL(q(z given x) || p(z)) of each group in closed form, [G, B]; a group without one is left out.

        G is the group's size where its KL is a sum over dimensions, else the number of its parts, or 1.
        """
        return {}

    def evidence(self, batch: Batch) -> Tensor:
        """log p(x), exact, [B].

        Raises
        ------
        CompositionError
            Unless the model has `abilities.exact_evidence`.
        """
        raise CompositionError("the evidence of this model has no closed form; estimate it: nelbo evaluate RUN")

    def discrete(self) -> Model:
        """The model of discrete latents that this one relaxes.

        Raises
        ------
        CompositionError
            If the latents are no relaxation.
        """
        raise CompositionError("the latents of this model relax no discrete ones; leave --discrete out")

    def free_posterior(self, batch: Batch) -> FreePosterior:
        """q(z given x) of these rows with the outputs of its network as parameters.

        Raises
        ------
        CompositionError
            If the recognition model has no such form.
        """
        raise CompositionError(
            "the posterior of this model has no network outputs that could be improved row by row; a model that has "
            "them offers them by `free_posterior`"
        )

    @property
    def latent(self) -> int:
        """D, the number of latent dimensions."""
        return max(int(group.dims.stop) for group in self.groups.values())

    @property
    def is_real(self) -> bool:
        """Whether all latents are real vectors."""
        return all(group.space is Space.REAL for group in self.groups.values())

    @property
    def space(self) -> str:
        """What the latents are, in words: `real vectors`, or by group where they differ."""
        spaces = {name: group.space.value for name, group in self.groups.items()}
        if len(set(spaces.values())) == 1:
            return next(iter(spaces.values()))
        return ", ".join(f"{name} {words}" for name, words in spaces.items())

    def sample_latents(self, n: int, context: Tensor | None = None) -> Tensor:
        """Draws of z ~ p(z), [n, D], or one for each of the n rows of a context."""
        prior = self.prior_of(context)
        return prior.sample() if prior.batch_shape else prior.sample(torch.Size((n,)))

    def sample(self, n: int, context: Tensor | None = None) -> Distribution:
        """p(x given z) at n draws of z from the prior (n for each row of a context, draw by draw)."""
        prior = self.prior_of(context)
        draws = prior.sample(torch.Size((n,)))
        if context is None:
            return self.decode(draws)
        if not prior.batch_shape:
            draws = prior.sample(torch.Size((n, context.shape[0])))
        return self.decode(draws.flatten(0, 1), context.repeat(n, 1))


class LikelihoodModel(Model, ABC):
    """A model whose p(x given z) is one `Likelihood` that reads the code of z."""

    likelihood: Likelihood

    @property
    def scores_mass(self) -> bool:
        return not self.likelihood.density

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        return self.likelihood(self.code(z), context)

    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        return self.likelihood.log_px(self.code(z), batch)

    def mode(self, px: Distribution) -> Tensor:
        return self.likelihood.mode(px)


def _in_order(groups: Mapping[str, Group]) -> dict[str, Group]:
    """The groups as given, whose slices follow one another from 0 on."""
    end = 0
    for name, group in sorted(groups.items(), key=lambda item: (item[1].dims.start or 0, item[1].dims.stop)):
        if group.dims.start != end or group.dims.step not in (None, 1) or group.size < 1:
            raise CompositionError(
                f"the group {name!r} is {group.dims}, but the next latent that no group has is {end}; the slices of "
                "groups follow one another from 0 on, and each latent is in one"
            )
        end = int(group.dims.stop)
    if not groups:
        raise CompositionError("a model has no group of latents; name one at least")
    return dict(groups)
