"""The maximum mean discrepancy: against double loops, and against its closed form for Gaussians."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from linear_gaussian import random_linear_gaussian
from nelbo.core import Batch, Terms
from nelbo.distributions import StandardNormal
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives import ELBO, MaximumMeanDiscrepancy
from nelbo.settings import resolve
from nelbo.train import prepare
from nelbo.train.job import make_trainer
from zoo import SMALL, Case, rows_of

Kernel = Literal["imq", "rbf"]
KERNELS = pytest.mark.parametrize("kernel", ["imq", "rbf"])


def kernel_value(kernel: Kernel, x: Tensor, y: Tensor, scale: float) -> float:
    squares, width = float(((x - y) ** 2).sum()), 2 * len(x) * scale
    return width / (width + squares) if kernel == "imq" else math.exp(-squares / width)


def by_loops(kernel: Kernel, z: Tensor, y: Tensor, scale: float) -> float:
    """Mean over pairs i != j of both samples; Gretton et al. (2012), eq. 4."""
    rows, total = len(z), 0.0
    for i in range(rows):
        for j in range(rows):
            if i != j:
                total += kernel_value(kernel, z[i], z[j], scale) + kernel_value(kernel, y[i], y[j], scale)
                total -= kernel_value(kernel, z[i], y[j], scale) + kernel_value(kernel, z[j], y[i], scale)
    return total / (rows * (rows - 1))


@KERNELS
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_it_is_the_double_loop_over_pairs(kernel: Kernel, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, 9, 3, generator=generator, dtype=torch.float64) * 2 + 1
    y = torch.randn(2, 9, 3, generator=generator, dtype=torch.float64)
    found = MaximumMeanDiscrepancy(kernel=kernel, scale=scale)._discrepancy(z, y)
    expected = sum(by_loops(kernel, z[k], y[k], scale) for k in range(2)) / 2
    assert float(found) == pytest.approx(expected, rel=1e-10)


@KERNELS
def test_equal_samples_have_none(kernel: Kernel) -> None:
    z = torch.randn(1, 20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(MaximumMeanDiscrepancy(kernel=kernel)._discrepancy(z, z.clone())) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (0.7, 1.0), (0.0, 0.3), (-1.0, 2.0)])
def test_it_is_unbiased_for_gaussians(shift: float, spread: float) -> None:
    """E exp(-|x - y|^2 / C) = (C / (C + 2 s^2))^(D/2) exp(-|m|^2 / (C + 2 s^2)) for x - y ~ N(m, s^2 I)."""
    dim, rows, batches, width = 3, 4, 20_000, 6.0

    def mean(variance: float, distance: float) -> float:
        spread_out = width + 2 * variance
        return (width / spread_out) ** (dim / 2) * math.exp(-dim * distance**2 / spread_out)

    expected = mean(2 * spread**2, 0) + mean(2, 0) - 2 * mean(1 + spread**2, shift)
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(batches, rows, dim, generator=generator, dtype=torch.float64)
    z = torch.randn(batches, rows, dim, generator=generator, dtype=torch.float64) * spread + shift
    regulariser = MaximumMeanDiscrepancy(kernel="rbf")
    found = torch.stack([regulariser._discrepancy(z[i : i + 100], y[i : i + 100]) for i in range(0, batches, 100)])
    assert float(found.mean()) == pytest.approx(expected, abs=4.5 * float(found.std()) / math.sqrt(len(found)))
    assert float(found.std()) / math.sqrt(len(found)) < 0.005


def test_one_row_has_none() -> None:
    z = torch.zeros(1, 1, 2)
    assert float(MaximumMeanDiscrepancy()._discrepancy(z, z + 5)) == 0.0


# In the loss.


@pytest.mark.parametrize(
    ("weight", "alpha", "of_kl", "of_mmd"), [(7.0, 1.0, 0.0, 7.0), (7.0, 0.25, 0.75, 6.25), (1.0, 0.0, 1.0, 0.0)]
)
def test_the_loss_is_that_of_infovae_and_the_bound_that_of_the_elbo(
    weight: float, alpha: float, of_kl: float, of_mmd: float
) -> None:
    case = random_linear_gaussian(0)
    torch.manual_seed(0)
    plain = ELBO(case.model)(Batch(case.x))
    torch.manual_seed(0)
    loss = ELBO(case.model, regulariser=MaximumMeanDiscrepancy(weight, alpha))(Batch(case.x))
    likelihood, kl = plain.parts["likelihood"].mean(), plain.parts["kl"].mean()
    torch.testing.assert_close(loss.loss, likelihood + of_kl * kl + of_mmd * loss.figures["mmd"])
    torch.testing.assert_close(loss.bound, plain.bound)
    torch.testing.assert_close(loss.figures["kl"], plain.figures["kl"])
    assert ("kl" in loss.parts) == (of_kl > 0)


def test_draws_are_those_of_the_prior_whatever_it_is() -> None:
    case = random_linear_gaussian(0, rows=400)
    terms = case.model.terms(Batch(case.x), 3)
    torch.manual_seed(0)
    y = MaximumMeanDiscrepancy()._draws(terms)
    assert y.shape == terms.z.shape
    assert float(y.mean()) == pytest.approx(0, abs=0.1)
    assert float(y.std()) == pytest.approx(1, abs=0.1)
    for settings in ({"prior": "mixture:components=3"}, {"prior": "conditional", "condition": "label"}):
        labelled = Case("", "binary", {"objective": "mmd:alpha=0.5", **settings})
        phase = labelled.objective().phases[0]
        assert isinstance(phase, ELBO)
        terms = phase.model.terms(labelled.batch, 2)
        assert MaximumMeanDiscrepancy(alpha=0.5)._draws(terms).shape == terms.z.shape
    sticks = {"objective": "mmd", "prior": "stick-breaking", "posterior": "kumaraswamy"}
    assert Case("", "binary", sticks).objective().phases[0](Case("", "binary", sticks).batch).bound is not None


def test_a_learned_prior_follows_the_codes_where_its_draws_have_a_gradient() -> None:
    case = Case("", "binary", {"objective": "mmd", "prior": "normal"})
    phase = case.objective().phases[0]
    phase(case.batch).loss.backward()
    prior = phase.get_submodule("model.prior")
    assert all(p.grad is not None and bool(p.grad.any()) for p in prior.parameters())


def test_a_point_posterior_has_no_bound_and_only_a_discrepancy() -> None:
    case = Case("", "binary", {"objective": "mmd:weight=3", "posterior": "delta"})
    phase, batch = case.objective().train().phases[0], case.batch
    loss = phase(batch)
    assert loss.bound is None
    assert set(loss.parts) == {"likelihood", "mmd"}
    torch.testing.assert_close(loss.loss, loss.parts["likelihood"].mean() + 3 * loss.figures["mmd"])
    loss.loss.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in phase.parameters())


def test_the_codes_of_a_wasserstein_autoencoder_come_to_lie_as_the_prior() -> None:
    """Linear codes of Gaussian rows: their covariance goes to the identity."""
    case = random_linear_gaussian(0, rows=150)
    objective = ELBO(case.model, regulariser=MaximumMeanDiscrepancy(300.0))
    adam = torch.optim.Adam(objective.parameters(), lr=0.02)
    torch.manual_seed(0)
    for _ in range(200):
        adam.zero_grad()
        objective(Batch(case.x)).loss.backward()
        adam.step()
    q = case.model.encode(Batch(case.x))
    total = torch.cov(q.mean.detach().T) + torch.diag(q.variance.detach().mean(0))
    torch.testing.assert_close(total, torch.eye(2).double(), atol=0.2, rtol=0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"objective": "mmd:alpha=0.5", "posterior": "delta"}, "mmd with alpha below 1 needs a posterior"),
        ({"objective": "mmd", "prior": "mixture:components=3"}, "would stay as it starts"),
        ({"objective": "mmd", "prior": "vamp:components=3"}, "would stay as it starts"),
        ({"objective": "mmd", "warmup": "linear:0.2"}, "no beta or other weight"),
        ({"objective": "mmd", "beta": 2.0}, "--beta means nothing"),
        ({"objective": "mmd:kernel=rfb"}, "did you mean 'rbf'"),
        ({"objective": "mmd:alpha=1.5"}, "alpha of 1 or less"),
        ({"objective": "mmd:scale=0"}, "a scale above 0"),
        ({"objective": "mmd:alpha=0.1,weight=0.5"}, r"alpha \+ weight must be 1 or more"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises((CompositionError, ConfigError), match=sentence):
        make_trainer(prepare(resolve(SMALL, settings), rows_of("binary")))


def test_a_model_that_hands_out_no_prior_is_refused() -> None:
    z = torch.zeros(1, 2, 1)
    with pytest.raises(CompositionError, match="no prior to draw from"):
        MaximumMeanDiscrepancy()(Terms(z, torch.zeros(1, 2), StandardNormal(1, z)), None)
