"""The tape in a training: what it leaves as it was, what it writes, what it says where the loss breaks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import pytest
import torch
from torch import nn

from nelbo.core import Batch, Loss, Objective, SinglePhase
from nelbo.errors import TrainingError
from nelbo.runs import train_run
from nelbo.settings import resolve
from nelbo.storage import read_lines
from nelbo.train import Job, prepare, train
from nelbo.train.job import make_trainer
from nelbo.train.monitor import Watcher
from nelbo.train.rhythm import Rhythm
from nelbo.train.tape import Taping
from zoo import SMALL, rows_of


def hooks(objective: nn.Module) -> int:
    of_modules = sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in objective.modules()
    )
    return of_modules + sum(len(p._backward_hooks or ()) for p in objective.parameters())


def job(data: str = "binary", **settings: Any) -> Job:
    return prepare(resolve(SMALL, {"epochs": 4, "source": data}, settings), rows_of(data))


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ("levels", {"network": "conv:dropout=0.2"}),
        ("binary", {"objective": "iwae:samples=3,gradient=dreg"}),
        ("binary", {"objective": "elbo:gradient=nvil"}),
        ("binary", {"objective": "factor:hidden=8"}),
        ("binary", {"objective": "mcem"}),
    ],
    ids=["dropout", "dreg", "nvil", "factor", "mcem"],
)
def test_weights_are_those_of_a_training_without_it(data: str, settings: dict[str, Any]) -> None:
    this = job(data, keep="last", **settings)
    plain, taping = train(this)[0].state_dict(), Taping(Rhythm(steps=1))
    taped = train(this, listeners=[taping])[0]
    assert [name for name, value in taped.state_dict().items() if not value.equal(plain[name])] == []
    assert hooks(taped) == 0
    assert taping.tape is not None
    assert len(taping.tape.readings) == 12 * len(taped.phases)  # 4 epochs of 3 batches
    assert taping.findings == []


def test_a_training_without_it_has_no_hooks_and_no_watcher() -> None:
    trainer = make_trainer(job())
    assert trainer._watchers == []
    assert hooks(trainer.objective) == 0


@pytest.mark.parametrize(
    ("rhythm", "steps"),
    [(Rhythm(steps=5), [0, 5, 10]), (Rhythm(epochs=2), [0, 6]), (Rhythm(seconds=1e9), [0])],
    ids=["steps", "epochs", "seconds"],
)
def test_steps_of_the_rhythm_are_lines_of_the_file(tmp_path: Path, rhythm: Rhythm, steps: list[int]) -> None:
    file = tmp_path / "tape.jsonl"
    train_run(job(), tmp_path, listeners=[Taping(rhythm, file=file)])
    lines = read_lines(file)
    assert [line["step"] for line in lines] == steps
    assert all("posterior.network" in line["groups"] for line in lines)


def test_a_resumed_run_writes_no_step_twice_and_drops_what_a_crash_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "tape.jsonl"
    train_run(job(), tmp_path, listeners=[Taping(Rhythm(steps=2), file=file)])
    with file.open("a") as lines:
        lines.write('{"step": 1')
    objective, taping = job().build(), Taping(Rhythm(steps=2), file=file)
    for step in (5, 6, 7):  # as if the last checkpoint was that of step 5
        taping.before(step, objective)
        objective.phases[0](next(iter(job().batches("train").fixed())))
        taping.after(step)
    assert [line["step"] for line in read_lines(file)] == [0, 2, 4, 5, 6]


def test_a_loss_that_breaks_between_two_looks_is_explained() -> None:
    @final
    class Breaks(Watcher):
        def before(self, step: int, objective: Objective) -> None:
            if step == 4:
                with torch.no_grad():
                    objective.get_parameter("model.likelihood.network.layers.0.weight").fill_(math.nan)

        def after(self, step: int) -> None: ...

        def explain(self, forward: Callable[[Batch], Loss], batch: Batch) -> str:
            return ""

    taping = Taping()
    with pytest.raises(TrainingError, match="the loss turned non-finite in epoch 2, step 5") as caught, taping:
        train(job(), listeners=[Breaks(), taping])
    said = str(caught.value)
    assert "likelihood.network.layers.0 gave the first non-finite output in every row of the batch" in said
    assert "its parameter 'weight' holds NaN" in said


@final
class Lottery(SinglePhase):
    """A loss that breaks in the rows that lose."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.ones(()))

    def forward(self, batch: Batch) -> Loss:
        part = torch.where(torch.rand(len(batch)) > 0.8, math.inf, self.theta)
        return Loss(part.mean(), None, {"luck": part})


def test_a_broken_loss_is_looked_at_again_with_the_noise_that_broke_it() -> None:
    objective, taping, batch = Lottery(), Taping(), Batch(torch.zeros(30, 1))
    taping.before(0, objective)
    taping.after(0)
    taping.before(1, objective)
    bad = (~torch.isfinite(objective(batch).parts["luck"])).nonzero().flatten().tolist()
    state = torch.get_rng_state()
    said = taping.explain(objective, batch)
    assert said.startswith(f"term 'luck' is not finite in rows {bad[0]}, {bad[1]}, ")
    assert torch.get_rng_state().equal(state)
    assert hooks(objective) == 0
