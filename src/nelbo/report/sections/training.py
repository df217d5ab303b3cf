"""How training went: the curves."""

from __future__ import annotations

from nelbo.doctor.wording import count, nats
from nelbo.report.charts import training_curves
from nelbo.report.html import Markup, element, figure, section
from nelbo.report.subject import Subject

__all__ = ["training"]


def training(subject: Subject) -> Markup:
    """Curves over epochs, or a word where there are none."""
    history = subject.history
    if len(history) == 0:
        return section("training", "Training", element("p", "This run has no metrics."))
    seconds = float(subject.state.get("seconds", 0.0))
    ended = f"; ended because: {history.stopped}" if history.stopped else ""
    steps = f", {count(int(subject.state['step']), 'step')}" if "step" in subject.state else ""
    took = f" in {_duration(seconds)}" if seconds > 0 else ""
    course = f"{count(len(history), 'epoch')}{steps}{took}{ended}."
    return section(
        "training",
        "Training",
        element("p", course),
        figure(training_curves(history), _caption(subject)),
        *_refit(subject),
    )


def _refit(subject: Subject) -> list[Markup]:
    """A word on a prior that was fitted after this training."""
    refit = subject.config.get("refit")
    if refit is None:
        return []
    error = refit["gain_standard_error"]
    words = (
        f"Afterwards another prior, {refit['prior']['after']}, was fitted to the codes of the training rows, with the "
        f"encoder and the decoder as they were: {nats(refit['gain'])} nats"
        f"{'' if error is None else f' ± {nats(error)}'} more a datum on {refit['n']:,} {refit['split']} rows, paired. "
        f"The curves are those of the training before, with the prior {refit['prior']['before']}."
    )
    return [element("p", words, class_="note")]


def _caption(subject: Subject) -> str:
    history, settings = subject.history, subject.job.settings
    words = ["Nats per datum; the bound is the likelihood minus the KL, always at beta = 1."]
    if settings.beta != 1:
        words.append(f"What was minimised weights the KL by beta = {settings.beta:g}.")
    elif not history.loss_is_bound:
        words.append(f"What was minimised is another objective, {settings.objective}.")
    if history.best_epoch is not None:
        kept = "whose weights were kept" if settings.keep == "best" else "though the last weights were kept"
        words.append(f"The dashed line marks epoch {history.best_epoch}, with the lowest validation loss, {kept}.")
    if not history.has_validation:
        words.append("No rows were held out for validation.")
    words.append(
        "Training curves average over each epoch while the weights change, and drop out what dropout drops; the steep "
        "start may leave the frame."
    )
    return " ".join(words)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3600:.1f} h"
