"""The comparison of count models, reduced to seconds: its parts mean what it says, and known laws are told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from nelbo.core import Batch
from nelbo.data import Data, load, split
from nelbo.models.latent import LatentVariableModel
from nelbo.reproduce import counts
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare, train

TINY: dict[str, Any] = {
    **counts.SETTINGS, "latent": 2, "hidden": (16,), "epochs": 15, "lr": 3e-2, "seed": 0, "threads": 1,
}  # fmt: skip


def rows(dispersion: float | None, count: int = 1_000, genes: int = 30) -> Data:
    """Cells of two latents: Poisson counts, or negative binomial ones of a known dispersion."""
    rng = np.random.default_rng(0)
    mean = np.exp(1.0 + 0.5 * rng.normal(size=(count, 2)) @ rng.normal(size=(2, genes)))
    rate = mean if dispersion is None else rng.gamma(dispersion, mean / dispersion)
    return load(rng.poisson(rate), kind="count", name="cells")


def reduced(dispersion: float | None) -> dict[str, float]:
    return counts.compare(TINY, rows(dispersion), lambda text: None, genes=20, draws=20)


def prepared(name: str, data: Data) -> Job:
    return prepare(resolve(TINY, counts.MODELS[name]), data)


def test_counts_that_vary_more_than_a_poisson_are_told_by_the_negative_binomial() -> None:
    figures = reduced(2.0)
    leads = {name: figures[f"{counts.NB} less {name}"] for name in list(counts.MODELS)[1:]}
    assert leads[counts.POISSON] > 3 * figures[f"{counts.NB} less {counts.POISSON}: standard error"]
    for name, lead in leads.items():
        difference = figures[f"{counts.NB}: log-likelihood"] - figures[f"{name}: log-likelihood"]
        assert lead == pytest.approx(difference, abs=1e-9)
    assert leads[counts.DENSITY] > leads[counts.INTERVAL]  # trained on the mass it is scored by
    assert {figure.name for figure in counts.REPRODUCTION.figures} <= set(figures)


def test_counts_of_a_poisson_leave_it_the_lead() -> None:
    assert reduced(None)[f"{counts.NB} less {counts.POISSON}"] < 0


def test_the_choice_of_genes_reads_the_training_rows_alone() -> None:
    data = rows(2.0)
    parts = split(data, "random", seed=0)
    expected = np.sort(np.argsort(np.log1p(data.x[parts.train].numpy().astype(np.float64)).var(0))[-20:])
    chosen = counts.most_variable(data, parts.train, 20)
    assert [column.name for column in chosen.spec.columns or ()] == [f"column{1 + place}" for place in expected]
    assert torch.equal(chosen.x, data.x[:, expected])
    changed = data.x.clone()
    changed[parts.test] = 1_000 * torch.rand(len(parts.test), data.spec.dim).round()
    assert counts.most_variable(replace(data, x=changed), parts.train, 20).spec.columns == chosen.spec.columns


def test_every_encoder_reads_the_same_and_the_same_rows_are_held_out() -> None:
    data = rows(2.0)
    jobs = [prepared(name, data) for name in counts.MODELS]
    first, *others = [next(job.batches("test", batch_size=500).fixed()) for job in jobs]
    for batch in others:
        assert torch.equal(batch.index, first.index)  # type: ignore[arg-type]
    read = [
        job.build().model.get_submodule("reading")(next(job.batches("test", batch_size=500).fixed()).x) for job in jobs
    ]
    for each in read[1:]:
        torch.testing.assert_close(each, read[0])
    sizes = {sum(p.numel() for p in job.build().model.parameters()) for job in jobs}
    assert max(sizes) - min(sizes) == data.spec.dim  # a Poisson has no dispersion


def test_a_gaussian_of_the_logarithm_is_scored_by_the_mass_of_intervals() -> None:
    data = rows(2.0)
    job = prepared(counts.DENSITY, data)
    objective, _, _ = train(replace(job, settings=job.settings.model_copy(update={"epochs": 2})))
    model = objective.model.eval()
    by_mass, reads = counts.scored_by_mass(model, job)
    assert isinstance(by_mass, LatentVariableModel)
    (batch,) = reads.batches("test", batch_size=500).fixed()
    z = torch.randn(3, len(batch), 2)
    with torch.no_grad():
        px = model.decode(z[0])  # of log(1 + x)
        found = by_mass.likelihood.log_px(z[:1], Batch(batch.x))[0]
    law = stats.lognorm(px.stddev.double().numpy(), scale=np.exp(px.mean.double().numpy()))
    x = batch.x.numpy().astype(np.float64)
    peer = np.log(law.cdf(x + 1.5) - np.where(x > 0, law.cdf(x + 0.5), 0.0)).sum(1)
    np.testing.assert_allclose(found, peer, rtol=1e-4)
    assert torch.equal(batch.x, data.x[reads.split.test])
