"""Rules on the fitted model: one healthy model, spoilt by hand in a known way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nelbo.doctor.finding import FAULT, WARNING, Finding
from nelbo.doctor.gradient_rules import GRADIENT_RULES, Gradients
from nelbo.doctor.model_rules import MODEL_RULES
from nelbo.doctor.patient import Patient


def found(patient: Patient) -> dict[str, Finding]:
    return {one.key: one for rule in (*MODEL_RULES, *GRADIENT_RULES) if (one := rule(patient)) is not None}


def last_layer(part: nn.Module) -> nn.Linear:
    return [module for module in part.modules() if isinstance(module, nn.Linear)][-1]


def encoder(patient: Patient) -> nn.Linear:
    """Emits means, then raw log-variances, of 3 latents."""
    assert patient.model is not None
    return last_layer(patient.model.posterior)


def decoder(patient: Patient) -> nn.Linear:
    assert patient.model is not None
    return last_layer(patient.model.likelihood)


def test_a_healthy_model_has_nothing_worse_than_a_remark(patient: Patient) -> None:
    assert all(one.severity < WARNING for one in found(patient).values())


def test_codes_like_the_prior_are_a_collapse(patient: Patient) -> None:
    layer = encoder(patient)
    layer.weight.data.zero_()
    layer.bias.data.zero_()
    collapse = found(patient)["posterior-collapse"]
    assert collapse.severity is FAULT
    assert collapse.figures["kl"] == pytest.approx(0.0, abs=1e-3)  # N(0, 1) against N(0, 1)
    assert collapse.figures["kl_per_latent"] == pytest.approx([0.0] * 3, abs=1e-3)


def test_two_latents_with_the_same_means_are_duplicates(patient: Patient) -> None:
    layer = encoder(patient)
    size = layer.weight.data[:3].norm(dim=1)
    strong, other = int(size.argmax()), int(size.argmin())
    layer.weight.data[other], layer.bias.data[other] = -layer.weight.data[strong], layer.bias.data[strong]
    duplicates = found(patient)["duplicate-latents"]
    assert duplicates.severity is WARNING
    assert [sorted((strong, other))] == [sorted(pair) for pair in duplicates.figures["pairs"]]
    assert "--latent 2" in duplicates.remedy


def test_a_latent_that_the_decoder_does_not_read_is_named(patient: Patient) -> None:
    assert patient.model is not None
    first = next(module for module in patient.model.likelihood.modules() if isinstance(module, nn.Linear))
    first.weight.data[:, 1] = 0.0
    dead = found(patient)["dead-latents"]
    assert dead.severity is FAULT
    assert dead.figures["latents"] == [1]
    assert "--latent 2" in dead.remedy


def test_variances_beyond_reason_are_told(patient: Patient) -> None:
    encoder(patient).bias.data[3:] += 40.0
    assert found(patient)["log-variance-overflow"].figures["largest_log_variance"] > 30


@pytest.mark.parametrize(("shift", "word"), [(4.0, "wider"), (-6.0, None)])
def test_a_variance_that_is_off_makes_data_unlike_the_data(patient: Patient, shift: float, word: str | None) -> None:
    assert patient.model is not None
    raw = next(p for name, p in patient.model.likelihood.named_parameters() if "raw_log_variance" in name)
    raw.data.add_(shift)
    misfit = found(patient)["likelihood-misfit"]
    if word is not None:
        assert word in misfit.text
        assert np.exp(misfit.figures["log_ratio_of_variances"]) > 1.6


def test_an_encoder_that_points_elsewhere_lags_behind(patient: Patient) -> None:
    encoder(patient).weight.data[:3] *= -1.0
    gap = found(patient)["amortisation-gap"]
    assert gap.figures["gap"] > 3 * gap.figures["standard_error"]


def test_a_gradient_that_is_not_finite_is_a_fault(patient: Patient) -> None:
    decoder(patient).weight.data[0, 0] = torch.inf
    exploded = GRADIENT_RULES[0](patient)
    assert exploded is not None
    assert (exploded.key, exploded.severity) == ("exploding-gradients", FAULT)


def test_a_deep_sigmoid_network_fades_and_a_shallow_one_does_not(patient: Patient) -> None:
    torch.manual_seed(0)

    def shares(depth: int, activation: type[nn.Module]) -> float:
        layers = [module for _ in range(depth) for module in (nn.Linear(16, 16), activation())]
        net = nn.Sequential(*layers, nn.Linear(16, 16))
        net(torch.randn(64, 16)).square().sum().backward()
        weights = [p for p in net.parameters() if p.dim() == 2]
        made = Gradients(("posterior",) * len(weights), (tuple(p.grad for p in weights),), (1.0,) * len(weights))  # type: ignore[misc]
        share = made.fading("posterior")
        assert share is not None
        return share

    assert shares(8, nn.Sigmoid) < 1e-4
    assert shares(2, nn.ReLU) > 1e-2


def test_gradients_are_those_of_autograd(patient: Patient) -> None:
    batches = patient.batches("train", 64)[:1]
    made = Gradients.of(patient.trained, batches)
    objective = patient.trained
    with torch.random.fork_rng():
        torch.manual_seed(0)
        objective.phases[0](batches[0]).loss.backward()
    by_hand = sum(float(p.grad.square().sum()) for n, p in objective.named_parameters() if "posterior." in n) ** 0.5
    assert float(made.norms["posterior"][0]) == pytest.approx(by_hand, rel=1e-5)
