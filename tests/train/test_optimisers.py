"""Optimisers and learning-rate schedules against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR

from nelbo.errors import ConfigError, TrainingError
from nelbo.train.optimisers import lr_factor, optimiser


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))


def descend(p: nn.Parameter, optimizer: Optimizer) -> Tensor:
    for _ in range(5):
        optimizer.zero_grad()
        (p.square() * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
        optimizer.step()
    return p.detach()


@pytest.mark.parametrize(
    ("text", "peer", "options"),
    [
        ("adam", Adam, {}),
        ("adam:betas=0.8+0.9,eps=1e-6", Adam, {"betas": (0.8, 0.9), "eps": 1e-6}),
        ("adamw:weight_decay=0.1", AdamW, {"weight_decay": 0.1}),
        ("adagrad:initial_accumulator_value=0.1", Adagrad, {"initial_accumulator_value": 0.1}),
        ("rmsprop:centered=true,alpha=0.9", RMSprop, {"centered": True, "alpha": 0.9}),
        ("sgd:momentum=0.9,nesterov=true", SGD, {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_a_part_string_makes_torchs_optimiser(text: str, peer: type[Optimizer], options: dict[str, object]) -> None:
    ours, theirs = parameter(), parameter()
    found = descend(ours, optimiser(text, [ours], lr=0.05))
    expected = descend(theirs, peer([theirs], lr=0.05, **options))  # type: ignore[call-arg]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["adam", "adamw", "adagrad", "sgd"])
def test_the_fused_kernel_is_used_where_torch_has_one(name: str) -> None:
    assert optimiser(name, [parameter()], lr=0.1).defaults["fused"] is True


def test_frozen_parameters_are_left_out() -> None:
    trained, frozen = parameter(), parameter().requires_grad_(False)
    made = optimiser("adam", [trained, frozen], lr=0.1)
    assert [p for group in made.param_groups for p in group["params"]] == [trained]


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(TrainingError, match="no parameters to train; unfreeze one"):
        optimiser("adam", [parameter().requires_grad_(False)], lr=0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adma", "unknown optimizer 'adma'; did you mean 'adam'"),
        ("adam:beta=0.9+0.99", "did you mean 'betas'"),
        ("rmsprop:centred=true", "did you mean 'centered'"),
        ("adam:eps=-1", "--optimizer adam:eps=-1: Invalid epsilon"),
        ("adam:betas=0.9", "--optimizer adam:betas"),
        ("adam:0.9", "unknown option of optimizer adam"),
        ("sgd:nesterov=true", "--optimizer sgd:nesterov=true: Nesterov"),
        ("", "names nothing"),
    ],
)
def test_what_cannot_be_an_optimiser_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        optimiser(text, [parameter()], lr=0.1)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


STEPS = 40


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("constant", lambda o: MultiStepLR(o, [])),
        ("cosine", lambda o: CosineAnnealingLR(o, STEPS)),
        ("cosine:floor=0.1", lambda o: CosineAnnealingLR(o, STEPS, eta_min=0.1)),
        ("linear", lambda o: LinearLR(o, 1.0, 1e-12, STEPS)),
        ("linear:floor=0.25", lambda o: LinearLR(o, 1.0, 0.25, STEPS)),
        ("step", lambda o: MultiStepLR(o, [20])),
        ("step:at=0.5+0.75,factor=0.3", lambda o: MultiStepLR(o, [20, 30], gamma=0.3)),
    ],
)
def test_a_schedule_is_torchs_schedule(text: str, peer: object) -> None:
    made = Adadelta([parameter()], lr=1.0)
    schedule: LRScheduler = peer(made)  # type: ignore[operator]
    factor, expected, found = lr_factor(text), [], []
    for step in range(STEPS + 1):
        expected.append(made.param_groups[0]["lr"])
        found.append(factor(step / STEPS))
        made.step()
        schedule.step()
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin", "did you mean 'cosine'"),
        ("cosine:flor=0.1", "did you mean 'floor'"),
        ("constant:floor=0.1", "unknown option of --lr-schedule constant"),
        ("step:0.5", "unknown option of --lr-schedule step"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lr_factor(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["cosine:floor=low", "step:factor=half", "step:at=half", "cosine:floor=2"])
def test_a_schedule_value_that_is_not_a_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        lr_factor(text)(0.5)
