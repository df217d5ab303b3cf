"""The tape: its figures against gradients by hand and row by row, its sentences against planted faults."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nelbo
from linear_gaussian import random_linear_gaussian
from nelbo.core import Batch, Loss, SinglePhase
from nelbo.errors import ConfigError
from nelbo.likelihoods import GaussianLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import StandardNormalPrior
from nelbo.recipes import NOT_BY_NAME
from nelbo.registry import registered
from nelbo.train.tape import GradientTape, Reading
from zoo import CASES, Case

ROWS = 11


# The figures.


def gaussian(rows: int = ROWS) -> tuple[nelbo.ELBO, Batch]:
    case = random_linear_gaussian(3, rows=rows)
    return nelbo.ELBO(case.model), Batch(case.x)


def read(objective: SinglePhase, batch: Batch, row_groups: int = 8) -> Reading:
    torch.manual_seed(5)
    with GradientTape(objective, row_groups=row_groups) as tape:
        objective(batch)
    assert tape.findings == []
    (reading,) = tape.readings
    return reading


def gradient_of_rows(objective: SinglePhase, batch: Batch, term: str, below: str = "") -> np.ndarray:
    """The gradient of every row's own value, [B, P], a backward pass each; zeros where there is no way."""
    rows = []
    for row in range(len(batch)):
        torch.manual_seed(5)
        objective.zero_grad(set_to_none=False)
        for parameter in objective.parameters():
            parameter.grad = torch.zeros_like(parameter)
        objective(batch).parts[term][row].backward()
        own = [p.grad.flatten() for name, p in objective.named_parameters() if below in name and p.grad is not None]
        rows.append(torch.cat(own).numpy())
    objective.zero_grad()
    return np.stack(rows)


def test_the_gradient_of_the_kl_is_that_by_hand() -> None:
    case = random_linear_gaussian(3, rows=ROWS)
    reading = read(nelbo.ELBO(case.model), Batch(case.x))
    x, (weight, bias) = case.x.numpy(), (p.detach().numpy() for p in case.encoder.parameters())
    loc, raw = np.split(x @ weight.T + bias, 2, axis=1)
    variance = np.exp(raw) + math.exp(-14.0)
    # d/d loc of (v + loc^2 - 1 - log v) / 2 is loc; d/d raw is (1 - 1 / v) / 2 dv / d raw, dv / d raw = exp(raw).
    slope = np.concatenate([loc, (1 - 1 / variance) * np.exp(raw) / 2], axis=1) / ROWS
    expected = math.sqrt(((slope.T @ x) ** 2).sum() + (slope.sum(0) ** 2).sum())
    assert reading.slopes["posterior.network"]["kl"].norm == pytest.approx(expected, rel=1e-12)
    assert reading.slopes["likelihood.network"]["kl"].norm == 0.0
    assert reading.slopes["likelihood.network"]["kl"].zeros == 1.0
    kl = (variance + loc**2 - 1 - np.log(variance)).sum(1) / 2
    assert reading.terms["kl"] == pytest.approx(kl.mean(), rel=1e-12)


@pytest.mark.parametrize("row_groups", [2, 4, 8, 50])
@pytest.mark.parametrize("group", ["posterior.network", "likelihood.network", "all"])
def test_norms_ratios_and_cosines_are_those_of_gradients_row_by_row(row_groups: int, group: str) -> None:
    objective, batch = gaussian()
    reading = read(objective, batch, row_groups)
    below = "" if group == "all" else group
    of = {term: gradient_of_rows(objective, batch, term, below) for term in ("likelihood", "kl")}
    of["loss"] = of["likelihood"] + of["kl"]
    assert reading.row_groups == min(row_groups, ROWS)
    for term, rows in of.items():
        groups = np.array_split(rows, reading.row_groups)
        squares = sum(len(g) * ((g.mean(0) - rows.mean(0)) ** 2).sum() for g in groups) / (len(groups) - 1)
        slope, norm = reading.slopes[group][term], np.linalg.norm(rows.mean(0))
        assert slope.norm == pytest.approx(norm, rel=1e-9)
        assert slope.zeros == pytest.approx((rows.mean(0) == 0).mean())
        if norm == 0:
            assert slope.snr is None
            continue
        assert slope.snr == pytest.approx(norm / math.sqrt(squares / ROWS), rel=1e-9)
        told = slope.as_json(ROWS)
        assert told["snr_of_a_datum"] == pytest.approx(norm / math.sqrt(squares), rel=1e-9)
    one, other = of["likelihood"].mean(0), of["kl"].mean(0)
    cosine = reading.cosines[group]["likelihood", "kl"]
    if np.linalg.norm(other) == 0:
        assert cosine is None
    else:
        assert cosine == pytest.approx(one @ other / np.linalg.norm(one) / np.linalg.norm(other), rel=1e-9)


