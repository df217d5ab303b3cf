"""The inverse autoregressive flow posterior: one pass for its own draws, the same density by the inverse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nelbo.distributions import draw_common, rsample_with_log_prob
from nelbo.distributions.flows import Pushed
from nelbo.errors import CompositionError, ConfigError
from nelbo.networks import MLP
from nelbo.posteriors import InverseAutoregressivePosterior

DIM, ROWS = 3, 4


@pytest.fixture
def q() -> Pushed:
    return made(spread=0.3)


def made(spread: float) -> Pushed:
    torch.manual_seed(0)
    posterior = InverseAutoregressivePosterior(MLP(5, 3 * DIM), DIM, steps=3, hidden=16).double()
    with torch.no_grad():
        for p in posterior.parameters():
            p.add_(spread * torch.randn_like(p))
    found: Pushed = posterior(torch.randn(ROWS, 5, dtype=torch.float64))
    return found


def test_the_density_of_its_own_draws_is_that_of_the_inverse(q: Pushed) -> None:
    z, log_q = q.rsample_with_log_prob(torch.Size((6,)))
    assert (z.shape, log_q.shape) == ((6, ROWS, DIM), (6, ROWS))
    torch.testing.assert_close(q.log_prob(z), log_q, rtol=1e-8, atol=1e-8)


def test_the_density_is_that_of_the_whole_jacobian(q: Pushed) -> None:
    e = torch.randn(DIM, dtype=torch.float64)

    def push(noise: Tensor) -> Tensor:
        return q.from_noise(noise.expand(1, ROWS, DIM))[0, 0]

    jacobian = torch.autograd.functional.jacobian(push, e)
    standard = torch.distributions.Normal(0.0, 1.0).log_prob(e).sum()
    expected = standard - torch.linalg.slogdet(jacobian).logabsdet
    found = q.from_noise_with_log_prob(e.expand(1, ROWS, DIM))[1][0, 0]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_the_drawing_functions_take_the_one_pass(q: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Pushed, value: Tensor) -> Tensor:
        raise AssertionError("the inverse was asked for")

    monkeypatch.setattr(Pushed, "log_prob", never)
    assert rsample_with_log_prob(q, 2)[1] is not None
    z, log_q = draw_common(q, 5, torch.Generator().manual_seed(0))
    assert (z.shape, log_q.shape) == ((5, ROWS, DIM), (5, ROWS))


def test_moments_are_those_of_fixed_draws() -> None:
    q = made(spread=0.05)
    torch.manual_seed(3)
    drawn = q.rsample(torch.Size((20_000,)))
    error = 4.5 * (q.variance / 256).sqrt()
    assert bool(((drawn.mean(0) - q.mean).abs() < error).all())
    torch.testing.assert_close(q.mean, q.mean)


def test_it_needs_a_step_and_a_network_of_its_size() -> None:
    with pytest.raises(ConfigError, match="1 step or more"):
        InverseAutoregressivePosterior(MLP(5, 9), 3, steps=0)
    with pytest.raises(CompositionError, match="needs a network with 9 outputs, but this one has 6"):
        InverseAutoregressivePosterior(MLP(5, 6), 3)
