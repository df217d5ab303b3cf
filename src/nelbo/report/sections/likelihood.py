"""The likelihood, with its errors, its reference measure and its baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nelbo.doctor.commands import evaluate_command, plugin_files
from nelbo.doctor.comparable import are_comparable
from nelbo.doctor.figure_rules import late_gain
from nelbo.doctor.wording import bits, nats, plain, signed
from nelbo.report.charts import estimate_curve
from nelbo.report.html import Content, Markup, commands, element, figure, join, section, table
from nelbo.report.subject import Subject

__all__ = ["likelihood"]

Figures = Mapping[str, Any]
TITLE = "Likelihood and baselines"


def likelihood(subject: Subject) -> Markup:
    """The table of figures, the estimate against its samples, and what to know about both."""
    figures = subject.evaluation
    if figures is None:
        how = element("p", "This run has not been evaluated yet. To do so, and then write this report again:")
        command = evaluate_command(subject.folder, plugins=plugin_files(subject.config))
        again = f"nelbo report {command.removeprefix('nelbo evaluate ')}"
        return section("likelihood", TITLE, how, commands(command, again))
    if figures.get("importance_samples") is None:
        return _reconstruction(figures, subject.rows)
    return section(
        "likelihood",
        TITLE,
        element(
            "p", f"{int(figures['n']):,} {figures['split']} {subject.rows}. Higher is better in nats, lower in bits."
        ),
        _table(figures),
        element("p", join(("Reference measure of the model: ", element("em", str(figures["reference_measure"])), "."))),
        _per_unit(figures),
        *(element("p", str(word), class_="note") for word in figures.get("warnings") or ()),
        _estimate(figures),
        _sides(figures, subject.rows),
    )


def _reconstruction(figures: Figures, rows: str) -> Markup:
    """What there is to say of a posterior without a density."""
    words = (
        f"Given its own code, a row of the {int(figures['n']):,} {figures['split']} {rows} has log p(x given z) = "
        f"{nats(figures.get('reconstruction'))} nats {_error(figures.get('reconstruction_standard_error'))} on average "
        f"({figures['reference_measure']}). That is no likelihood of the data, since a code costs nothing: it cannot "
        "be compared with other models or baselines. A posterior with a spread has one."
    )
    return section("likelihood", TITLE, element("p", words))


def _table(figures: Figures) -> Markup:
    samples = int(figures["importance_samples"])
    own = figures.get("log_likelihood")
    bound = figures.get("bound")
    rows: list[tuple[Content, ...]] = [
        (
            element("strong", "this model, log-likelihood"),
            nats(own),
            _error(figures.get("standard_error")),
            bits(figures.get("bits_per_dim")),
            "",
            element("span", f"importance sampled, K = {samples:,}", class_="small"),
        ),
        (
            "this model, bound",
            nats(bound),
            _error(figures.get("bound_standard_error")),
            "",
            signed(None if own is None or bound is None else float(own) - float(bound)),
            element("span", "below the log-likelihood", class_="small"),
        ),
    ]
    ordered = sorted(figures.get("baselines") or [], key=lambda each: -_number(each.get("log_likelihood")))
    rows += [_baseline(each, figures) for each in ordered]
    head = ("", "nats", "± error", "bits/dim", "model is ahead by", "remark")
    return join(
        (
            table(head, rows, numeric=(1, 2, 3, 4)),
            element("p", "± one standard error over the data.", class_="small"),
        )
    )


def _baseline(each: Figures, figures: Figures) -> tuple[Content, ...]:
    value, own = each.get("log_likelihood"), figures.get("log_likelihood")
    measure = str(each["reference_measure"])
    comparable = are_comparable(str(figures["reference_measure"]), measure)
    ahead = signed(float(own) - float(value)) if comparable and own is not None and value is not None else ""
    remarks = [str(each.get("note") or "")]
    if not comparable:
        ahead = "not comparable"
    if measure != figures["reference_measure"]:
        remarks.append(f"reference measure: {measure}")
    remark = element("span", "; ".join(part for part in remarks if part), class_="small")
    error, cost = _error(each.get("standard_error")), bits(each.get("bits_per_dim"))
    return str(each["name"]), nats(value), error, cost, ahead, remark


def _per_unit(figures: Figures) -> Content:
    unit = figures.get("per_unit")
    if not unit:
        return ""
    text = (
        "As a density per [0, 1] unit, as papers often give it: log-likelihood "
        f"{nats(unit.get('log_likelihood'))}, bound {nats(unit.get('bound'))} nats."
    )
    return element("p", text)


def _estimate(figures: Figures) -> Content:
    """The estimate against K, for its bias to show."""
    by_samples = {
        int(k): float(v)
        for k, v in (figures.get("log_likelihood_by_samples") or {}).items()
        if v is not None and math.isfinite(float(v))
    }
    samples, effective = int(figures["importance_samples"]), figures.get("effective_sample_size")
    if len(by_samples) < 2:
        return element(
            "p", f"Estimated with K = {samples:,} only, so how it depends on K is not known.", class_="small"
        )
    rise = late_gain(figures) or 0.0
    counts = [f"{k:,}" for k in sorted(by_samples)]
    rows = [["log-likelihood", *(nats(by_samples[k]) for k in sorted(by_samples))]]
    words = [
        "For any K the estimate is on average a lower bound on log p(x), and it rises towards it as K grows.",
        f"Here the last tenfold of samples added {nats(rise)} nats:",
        "what is left to gain is small." if rise < 0.25 else "more samples would still raise it noticeably.",
    ]
    if effective is not None:
        words.append(
            f"On average {plain(float(effective))} of {samples:,} samples carry the weight (effective sample size)."
        )
    if figures.get("monte_carlo_error") is not None:
        words.append(f"The Monte Carlo error of the mean is {plain(float(figures['monte_carlo_error']), 2)} nats.")
    chart = element("div", [estimate_curve(by_samples), _right(counts, rows)], class_="pair halves top")
    return join((element("h3", "The estimate against its samples"), figure(chart, " ".join(words))))


def _right(counts: list[str], rows: list[list[str]]) -> Markup:
    turned = [(k, value) for k, value in zip(counts, rows[0][1:], strict=True)]
    return element("div", table(("K", "log-likelihood"), turned, numeric=(1,)))


def _sides(figures: Figures, rows: str) -> Content:
    """Training rows against these, and outputs at their floor."""
    lines = []
    both = figures.get("generalisation")
    if both:
        train, test = both.get("train_bound"), both.get("test_bound")
        gap = None if train is None or test is None else float(train) - float(test)
        lines.append(
            f"Bound on training {rows} {nats(train)}, on these {nats(test)} nats: a gap of {nats(gap)}. "
            "Only the part of it beyond the errors is overfitting."
        )
    floors = figures.get("share_at_floor") or {}
    if floors:
        shares = ", ".join(f"{name} {100 * float(share):.1f} %" for name, share in floors.items())
        lines.append(f"Log-variances on their floor: {shares}.")
    return join(element("p", line) for line in lines)


def _error(value: float | None) -> str:
    return "" if value is None else f"± {nats(float(value))}"


def _number(value: float | None) -> float:
    return -math.inf if value is None else float(value)
