"""Posteriors of one distribution each: what their networks' outputs mean, what they refuse."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli

from nelbo.errors import CompositionError, ConfigError
from nelbo.networks import MLP
from nelbo.posteriors import (
    BernoulliPosterior,
    BetaPosterior,
    CauchyPosterior,
    DirichletPosterior,
    ExponentialPosterior,
    GammaPosterior,
    GumbelPosterior,
    LaplacePosterior,
    LogisticNormalPosterior,
    LogisticPosterior,
    LogNormalPosterior,
    LowRankGaussianPosterior,
    RelaxedBernoulliPosterior,
    StraightThroughCategoricalPosterior,
    StudentTPosterior,
    VonMisesFisherPosterior,
)
from nelbo.settings import resolve
from nelbo.train import prepare
from zoo import rows_of


@pytest.mark.parametrize(
    "kind",
    [LaplacePosterior, LogisticPosterior, StudentTPosterior, CauchyPosterior, GumbelPosterior, LogNormalPosterior],
)
def test_outputs_are_locations_then_twice_the_log_scales(kind: type[LaplacePosterior]) -> None:
    network, x = MLP(5, 6), torch.randn(4, 5)
    q, out = kind(network, 3)(x), network(x)
    torch.testing.assert_close(q.loc, out[:, :3])
    torch.testing.assert_close(2 * q.log_scale, -14 + F.softplus(out[:, 3:] + 14), rtol=1e-4, atol=1e-5)


def test_low_rank_outputs_are_means_log_variances_and_factors() -> None:
    network, x = MLP(5, LowRankGaussianPosterior.outputs(3, rank=2)), torch.randn(4, 5)
    q, out = LowRankGaussianPosterior(network, 3, rank=2)(x), network(x)
    torch.testing.assert_close(q.loc, out[:, :3])
    torch.testing.assert_close(q.factor, out[:, 6:].view(4, 3, 2))


def test_directions_have_length_one_and_concentrations_the_unit_of_the_dimension() -> None:
    network, x = MLP(5, 4), torch.randn(4, 5)
    q, out = VonMisesFisherPosterior(network, 3)(x), network(x)
    assert (q.batch_shape, q.event_shape) == ((4,), (3,))
    torch.testing.assert_close(q.loc.norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(q.loc * out[:, :3].norm(dim=-1, keepdim=True), out[:, :3])
    torch.testing.assert_close(q.concentration, 3 * F.softplus(out[:, 3]))


def test_positive_latents_have_means_and_shapes() -> None:
    network, x = MLP(5, 3), torch.randn(4, 5)
    torch.testing.assert_close(ExponentialPosterior(network, 3)(x).variance.log(), network(x), rtol=1e-3, atol=1e-4)
    network = MLP(5, 6)
    q, out = GammaPosterior(network, 3)(x), network(x)
    torch.testing.assert_close(q.mean.log(), out[:, :3])
    torch.testing.assert_close(q.mean.square() / q.variance, F.softplus(out[:, 3:]) + 0.2)


def test_sticks_have_two_shapes() -> None:
    network, x = MLP(5, 6), torch.randn(4, 5)
    q, (a, b) = BetaPosterior(network, 3)(x), (F.softplus(network(x)) + 0.5).chunk(2, -1)
    torch.testing.assert_close(q.mean, a / (a + b))
    torch.testing.assert_close(q.variance, a * b / ((a + b).square() * (a + b + 1)))


def test_points_of_the_simplex_have_concentrations_or_log_ratios() -> None:
    x, network = torch.randn(4, 5), MLP(5, 3)
    torch.testing.assert_close(DirichletPosterior(network, 3)(x).log_concentration.exp(), F.softplus(network(x)) + 0.2)
    network = MLP(5, 4)
    q = LogisticNormalPosterior(network, 3)(x)
    assert (q.batch_shape, q.event_shape) == ((4,), (3,))
    torch.testing.assert_close(q.loc, network(x)[:, :2])
    torch.testing.assert_close((2 * q.log_scale), network(x)[:, 2:], rtol=1e-3, atol=1e-4)


def test_one_hot_codes_have_logits_group_by_group() -> None:
    network, x = MLP(5, 6), torch.randn(4, 5)
    q = StraightThroughCategoricalPosterior(network, 6, groups=2, temperature=0.3)(x)
    torch.testing.assert_close(q.logits, network(x).view(4, 2, 3))
    assert q.temperature == 0.3


def test_binary_codes_have_log_odds_and_so_has_their_relaxation() -> None:
    network, x = MLP(5, 3), torch.randn(4, 5)
    torch.testing.assert_close(BernoulliPosterior(network, 3)(x).logits, network(x))
    q, z = RelaxedBernoulliPosterior(network, 3, temperature=0.3)(x), torch.randn(6, 4, 3)
    peer = LogitRelaxedBernoulli(torch.tensor(0.3), logits=network(x))
    torch.testing.assert_close(q.log_prob(z), peer.log_prob(z).sum(-1))
    torch.testing.assert_close(q.mean, network(x) / 0.3)


@pytest.mark.parametrize("posterior", ["low-rank-gaussian:rank=3", "student-t:freedom=3"])
def test_an_option_reaches_the_posterior_and_the_size_of_its_network(posterior: str) -> None:
    settings = {"source": "levels", "latent": 3, "hidden": (4,), "epochs": 1, "posterior": posterior}
    built = prepare(resolve(settings), rows_of("levels")).build()
    found = built.get_submodule("model.posterior")
    name, _, value = posterior.partition(":")[2].partition("=")
    assert getattr(found, name) == float(value)


def test_what_cannot_be_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"more than 2 degrees of freedom.*student-t:freedom=5"):
        StudentTPosterior(MLP(5, 6), 3, freedom=2.0)
    with pytest.raises(ConfigError, match=r"rank of 1 or more.*low-rank-gaussian:rank=2"):
        LowRankGaussianPosterior(MLP(5, 6), 3, rank=0)
    with pytest.raises(CompositionError, match="needs a network with 12 outputs, but this one has 6"):
        LowRankGaussianPosterior(MLP(5, 6), 3)
    with pytest.raises(ConfigError, match="2 coordinates or more"):
        VonMisesFisherPosterior(MLP(5, 2), 1)
    for kind in (DirichletPosterior, LogisticNormalPosterior):
        with pytest.raises(ConfigError, match=r"2 coordinates or more, since they sum to 1, .*--latent 10"):
            kind(MLP(5, 2), 1)
    with pytest.raises(ConfigError, match="--posterior straight-through-categorical:groups=20"):
        StraightThroughCategoricalPosterior(MLP(5, 6), 6, groups=4)
    with pytest.raises(ConfigError, match=r"temperature above 0.*--posterior relaxed-bernoulli:temperature=0.5"):
        RelaxedBernoulliPosterior(MLP(5, 3), 3, temperature=0.0)
    with pytest.raises(CompositionError, match="a Bernoulli posterior over 3 latent dimensions needs a network with 3"):
        BernoulliPosterior(MLP(5, 6), 3)
    with pytest.raises(CompositionError, match="a Laplace posterior over 3 latent dimensions needs a network with 6"):
        LaplacePosterior(MLP(5, 5), 3)


SINGLE = [
    LaplacePosterior,
    StudentTPosterior,
    VonMisesFisherPosterior,
    GumbelPosterior,
    ExponentialPosterior,
    LogNormalPosterior,
    GammaPosterior,
    BetaPosterior,
    DirichletPosterior,
    LogisticNormalPosterior,
    StraightThroughCategoricalPosterior,
    BernoulliPosterior,
    RelaxedBernoulliPosterior,
]


@pytest.mark.parametrize("kind", SINGLE)
def test_parameters_are_in_single_precision_under_a_reduced_network(kind: type[LaplacePosterior]) -> None:
    q = kind(MLP(5, kind.outputs(3)).bfloat16(), 3)(torch.randn(4, 5).bfloat16())
    assert q.mean.dtype == q.variance.dtype == q.sample().dtype == torch.float32
