"""The VampPrior is the average of the posterior over its pseudo-inputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from nelbo.core import Posterior
from nelbo.errors import CompositionError, ConfigError
from nelbo.networks import MLP
from nelbo.posteriors import FullGaussianPosterior, GaussianPosterior
from nelbo.priors import VampPrior


@pytest.fixture
def posterior() -> GaussianPosterior:
    torch.manual_seed(0)
    return GaussianPosterior(MLP(5, 6, (8,))).double()


def prior(components: int = 4) -> VampPrior:
    torch.manual_seed(1)
    return VampPrior(3, (5,), components, start=0.5, spread=0.2).double()


def test_its_density_is_the_average_of_the_posteriors(posterior: GaussianPosterior) -> None:
    p, z = prior(), torch.randn(7, 2, 3, dtype=torch.float64)
    q = posterior(p.pseudo_inputs)
    peer = MixtureSameFamily(Categorical(logits=torch.zeros(4).double()), Independent(Normal(q.loc, q.stddev), 1))
    torch.testing.assert_close(p(None, posterior).log_prob(z), peer.log_prob(z))


def test_with_the_data_as_pseudo_inputs_it_is_the_aggregate_posterior(posterior: GaussianPosterior) -> None:
    x, p = torch.rand(4, 5, dtype=torch.float64), prior()
    with torch.no_grad():
        p.raw_inputs.copy_(x)
    z = torch.randn(6, 3, dtype=torch.float64)
    each = torch.stack([posterior(row.unsqueeze(0)).log_prob(z) for row in x])
    torch.testing.assert_close(p(None, posterior).log_prob(z), torch.logsumexp(each, 0) - math.log(4))


def test_any_posterior_will_do() -> None:
    q = FullGaussianPosterior(MLP(5, FullGaussianPosterior.outputs(3)), dim=3)
    p = VampPrior(3, (5,), 4)
    assert p(None, q).log_prob(torch.randn(7, 2, 3)).shape == (7, 2)
    assert p(None, q).sample((9,)).shape == (9, 3)


def test_gradients_reach_the_posterior_which_stays_its_own_owner(posterior: GaussianPosterior) -> None:
    p = prior()
    assert [name for name, _ in p.named_parameters()] == ["raw_inputs"]
    p(None, posterior).log_prob(torch.randn(7, 3).double()).sum().backward()
    assert all(t.grad is not None and bool(t.grad.any()) for t in (*posterior.parameters(), p.raw_inputs))


def test_pseudo_inputs_stay_in_the_range_that_the_posterior_reads() -> None:
    p = VampPrior(2, (5,), 50, spread=3.0)
    assert bool(((p.pseudo_inputs >= 0) & (p.pseudo_inputs <= 1)).all())
    free = VampPrior(2, (5,), 50, spread=3.0, bounded=False)
    assert float(free.pseudo_inputs.detach().min()) < 0


def test_it_cannot_stand_alone_nor_follow_a_context(posterior: Posterior) -> None:
    with pytest.raises(CompositionError, match="made of the posterior"):
        prior()(None, None)
    with pytest.raises(CompositionError, match="no pseudo-inputs for a context"):
        prior()(torch.zeros(1, 2), posterior)


@pytest.mark.parametrize("sizes", [(0, 4), (3, 0)])
def test_it_needs_dimensions_and_components(sizes: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="1 dimension, 1 component and a spread above 0"):
        VampPrior(sizes[0], (5,), sizes[1])


def naive(p: VampPrior, posterior: GaussianPosterior, z: Tensor) -> Tensor:
    q = posterior(p.pseudo_inputs)
    return torch.logsumexp(q.log_prob(z.unsqueeze(-2)), -1) - math.log(p.components)


def test_matrix_products_give_the_density_of_five_hundred_components(posterior: GaussianPosterior) -> None:
    p, z = prior(500), torch.randn(11, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(p(None, posterior).log_prob(z), naive(p, posterior, z))
