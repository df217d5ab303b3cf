"""Objectives of two phases: whose updates they are, how often, at which rate, and what is told of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn

from linear_gaussian import random_linear_gaussian
from nelbo.core import Batch, Loss, Objective, Phase
from nelbo.errors import CompositionError, TrainingError
from nelbo.evaluate import evaluate_split
from nelbo.objectives import FactorVAE
from nelbo.runs import train_run
from nelbo.settings import resolve
from nelbo.train import Job, prepare, train
from nelbo.train.job import dry_run, make_trainer
from nelbo.train.monitor import EpochRecord, Ledger, Listener
from zoo import SMALL, rows_of

EPOCHS = 4
STEPS = 3  # of an epoch: 48 training rows in batches of 16


def job(data: str = "binary", **settings: Any) -> Job:
    chosen = {"epochs": EPOCHS, "source": data, "objective": "factor:gamma=5,hidden=8", **settings}
    return prepare(resolve(SMALL, chosen), rows_of(data))


@final
class Recorder(Listener):
    def __init__(self) -> None:
        self.records: list[EpochRecord] = []

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        self.records.append(record)


def by_hand(job: Job, every: int = 1, clip: float | None = None) -> dict[str, Tensor]:
    """The weights of a plain loop: two optimisers, the second with rates of its own, cosine decay for both."""
    objective = job.build()
    assert isinstance(objective, FactorVAE)
    vae, discriminator = objective.phases
    one = torch.optim.Adam(vae.parameters(), lr=job.settings.lr, fused=True)
    other = torch.optim.Adam(discriminator.parameters(), lr=1e-4, betas=(0.5, 0.9), fused=True)
    plans = [(vae, one, job.settings.lr, 1), (discriminator, other, 1e-4, every)]
    step = 0
    torch.manual_seed(job.settings.seed + 1)
    for epoch in range(1, EPOCHS + 1):
        objective.train()
        for batch in job.batches("train").epoch(epoch):
            for phase, adam, lr, due in plans:
                if step % due:
                    continue
                adam.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / (EPOCHS * STEPS))) / 2
                objective.zero_grad()
                phase(batch).loss.backward()
                if clip is not None:
                    nn.utils.clip_grad_norm_(phase.parameters(), clip)
                adam.step()
            step += 1
    return {name: value.detach().clone() for name, value in objective.named_parameters()}


@pytest.mark.parametrize(
    ("data", "settings"),
    [("binary", {}), ("levels", {"network": "conv:dropout=0.2"}), ("binary", {"clip": 0.05})],
    ids=["plain", "conv-dropout", "clip"],
)
def test_the_trainer_makes_the_updates_of_a_plain_loop_of_both(data: str, settings: dict[str, Any]) -> None:
    this = job(data, keep="last", **settings)
    expected = by_hand(this, clip=settings.get("clip"))
    weights = dict(train(this)[0].named_parameters())
    assert weights.keys() == expected.keys()
    assert [name for name, value in expected.items() if not weights[name].equal(value)] == []


def test_a_phase_steps_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nelbo.objectives.factor.Discriminator.every", 2)
    this = job(keep="last")
    expected, weights = by_hand(this, every=2), dict(train(this)[0].named_parameters())
    assert [name for name, value in expected.items() if not weights[name].equal(value)] == []
    assert not all(value.equal(expected[name]) for name, value in by_hand(this).items())


def test_figures_of_the_second_phase_bear_its_name_and_only_the_first_is_validated() -> None:
    recorder = Recorder()
    train(job(), listeners=[recorder])
    for record in recorder.records:
        told = {name for name in record.train if name.startswith("discriminator: ")}
        assert told == {"discriminator: cross-entropy", "discriminator: loss"}
        assert record.train["discriminator: loss"] == pytest.approx(math.log(2), abs=0.1)
        assert set(record.validation) == set(record.train) - told
        assert record.weights == {"beta": 1.0}
        for figures in (record.train, record.validation):
            total = -figures["likelihood"] + figures["kl"] + 5 * figures["total correlation"]
            assert figures["loss"] == pytest.approx(total, rel=1e-5)
            assert figures["bound"] == pytest.approx(figures["likelihood"] - figures["kl"], rel=1e-5)


@final
class Pull(Phase):
    """Pulls a number to another one's, which it reads; keeps count of its calls."""

    def __init__(self, name: str, start: float, target: float, every: int = 1) -> None:
        super().__init__()
        self.name, self.every = name, every
        self.value = nn.Parameter(torch.tensor(start))
        self.target = target
        self.calls = 0

    def forward(self, batch: Batch) -> Loss:
        self.calls += 1
        distance = (self.value - self.target) ** 2
        return Loss(distance, None, {"distance": distance})


