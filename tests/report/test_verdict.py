"""The verdict, on runs whose faults are known because they were made by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nelbo.doctor.figure_rules import late_gain
from nelbo.report import Grade, Verdict, judge
from report.runs import DENSITY, baseline, config, evaluation, metrics, state

LEVEL = [-80 - 60 * math.exp(-epoch / 5) for epoch in range(100)]
RISING = [-200 + 1.0 * epoch for epoch in range(100)]


def verdict(
    course: list[float] = LEVEL,
    figures: dict[str, Any] | None = None,
    train: list[float] | None = None,
    stopped: str = "all 100 steps done",
    **settings: Any,
) -> Verdict:
    return judge(config(**settings), metrics(course, train), figures, state(course, stopped), "runs/x")


def told(found: Verdict) -> str:
    return " ".join((found.headline, *found.sentences, *found.remarks))


def commands(found: Verdict) -> str:
    return "\n".join(step.command for step in found.next_steps)


def test_a_converged_run_above_its_baselines_is_good() -> None:
    found = verdict(figures=evaluation())
    assert found.grade is Grade.GOOD
    assert "23.60 nats per image better" in found.headline
    assert "converged" in found.headline
    assert 2 <= len(found.sentences) <= 3
    assert found.next_steps


def test_the_margin_is_that_over_the_best_baseline() -> None:
    figures = evaluation(-84.0)
    figures["baselines"].append(baseline("pPCA, q = 4", -90.0, figures["reference_measure"]))
    assert "6.00 nats per image better than the best simple method (pPCA, q = 4)" in told(verdict(figures=figures))


def test_a_baseline_of_another_measure_is_not_compared_with() -> None:
    figures = evaluation(-84.0)
    figures["baselines"].append(baseline("pPCA, q = 4", 500.0, DENSITY))
    assert verdict(figures=figures).grade is Grade.GOOD


@pytest.mark.parametrize("below", [1.0, -1.0])
def test_within_two_standard_errors_nothing_is_won(below: float) -> None:
    found = verdict(figures=evaluation(-107.6 - below))
    assert found.grade is Grade.FAIR
    assert "no better than a simple method" in told(found)


def test_losing_against_independent_marginals_is_poor() -> None:
    found = verdict(figures=evaluation(-120.0))
    assert found.grade is Grade.POOR
    assert "12.40 nats per image worse than independent marginals" in told(found)


def test_losing_against_a_compressor_alone_is_fair() -> None:
    figures = evaluation(-84.0)
    figures["baselines"].append(baseline("PNG", -70.0, figures["reference_measure"], error=None))
    assert verdict(figures=figures).grade is Grade.FAIR


def test_a_linear_model_that_equals_ppca_is_good() -> None:
    figures = evaluation(-84.0, kl_per_latent=[2.0, 2.0, 2.0, 0.1])
    figures["baselines"].append(baseline("pPCA, q = 4", -83.8, figures["reference_measure"]))
    settings = {"recipe": "linear-vae", "transform": "dequantize"}
    assert verdict(figures=figures, **settings).grade is Grade.GOOD
    assert verdict(figures=figures).grade is Grade.FAIR


def test_without_an_evaluation_it_is_not_measured_and_says_how_to() -> None:
    found = verdict()
    assert found.grade is Grade.UNMEASURED
    assert found.next_steps[0].command == "nelbo evaluate runs/x"


def test_a_bound_that_still_rises_asks_for_more_epochs_first() -> None:
    found = verdict(RISING, evaluation())
    assert found.grade is Grade.FAIR
    assert "still improving" in found.headline
    assert found.next_steps[0].command == "nelbo train digits --epochs 200"


def test_a_rise_that_is_little_against_what_the_codes_carry_is_a_remark() -> None:
    creeping = [-84.0 + 0.02 * epoch for epoch in range(100)]  # the codes carry 10 nats
    found = verdict(creeping, evaluation())
    assert found.grade is Grade.GOOD
    assert "still rose by 0.38 nats" in told(found)


def test_a_run_in_steps_is_lengthened_in_steps() -> None:
    found = verdict(RISING, evaluation(), epochs=None, patience=None, steps=5000)
    assert "--steps 10000" in found.next_steps[0].command


def test_a_single_epoch_is_never_good() -> None:
    found = verdict([-90.0], evaluation())
    assert found.grade is Grade.FAIR
    assert "too little to tell" in told(found)


def test_falling_behind_on_held_out_rows_is_overfitting() -> None:
    course = [*LEVEL[:50], *(LEVEL[49] - 0.3 * epoch for epoch in range(50))]
    train = [y + 0.2 * i for i, y in enumerate(LEVEL)]
    kept = verdict(course, evaluation(), train)
    lost = verdict(course, evaluation(), train, keep="last")
    assert "overfits" in told(kept)
    assert "weights of that epoch were kept" in told(kept)
    assert kept.grade is Grade.GOOD
    assert lost.grade is Grade.FAIR
    assert "conv-vae" in commands(kept)


def test_a_gain_that_test_rows_do_not_see_is_overfitting() -> None:
    figures = evaluation(-84.0, generalisation={"train_bound": -65.0, "test_bound": -85.0})
    found = verdict(figures=figures)
    assert found.grade is Grade.FAIR
    assert "47\u00a0%" in told(found)  # 20 of the 42.6 nats above the marginals


def test_a_table_that_overfits_gets_a_smaller_network() -> None:
    files = config(hidden=(512, 256))
    files["data"]["spec"] |= {"event_shape": [64], "layout": "table", "kind": "real", "levels": None}
    figures = evaluation(-84.0, generalisation={"train_bound": -65.0, "test_bound": -85.0})
    found = judge(files, metrics(LEVEL), figures, state(LEVEL), "runs/x")
    assert "--hidden 256,128" in commands(found)
    assert "conv" not in commands(found)


def test_collapsed_latents_are_poor_and_get_a_warm_up() -> None:
    figures = evaluation(kl_per_latent=[0.0] * 4, variance_of_means=[0.0] * 4, active_units=0)
    found = verdict(figures=figures)
    assert found.grade is Grade.POOR
    assert "collapsed" in told(found)
    assert "--warmup linear:0.3" in commands(found)


def test_collapse_under_a_large_beta_gets_a_smaller_beta() -> None:
    figures = evaluation(kl_per_latent=[0.0] * 4, variance_of_means=[0.0] * 4, active_units=0)
    assert "--beta 1" in commands(verdict(figures=figures, recipe="beta-vae"))


def test_collapse_under_an_objective_that_has_no_warm_up_gets_none() -> None:
    figures = evaluation(kl_per_latent=[0.0] * 4, variance_of_means=[0.0] * 4, active_units=0)
    records = [{**record, "weights": {}} for record in metrics(LEVEL)]
    found = judge(config(objective="iwae"), records, figures, state(LEVEL), "runs/x")
    assert "--warmup" not in commands(found)
    assert "--lr" in commands(found)


def test_another_objective_than_the_bound_is_told_and_its_alternative() -> None:
    records = metrics(LEVEL)
    for record in records:
        for part in ("train", "validation"):
            record[part]["loss"] += 2.0  # a penalty
    found = judge(config(objective="factor:gamma=5"), records, evaluation(), state(LEVEL), "runs/x")
    assert "Trained with the objective factor:gamma=5, at some cost in likelihood" in told(found)
    assert "validation objective had levelled off" in told(found)
    assert any("--objective" not in step.command and "bound alone" in step.why for step in found.next_steps)
    assert "objective" not in told(verdict(figures=evaluation(), objective="iwae"))  # its loss is its bound


def test_an_objective_without_a_bound_has_none_to_be_held_against() -> None:
    records = metrics(LEVEL)
    for record in records:
        for part in ("train", "validation"):
            del record[part]["bound"], record[part]["kl"]
    found = judge(config(objective="mmd", posterior="delta"), records, None, state(LEVEL), "runs/x")
    assert "at some cost in likelihood" not in told(found)


def test_latents_in_full_use_ask_for_more_of_them() -> None:
    figures = evaluation(kl_per_latent=[2.0] * 4, variance_of_means=[1.0] * 4, active_units=4)
    assert "--latent 32" in commands(
        verdict(figures=figures, latent=16, recipe="conv-vae")
    ) or "--latent 32" in commands(verdict(figures=figures, latent=16))


@pytest.mark.parametrize(("share", "grade"), [(0.0, Grade.GOOD), (0.02, Grade.GOOD), (0.3, Grade.FAIR)])
def test_variances_at_their_floor_are_told(share: float, grade: Grade) -> None:
    found = verdict(figures=evaluation(share_at_floor={"posterior.log_variance": share}))
    assert found.grade is grade
    assert ("--min-log-variance -20" in commands(found)) == (share > 0.01)


def test_an_unsettled_estimate_asks_for_more_samples() -> None:
    figures = evaluation(log_likelihood_by_samples={"1": -90.0, "100": -85.0, "1000": -84.0}, effective_sample_size=2.0)
    assert "nelbo evaluate runs/x --samples 10000" in commands(verdict(figures=figures))


@pytest.mark.parametrize(
    ("by_samples", "gain"),
    [
        ({"1": -9.0, "10": -8.0, "100": -7.5}, 0.5),
        ({"10": -8.0, "1000": -7.0}, 0.5),  # half of two decades
        ({"1": -9.0, "5": -8.0}, 1.0),
        ({"1": -9.0}, None),
        ({}, None),
    ],
)
def test_the_last_tenfold_of_samples_is_read_off_the_logarithm(
    by_samples: dict[str, float], gain: float | None
) -> None:
    assert late_gain({"log_likelihood_by_samples": by_samples}) == (gain if gain is None else pytest.approx(gain))


def test_copies_of_training_rows_among_test_rows_are_told() -> None:
    files = config()
    files["data"]["split"]["notes"] = ["35 of 160 test rows (21.9 %) are exact copies of training rows"]
    found = judge(files, metrics(LEVEL), evaluation(), state(LEVEL), "runs/x")
    assert found.grade is Grade.FAIR
    assert "21.9 % of the test rows are exact copies" in told(found)


def test_a_diverged_run_is_poor_even_unmeasured() -> None:
    found = verdict([*LEVEL[:-1], math.nan])
    assert found.grade is Grade.POOR
    assert "--clip 100" in commands(found)


def test_a_run_cut_short_is_resumed() -> None:
    found = verdict(figures=evaluation(), stopped="time limit of 90 s reached")
    assert found.grade is Grade.FAIR
    assert found.next_steps[0].command == "nelbo train --resume runs/x"


NOTHING: dict[str, Any] = {
    "bound": None,
    "log_likelihood": None,
    "standard_error": None,
    "bound_standard_error": None,
    "bits_per_dim": None,
    "effective_sample_size": None,
    "generalisation": None,
    "kl_per_latent": None,
    "baselines": [],
    "log_likelihood_by_samples": {},
    "share_at_floor": {},
}


@pytest.mark.parametrize("figures", [None, evaluation(**NOTHING), {**evaluation(), "baselines": []}])
@pytest.mark.parametrize("course", [[], [-90.0], LEVEL])
def test_missing_pieces_never_stop_the_verdict(figures: dict[str, Any] | None, course: list[float]) -> None:
    found = judge(config(), metrics(course), figures, state(course) if course else {})
    assert found.headline
    assert found.sentences


def test_no_command_is_given_twice() -> None:
    figures = evaluation(-120.0, kl_per_latent=[0.0] * 4, variance_of_means=[0.0] * 4, active_units=0)
    found = [step.command for step in verdict(RISING, figures).next_steps]
    assert len(found) == len(set(found)) <= 4
