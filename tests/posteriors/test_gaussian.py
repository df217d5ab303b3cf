"""The diagonal Gaussian posterior."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nelbo.errors import CompositionError
from nelbo.networks import MLP, ConvEncoder
from nelbo.posteriors import GaussianPosterior


def test_the_networks_outputs_are_means_then_log_variances() -> None:
    network, x = MLP(5, 6), torch.randn(4, 5)
    q, out = GaussianPosterior(network)(x), network(x)
    assert (q.batch_shape, q.event_shape) == ((4,), (3,))
    torch.testing.assert_close(q.mean, out[:, :3])
    torch.testing.assert_close(q.variance.log(), -14 + F.softplus(out[:, 3:] + 14), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("floor", [-14.0, -2.0])
def test_variances_stay_above_the_floor(floor: float) -> None:
    network = nn.Linear(1, 4)
    with torch.no_grad():
        network.bias.fill_(-1e4)
    q = GaussianPosterior(network, min_log_variance=floor)(torch.zeros(2, 1))
    torch.testing.assert_close(q.variance.log(), torch.full((2, 2), floor))


def test_context_reaches_the_network() -> None:
    posterior, x = GaussianPosterior(MLP(5, 6, context=2)), torch.randn(4, 5)
    assert not torch.equal(posterior(x, torch.zeros(4, 2)).mean, posterior(x, torch.ones(4, 2)).mean)


def test_its_size_is_known_from_the_network() -> None:
    assert GaussianPosterior(ConvEncoder((1, 8, 8), 10)).dim == 5
    assert GaussianPosterior(nn.Sequential(nn.Linear(5, 6))).dim is None


def test_its_size_may_be_given_as_to_its_siblings() -> None:
    assert GaussianPosterior(nn.Sequential(nn.Linear(5, 6)), 3).dim == 3
    with pytest.raises(CompositionError, match="over 4 latent dimensions needs a network with 8 outputs, but this one"):
        GaussianPosterior(MLP(5, 6), 4)


def test_an_odd_number_of_outputs_is_refused() -> None:
    with pytest.raises(
        CompositionError, match=r"needs a network with 2 outputs a latent dimension, but this one has 5"
    ):
        GaussianPosterior(MLP(5, 5))


def test_parameters_are_in_single_precision_under_a_reduced_network() -> None:
    q = GaussianPosterior(MLP(5, 6).bfloat16())(torch.randn(4, 5).bfloat16())
    assert q.mean.dtype == q.variance.dtype == torch.float32