@final
class Two(Objective):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Pull("main", 1.0, 0.0), Pull("other", -1.0, 3.0, every=2)
        self.second.optimiser, self.second.lr = "sgd", 0.25
        self.knows(random_linear_gaussian(0).model)

    @property
    def phases(self) -> Sequence[Phase]:
        return (self.first, self.second)

    @property
    def validated(self) -> None:
        return None


def test_phases_have_optimisers_rates_and_ledgers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "build", lambda self: Two())
    trainer = make_trainer(job(lr=0.1, lr_schedule="constant", optimizer="sgd"))
    objective = trainer.objective
    assert isinstance(objective, Two)
    objective.first.calls = objective.second.calls = 0  # both were tried
    ledger = Ledger()
    list(trainer.steps(1, ledger))
    assert (objective.first.calls, objective.second.calls) == (3, 2)
    assert float(objective.first.value.detach()) == pytest.approx((1 - 2 * 0.1) ** 3)
    assert float(objective.second.value.detach()) == pytest.approx(3 - 4 * (1 - 2 * 0.25) ** 2)
    assert ledger.rows == 48
    assert ledger.summary()["other: distance"] == pytest.approx((16 + 4) / 2)  # over its own steps
    assert set(trainer.optimisers) == {"main", "other"}


def test_a_loss_of_the_second_phase_that_breaks_is_told() -> None:
    trainer = make_trainer(job())
    name = "discriminator.network.layers.2.weight"
    with torch.no_grad():
        trainer.objective.get_parameter(name).fill_(math.nan)
    vae, _ = trainer.objective.phases
    trainer.objective.vae.regulariser.gamma = 0.0  # type: ignore[union-attr]
    with pytest.raises(TrainingError, match=rf"in the term '(total correlation|cross-entropy)'; parameter '{name}'"):
        trainer.fit()
    assert all(bool(torch.isfinite(p).all()) for p in vae.parameters())


def test_a_dry_run_counts_both_phases() -> None:
    this = job()
    found = dry_run(this, steps=4)
    assert found.parameters == sum(p.numel() for p in this.build().parameters())


def test_a_run_of_two_phases_is_measured_like_any_other(tmp_path: Path) -> None:
    this = job()
    run = train_run(this, tmp_path / "run")
    model = run.load().model
    again = train(job())[0].model
    assert all(value.equal(again.state_dict()[name]) for name, value in model.state_dict().items())
    assert not any("discriminator" in name for name in model.state_dict())
    assert math.isfinite(evaluate_split(this, model, samples=10).as_json()["log_likelihood"])


def test_a_refused_composition_leaves_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(CompositionError, match="a product over latent dimensions"):
        train_run(job(objective="beta-tc", posterior="full-gaussian"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_trying_an_objective_leaves_it_and_the_random_state_as_they_were() -> None:
    this = job("levels", network="conv:dropout=0.2", objective="elbo:gradient=reinforce-average")
    before = torch.get_rng_state()
    built, tried = this.build().state_dict(), make_trainer(this).objective.state_dict()
    assert torch.get_rng_state().equal(before)
    assert all(value.equal(tried[name]) for name, value in built.items())
