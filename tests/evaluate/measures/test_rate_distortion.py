"""The rate-distortion curve of linear Gaussian models, which is known, and as a user meets it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from linear_gaussian import LinearGaussian, random_linear_gaussian
from nelbo.core import Batch
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.measure import Finding, measure_split
from nelbo.evaluate.measures.rate_distortion import Curve, RateDistortion, encoder_point, path_to, rate_distortion_curve
from nelbo.models.latent import LatentVariableModel
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare
from zoo import SMALL, rows_of

BETAS = (0.1, 1.0, 4.0)
QUICK = "rows=3,chains=3,temperatures=6,leapfrog=2"


def exact(case: LinearGaussian, beta: float) -> tuple[Tensor, Tensor]:
    """Distortion and rate of q(z) in proportion to p(z) p(x given z)^beta, a Gaussian: [B] each."""
    weight, s2 = case.decoder.weight.detach(), case.variance().detach()
    latent, centred = weight.shape[1], case.x - case.decoder.bias.detach()
    covariance = torch.linalg.inv(torch.eye(latent).double() + beta * weight.T @ weight / s2)
    mean = beta * centred @ weight @ covariance / s2
    squares = (centred - mean @ weight.T).square().sum(-1) + torch.trace(weight @ covariance @ weight.T)
    distortion = 0.5 * (case.x.shape[1] * torch.log(2 * math.pi * s2) + squares / s2)
    prior = MultivariateNormal(torch.zeros(latent).double(), torch.eye(latent).double())
    return distortion, kl_divergence(MultivariateNormal(mean, covariance), prior)


def exact_rate(case: LinearGaussian, distortion: float) -> float:
    """The mean rate of the exact curve at a mean distortion."""
    beta = brentq(lambda b: float(exact(case, b)[0].mean()) - distortion, 1e-9, 1e9)
    return float(exact(case, cast("float", beta))[1].mean())


def curve_of(
    case: LinearGaussian, betas: Sequence[float], chains: int, temperatures: int, leapfrog: int = 4, seed: int = 0
) -> Curve:
    batches = [Batch(case.x)]
    path = path_to(case.model, batches, betas, temperatures, seed)
    return rate_distortion_curve(case.model, batches, path, chains=chains, leapfrog=leapfrog, seed=seed)


@pytest.mark.parametrize("seed", [0, 1])
def test_points_are_those_of_the_linear_model(seed: int) -> None:
    case = random_linear_gaussian(seed)
    curve = curve_of(case, BETAS, 200, 100)
    for j, beta in enumerate((0.0, *BETAS)):
        distortion, rate = (value.mean() for value in exact(case, beta))
        off = {
            "distortion": curve.distortion[j].mean() - distortion,
            "rate": curve.rate[j].mean() - rate,
            "height": (curve.rate[j] + beta * curve.distortion[j]).mean() - (rate + beta * distortion),
        }
        for name, value in off.items():
            error = curve.errors[name][j]
            assert error is not None
            assert error < 0.15, "the test has no power"
            assert abs(float(value)) < 4 * error + 0.01, (name, beta)
    assert 0.5 < curve.acceptance < 0.8


def test_the_sum_at_one_is_minus_the_evidence() -> None:
    case = random_linear_gaussian(2)
    curve = curve_of(case, [1.0], 300, 100)
    torch.testing.assert_close((curve.distortion + curve.rate)[1], -case.evidence(), rtol=0, atol=0.1)


@pytest.mark.parametrize("chains", [1, 6])
def test_with_few_temperatures_points_are_above_the_curve(chains: int) -> None:
    """In expectation, by many rows: each row of a small set stands for itself a hundred times."""
    case = random_linear_gaussian(3, rows=4)
    many = LinearGaussian(case.model, case.x.repeat(300, 1))
    curve = curve_of(many, BETAS, chains, temperatures=3, leapfrog=2)
    for j, beta in enumerate(BETAS, start=1):
        height = (curve.rate[j] + beta * curve.distortion[j]).view(300, 4).mean(1)
        error = float(height.std()) / math.sqrt(300)
        above = float(curve.rate[j].mean()) - exact_rate(case, float(curve.distortion[j].mean()))
        assert above > -3 * error - 1e-3
        if chains == 1 and beta >= 1:
            assert above > 4 * error, "the test has no power"


def test_monte_carlo_errors_are_those_of_other_seeds() -> None:
    case = random_linear_gaussian(3, rows=1)
    runs = [curve_of(case, (1.0, 4.0), 30, temperatures=2, leapfrog=2, seed=10 * seed) for seed in range(200)]
    found = {
        "distortion": torch.stack([run.distortion.mean(1) for run in runs]),
        "rate": torch.stack([run.rate.mean(1) for run in runs]),
    }
    found["height"] = found["rate"] + torch.tensor(runs[0].betas) * found["distortion"]
    for name, values in found.items():
        claimed = torch.tensor([[error or 0.0 for error in run.errors[name]] for run in runs]).square().mean(0).sqrt()
        ratio = values.std(0)[1:] / claimed[1:]
        assert bool(((ratio > 0.75) & (ratio < 1.3)).all()), (name, ratio)


def test_the_encoder_is_at_its_own_rate_and_distortion_above_the_curve() -> None:
    case = random_linear_gaussian(2)
    distortion, rate = encoder_point(case.model, [Batch(case.x[:2]), Batch(case.x[2:])])
    q_mean, q_variance = (value.detach() for value in case.q())
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    torch.testing.assert_close(rate, kl_divergence(MultivariateNormal(q_mean, torch.diag_embed(q_variance)), prior))
    torch.testing.assert_close(-(distortion + rate), case.elbo().detach(), rtol=0.05, atol=0.0)
    assert float(rate.mean()) > exact_rate(case, float(distortion.mean())) + 0.1


def test_between_two_points_the_curve_is_their_chord() -> None:
    case = random_linear_gaussian(0)
    curve = curve_of(case, (0.5, 1.0), 4, 4)
    curve = Curve(
        curve.betas,
        torch.tensor([[8.0], [5.0], [3.0]]).double(),
        torch.tensor([[0.0], [1.0], [4.0]]).double(),
        curve.effective,
        curve.influence,
        1.0,
    )
    assert [curve.rate_at(d) for d in (9.0, 8.0, 6.5, 4.0, 3.0, 2.9)] == [0.0, 0.0, 0.5, 2.5, 4.0, None]


def test_the_path_passes_the_marks_and_no_step_is_long() -> None:
    case = random_linear_gaussian(1)
    path = path_to(case.model, [Batch(case.x)], BETAS, 50)
    assert path.marks == (0.0, *BETAS)
    assert set(path.marks) < set(path.schedule)
    steps = np.diff(path.schedule)
    assert path.schedule[0] == 0
    assert path.schedule[-1] == BETAS[-1]
    assert (steps > 0).all()
    assert (steps / (np.array(path.schedule[:-1]) + 0.05)).max() < 1


def test_weights_keep_their_gradients_switched_on_and_get_none() -> None:
    case, state = random_linear_gaussian(1), torch.get_rng_state()
    curve_of(case, BETAS, 3, 5)
    assert all(p.requires_grad and p.grad is None for p in case.model.parameters())
    assert torch.get_rng_state().equal(state)


# As a user meets it.


def trained(**settings: object) -> tuple[Job, LatentVariableModel]:
    job = prepare(resolve({**SMALL, **settings}), rows_of("real"))
    return job, cast("LatentVariableModel", job.build().model).eval()


def found(text: str, **settings: object) -> Finding:
    return measure_split(*trained(**settings), [text])[text]


def test_its_figures_and_its_picture() -> None:
    text = f"rate-distortion:betas=0.5+2,{QUICK}"
    finding = found(text)
    figures = finding.figures
    assert figures["betas"] == [0.0, 0.5, 1.0, 2.0]
    assert figures["rate"][0] == 0.0
    assert figures["encoder"]["bound"] == pytest.approx(-figures["encoder"]["distortion"] - figures["encoder"]["rate"])
    assert len(finding.rows) == 5
    assert [len(points) for points in finding.charts[0].series.values()] in ([4, 1], [3, 1])
    assert found(text).figures == figures


def test_a_single_beta_is_put_beside_one() -> None:
    assert found(f"rate-distortion:betas=3,{QUICK}").figures["betas"] == [0.0, 1.0, 3.0]


@pytest.mark.parametrize(
    "settings",
    [
        {"prior": "vamp:components=3"},
        {"prior": "flow:transforms=2,hidden=8", "posterior": "iaf:steps=1,hidden=8"},
        {"prior": "cauchy", "posterior": "cauchy"},
    ],
    ids=lambda settings: str(settings["prior"]),
)
def test_any_prior_over_real_vectors_will_do(settings: dict[str, str]) -> None:
    figures = found(f"rate-distortion:betas=1,{QUICK}", **settings).figures
    assert math.isfinite(figures["rate"][0])


def test_one_row_and_one_chain_leave_errors_open() -> None:
    figures = found("rate-distortion:rows=1,chains=1,temperatures=4,leapfrog=1").figures
    assert figures["n"] == 1
    assert figures["monte_carlo_error"]["height"][0] is None
    assert figures["standard_error"][0][0] is None


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("rate-distortion", {"posterior": "delta", "objective": "autoencoder"}, "whose rate is infinite"),
        (
            "rate-distortion",
            {"prior": "stick-breaking", "posterior": "kumaraswamy"},
            "these latents are sticks between 0 and 1",
        ),
        ("rate-distortion:betas=0", {}, "betas above 0"),
        ("rate-distortion:betas=1+-2", {}, "betas above 0"),
        ("rate-distortion:rows=0", {}, "1 row or more"),
        ("rate-distortion:temperatures=0", {}, "1 of its temperatures"),
        ("rate-distortion:betas=high", {}, "'betas' of measure/rate-distortion should be"),
    ],
)
def test_what_it_cannot_do_is_refused(text: str, settings: dict[str, str], words: str) -> None:
    with pytest.raises((CompositionError, ConfigError), match=words):
        found(text, **settings)


def test_the_options_are_those_of_the_docstring() -> None:
    words = inspect.getdoc(RateDistortion) or ""
    assert all(name in words for name in inspect.signature(RateDistortion).parameters)
