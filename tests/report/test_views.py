"""What the report computes for its pictures, against NumPy, SciPy and scikit-learn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score

from nelbo.report.maps import project
from nelbo.report.sections.reconstructions import explained
from nelbo.report.sections.samples import distances
from nelbo.report.views import Encoded, Views
from nelbo.runs import reopen
from nelbo.settings import resolve
from nelbo.train.job import prepare
from report.runs import fitted


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Views:
    run = fitted(tmp_path_factory.mktemp("views"), samples=0, source="digits", binarize="dynamic")
    return Views(run.load().model, reopen(run))


def encoded(mean: torch.Tensor) -> Encoded:
    return Encoded(mean, torch.ones_like(mean), None, None)


def test_r_squared_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 4))
    made = x + random.normal(size=(50, 4)) * [0.1, 0.5, 1.0, 3.0]
    found = explained(torch.from_numpy(x), torch.from_numpy(made))
    np.testing.assert_allclose(found, r2_score(x, made, multioutput="raw_values"))


def test_r_squared_of_a_constant_column_is_not_a_number() -> None:
    assert explained(torch.ones(5, 1), torch.zeros(5, 1)).isnan().all()


def test_distances_are_those_of_scipy() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 3)), random.normal(size=(90, 3)) * [1, 2, 1] + [0, 0, 3]
    x[:, 0], y[:, 0] = x[:, 0].round(), y[:, 0].round()  # with ties
    expected = [ks_2samp(x[:, i], y[:, i]).statistic for i in range(3)]
    np.testing.assert_allclose(distances(x, y), expected)


def test_the_map_is_spanned_by_the_principal_components() -> None:
    random = np.random.default_rng(0)
    mean = random.normal(size=(80, 5)) * [3, 2, 1, 0.5, 0.1] + 1
    ours = project(encoded(torch.from_numpy(mean)), True).points
    theirs = PCA(2).fit(mean).components_ @ mean.T
    for i in range(2):
        assert abs(np.corrcoef(ours[:, i], theirs[i])[0, 1]) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (9, 1), (9, 2), (1, 1), (1, 2)])
def test_every_number_of_rows_and_latents_has_a_map(shape: tuple[int, int]) -> None:
    found = project(encoded(torch.randn(shape, generator=torch.Generator().manual_seed(0))), True)
    assert found.points.shape == (shape[0], 2)
    assert np.isfinite(found.points).all()


def test_the_circle_of_the_prior_is_drawn_only_for_a_standard_one(views: Views) -> None:
    assert views.has_standard_prior
    assert not project(encoded(torch.zeros(3, 2)), False).shows_prior
    assert not project(encoded(torch.zeros(3, 1)), True).shows_prior  # its second axis is no latent


def test_rows_are_spread_over_the_data(views: Views) -> None:
    rows = views.some_rows("test", 10)
    test = views.job.split.test
    assert len(rows) == 10
    assert rows[0] == test[0]
    assert rows[-1] == test[-1]
    assert len(views.some_rows("test", 10**6)) == len(test)


def test_samples_and_reconstructions_are_in_the_users_units(views: Views) -> None:
    means, draws = views.sample(20)
    seen, made = views.reconstruct(views.some_rows("test", 20))
    assert set(draws.unique().tolist()) == {0.0, 16.0}  # black and white on the scale of 17 levels
    assert set(seen.unique().tolist()) == {0.0, 16.0}
    assert 0 < float(means.min()) <= float(means.max()) < 16
    assert 0 < float(made.min()) <= float(made.max()) < 16


def test_views_repeat_themselves_and_leave_torchs_random_state_alone(views: Views) -> None:
    before = torch.get_rng_state()
    first, again = views.sample(5), views.sample(5)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_walk_moves_one_latent_only(views: Views) -> None:
    start = torch.tensor([0.3, -0.2, 0.5])
    values = torch.tensor([-1.0, 0.5, 2.0])
    walk = views.traverse(start, 2, values)
    with torch.inference_mode():
        expected = views.model.decode(start[None]).mean * 16
    torch.testing.assert_close(walk[1:2], expected)


@pytest.mark.parametrize(
    ("parts", "low", "high"),
    [
        ({"prior": "dirichlet", "posterior": "dirichlet"}, 0.0, 1.0),
        ({"prior": "gamma", "posterior": "gamma"}, 0.0, math.inf),
        ({"prior": "stick-breaking", "posterior": "kumaraswamy"}, 0.0, 1.0),
    ],
)
def test_walks_stay_among_the_latents(parts: dict[str, str], low: float, high: float) -> None:
    job = prepare(resolve({"source": "digits", "latent": 3, "hidden": (8,), "epochs": 1, **parts}))
    views = Views(job.build().model.eval(), job)
    found = views.encode(views.some_rows("test", 50))
    walks, _ = views.walks(found, 7)
    seen: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        decode = views.model.decode
        patch.setattr(views.model, "decode", lambda z, context=None: seen.append(z) or decode(z, context))
        for latent in range(3):
            views.traverse(found.mean[0], latent, walks[:, latent])
    z = torch.cat(seen)
    assert float(z.min()) > low
    assert float(z.max()) < high
    if parts["prior"] == "dirichlet":
        torch.testing.assert_close(z.sum(1), torch.ones(len(z)))


def test_the_kl_of_encoded_rows_is_that_of_torch(views: Views, tmp_path: Path) -> None:
    found = views.encode(views.some_rows("test", 50))
    q = torch.distributions.Normal(found.mean.double(), found.spread.double())
    p = torch.distributions.Normal(torch.zeros(3).double(), torch.ones(3).double())
    expected = torch.distributions.kl_divergence(q, p).mean(0)
    assert found.kl is not None
    torch.testing.assert_close(found.kl, expected, rtol=1e-4, atol=1e-5)