@final
class Slopes(SinglePhase):
    """loss = mean of a_b theta, plus a term of one number."""

    def __init__(self, of_rows: Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.of_rows = of_rows

    def forward(self, batch: Batch) -> Loss:
        parts = {"rows": self.of_rows * self.theta, "number": 2 * self.theta.square()}
        return Loss(parts["rows"].mean() + parts["number"], None, parts)


def test_the_ratio_is_the_t_statistic_of_the_mean_where_each_row_is_a_group() -> None:
    from scipy.stats import ttest_1samp

    slopes = torch.randn(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    reading = read(Slopes(slopes), Batch(torch.zeros(20, 1)), row_groups=20)
    (group,) = reading.slopes.values()
    assert set(reading.slopes) == {"main"}
    assert group["rows"].snr == pytest.approx(abs(float(ttest_1samp(slopes.numpy(), 0).statistic)), rel=1e-12)
    assert group["number"].norm == 4.0
    assert group["number"].snr is None
    assert group["loss"].snr is None
    assert group["loss"].norm == pytest.approx(float(slopes.mean()) + 4.0)


def test_a_table_and_json_say_what_was_read() -> None:
    objective, batch = gaussian()
    with GradientTape(objective) as tape:
        objective(batch)
    text, content = tape.summary(), json.loads(json.dumps(tape.as_json(), allow_nan=False))
    assert "posterior.network" in text
    assert "no findings" in text
    of = content["readings"][0]["groups"]["posterior.network"]
    assert of["terms"]["kl"]["norm"] == tape.readings[0].slopes["posterior.network"]["kl"].norm
    assert of["cosines"][0][:2] == ["likelihood", "kl"]


# Healthy models.

OBJECTIVES = [case for case in CASES if case.name.startswith("objective-")]
OTHERS = [case for case in CASES if case.name in {"vae-binary", "conv-vae-levels", "vamp-iaf", "linear-vae-real"}]


@pytest.mark.parametrize("case", OBJECTIVES + OTHERS, ids=lambda case: case.name)
def test_a_healthy_model_has_no_finding(case: Case) -> None:
    objective = case.objective().train()
    with GradientTape(objective) as tape:
        for phase in objective.phases:
            phase(case.batch)
    assert tape.findings == []
    assert [reading.phase for reading in tape.readings] == [phase.name for phase in objective.phases]
    assert all(reading.slopes for reading in tape.readings)


def test_every_objective_is_among_them() -> None:
    plain = {"elbo", "autoencoder"}  # recipes use them
    named = {name.split("objective-")[1].partition(":")[0] for name in (case.name for case in OBJECTIVES)}
    kinds = ("objective", "regulariser", "bound")
    known = {name for kind in kinds for name, _ in registered(kind)} - {*NOT_BY_NAME}
    assert known - named - plain == set()


@pytest.mark.parametrize(
    "settings",
    [
        {"beta": 0.0},
        {"objective": "free-bits:nats=50"},
        {"objective": "wake-sleep", "prior": "mixture:components=3"},
        {"objective": "autoencoder", "posterior": "delta"},
        {"objective": "autoencoder:weight=1", "posterior": "delta"},
    ],
    ids=str,
)
def test_what_is_legitimately_constant_is_no_finding(settings: dict[str, Any]) -> None:
    objective = Case("", "binary", settings).objective().train()
    with GradientTape(objective) as tape:
        for row in range(3):
            torch.manual_seed(row)
            objective.phases[0](Case("", "binary", settings).batch)
    assert tape.findings == []


# Planted faults.


@final
class Faulty(SinglePhase):
    """An ELBO whose parts go through a fault."""

    def __init__(self, fault: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
        super().__init__()
        network = MLP(4, 4, (5,), "tanh"), MLP(2, 4, (5,), "tanh")
        self.model = LatentVariableModel(
            StandardNormalPrior(2), GaussianPosterior(network[0]), GaussianLikelihood(network[1], (4,), sigma="unit")
        )
        self.fault = fault

    def forward(self, batch: Batch) -> Loss:
        loss = nelbo.ELBO(self.model)(batch)
        parts = self.fault({**loss.parts, "size": 0.1 * self.model.encode(batch).mean.square().mean()})
        return Loss(torch.stack([part.mean() for part in parts.values()]).sum(), None, parts)


def by_numpy(value: Tensor) -> Tensor:
    return torch.from_numpy(np.array(value.detach().numpy()))


FAULTS: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = {
    "detach": (
        lambda p: {**p, "kl": p["kl"].detach()},
        r"^term 'kl' reaches no parameter: its graph was cut \(detach, .item\(\) or NumPy on the way\); compute it",
    ),
    "item": (
        lambda p: {**p, "size": torch.tensor(p["size"].item())},
        r"^term 'size' is the same number in every row, [\d.]+, and reaches no parameter: a constant, or cut",
    ),
    "numpy": (lambda p: {**p, "kl": by_numpy(p["kl"])}, r"^term 'kl' reaches no parameter: its graph was cut .*NumPy"),
    "constant": (
        lambda p: {**p, "more": torch.full_like(p["kl"], 3.0).detach()},
        r"^term 'more' is the same number in every row, 3, .* or leave it out of the loss",
    ),
    "clamp": (
        lambda p: {**p, "kl": p["kl"].clamp(min=1e3)},
        r"^term 'kl' has a gradient of exactly zero everywhere: it is held constant by a clamp",
    ),
    "elsewhere": (
        lambda p: {**p, "kl": p["kl"].detach() * nn.Parameter(torch.ones(()))},
        r"^term 'kl' reaches no parameter that its phase trains: its graph leads to frozen parameters",
    ),
}


def batch_of(rows: int = 12, columns: int = 4) -> Batch:
    return Batch(torch.randn(rows, columns, generator=torch.Generator().manual_seed(1)))


def findings(objective: SinglePhase, batch: Batch | None = None, losses: int = 1, **options: Any) -> list[str]:
    with GradientTape(objective, **options) as tape:
        for _ in range(losses):
            objective(batch_of() if batch is None else batch)
    return tape.findings


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_the_one_finding(name: str) -> None:
    fault, sentence = FAULTS[name]
    (said,) = findings(Faulty(fault))
    assert re.search(sentence, said), said


def test_without_a_fault_there_is_no_finding() -> None:
    assert findings(Faulty(lambda parts: parts)) == []


def test_a_number_that_changes_from_loss_to_loss_is_no_constant() -> None:
    (said,) = findings(Faulty(lambda p: {**p, "kl": p["kl"].detach().mean() + torch.rand(())}), losses=3)
    assert said.startswith("term 'kl' reaches no parameter: its graph was cut")


def test_a_frozen_encoder_is_named_with_its_parameters() -> None:
    objective = Faulty(lambda parts: parts)
    objective.model.posterior.requires_grad_(False)
    said = findings(objective)
    assert said[-1].startswith("posterior.network: all 4 parameters (posterior.network.layers.0.weight, ")
    assert "are frozen (requires_grad is off)" in said[-1]
    assert said[0].startswith("term 'kl' reaches no parameter")


def test_an_encoder_whose_output_is_detached_is_reached_by_no_term() -> None:
    objective = Faulty(lambda parts: {name: part for name, part in parts.items() if name == "likelihood"})
    layer = objective.model.posterior.network.layers[-1]  # type: ignore[union-attr,index]
    layer.register_forward_hook(lambda module, x, out: out.detach())
    (said,) = findings(objective)
    assert said.startswith("posterior.network: all 4 parameters (")
    assert "are reached by no term of the loss" in said


def test_parts_that_are_not_those_of_the_loss_are_a_finding() -> None:
    objective = Faulty(lambda parts: parts)
    whole = type(objective).forward

    def without_kl(batch: Batch) -> Loss:
        loss = whole(objective, batch)
        return Loss(loss.loss - loss.parts["kl"].mean(), None, loss.parts)

    objective.forward = without_kl  # type: ignore[method-assign]
    (said,) = findings(objective)
    assert "do not add up to that of the loss" in said


def test_what_is_cut_is_not_judged_in_evaluation() -> None:
    objective = Faulty(FAULTS["detach"][0]).eval()
    assert findings(objective) == []


# What is not finite.


def test_columns_and_rows_of_the_data_that_are_not_finite_are_named() -> None:
    batch = batch_of()
    batch.x[2, 1] = batch.x[7, 3] = math.nan
    names = ["id", "age", "sex", "income"]
    (said,) = findings(Faulty(lambda parts: parts), batch, columns=names)
    first = "posterior.network.layers.0 gave the first non-finite output in rows 2 and 7 of the batch"
    assert said.startswith(f"{first} (columns 'age' and 'income')")
    assert "the batch itself holds NaN or infinity" in said
    assert "columns 1 and 3" in findings(Faulty(lambda parts: parts), batch)[0]


def test_a_log_variance_that_overflows_is_named_with_its_rows() -> None:
    objective, batch = Faulty(lambda parts: parts), batch_of()
    layer = objective.model.posterior.network.layers[-1]  # type: ignore[union-attr,index]

    def overflow(module: nn.Module, x: Any, out: Tensor) -> Tensor:
        return out + 1000.0 * (torch.arange(12) == 4).unsqueeze(1) * (torch.arange(4) == 3)

    layer.register_forward_hook(overflow)
    (said,) = findings(objective, batch)
    assert said.startswith("posterior.variance gave the first non-finite output in row 4 of the batch; term 'kl'")
    assert "lower the learning rate (--lr)" in said


def test_an_exploding_layer_is_named() -> None:
    objective = Faulty(lambda parts: parts)
    layer = objective.model.likelihood.network.layers[-1]  # type: ignore[union-attr,index]
    with torch.no_grad():
        layer.weight.fill_(3e38)
        layer.bias.fill_(3e38)
    (said,) = findings(objective)
    path = {m: n for n, m in objective.named_modules()}[layer].removeprefix("model.")
    assert said.startswith(f"{path} gave the first non-finite output")
    assert "term 'likelihood' is not finite" in said
    with torch.no_grad():
        layer.weight[0, 0] = math.nan
    (said,) = findings(objective)
    assert "its parameter 'weight' holds NaN or infinity from an update before" in said


def test_a_term_by_itself_is_named() -> None:
    rows = torch.zeros(12)
    rows[5] = math.inf
    (said,) = findings(Faulty(lambda p: {**p, "kl": p["kl"] + rows}))
    assert said.startswith("term 'kl' is not finite in row 5 of the batch; all modules gave finite outputs")


def test_a_gradient_that_is_not_finite_is_followed_to_its_module_and_term() -> None:
    objective = Faulty(lambda p: {**p, "kl": p["kl"] * 1.0})
    layer = objective.model.posterior.network.layers[0]  # type: ignore[union-attr,index]
    kept: list[Tensor] = []
    layer.register_forward_hook(lambda module, x, out: kept.append(out))

    def root(p: dict[str, Tensor]) -> dict[str, Tensor]:
        of_row = kept[0][9].sum()
        zero = of_row - of_row.detach()  # 0, with a gradient in row 9 alone
        return {**p, "kl": p["kl"] + (torch.arange(12) == 9) * zero.sqrt()}

    objective.fault = root
    kept.clear()
    said = findings(objective)
    assert said[0].startswith("the loss is finite but its gradient is not: ")
    assert "was handed the first non-finite gradient of term 'kl' in row 9 of the batch" in said[0]


def test_an_error_within_the_loss_still_tells_what_was_not_finite() -> None:
    def stop(parts: dict[str, Tensor]) -> dict[str, Tensor]:
        raise ValueError("stop")

    objective, batch = Faulty(stop), batch_of()
    batch.x[3, 0] = math.inf
    tape = GradientTape(objective)
    with pytest.raises(ValueError, match="stop"), tape:
        objective(batch)
    (said,) = tape.findings
    assert said.startswith("posterior.network")
    assert "in row 3 of the batch (column 0)" in said
    assert hooks(objective) == 0


# What it leaves alone.


def hooks(objective: nn.Module) -> int:
    of_modules = sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in objective.modules()
    )
    return of_modules + sum(len(p._backward_hooks or ()) for p in objective.parameters())


def test_no_hook_no_gradient_and_no_random_number_is_left_behind() -> None:
    objective, batch = gaussian()
    torch.manual_seed(5)
    plain = objective(batch)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    with GradientTape(objective) as tape:
        assert hooks(objective) > 0
        taped = objective(batch)
        assert torch.get_rng_state().equal(state)
    assert hooks(objective) == 0
    assert all(p.grad is None for p in objective.parameters())
    assert taped.loss.equal(plain.loss)
    plain.loss.backward()
    expected = [p.grad.clone() for p in objective.parameters()]
    objective.zero_grad()
    taped.loss.backward()
    assert all(p.grad.equal(e) for p, e in zip(objective.parameters(), expected, strict=True))
    objective(batch)
    assert len(tape.readings) == 1


def test_a_loss_without_gradients_is_not_read() -> None:
    objective, batch = gaussian()
    with GradientTape(objective) as tape, torch.no_grad():
        objective(batch)
    assert tape.readings == []
    assert tape.findings == []


def test_what_is_no_objective_or_compiled_is_refused() -> None:
    with pytest.raises(ConfigError, match="takes an objective or a phase of one, but Linear is neither"):
        GradientTape(nn.Linear(1, 1))
    objective, _ = gaussian()
    with pytest.raises(ConfigError, match="1 group or more"):
        GradientTape(objective, row_groups=0)
    objective.compile()
    with pytest.raises(ConfigError, match="leave --compile"), GradientTape(objective):
        pass
    assert hooks(objective) == 0
