"""The bound, importance sampling and annealing on one trained model: who can be trusted when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from nelbo.core import Batch, Model
from nelbo.data import evenly
from nelbo.evaluate import Annealing, annealed_log_likelihood, bidirectional_log_likelihood, importance_log_likelihood
from nelbo.evaluate.annealing import simulate
from nelbo.evaluate.likelihood import standard_error
from nelbo.evaluate.pareto import RELIABLE
from nelbo.reproduce import iwae
from nelbo.reproduce.kept import trained
from nelbo.reproduce.record import Figure, Reproduction, Say
from nelbo.settings import resolve
from nelbo.train.job import prepare

EPOCHS = 30
ROWS = 100
SAMPLES = (50, 500, 5_000)
TEMPERATURES = (100, 500)
CHAINS = 16
BRACKET = 0.5  # nats between both ends of what is known for certain
SETTINGS: dict[str, Any] = {**iwae.SETTINGS, "epochs": EPOCHS}


def measure(seed: int, say: Say) -> dict[str, float]:
    """Each estimate with its error over images and over its own draws, on the same test images; then the bracket."""
    job = prepare(resolve(SETTINGS, {"seed": seed}))
    model = trained("estimators", job)
    batches = job.in_order(evenly(job.split.test, ROWS))
    figures: dict[str, float] = {}
    weighted = {k: importance_log_likelihood(model, batches.fixed(), k) for k in SAMPLES}
    most = weighted[SAMPLES[-1]]
    figures["bound"] = float(most.bound.mean())
    figures["bound: standard error over images"] = standard_error(most.bound)
    for k, found in weighted.items():
        name = _weighted(k)
        figures[name] = float(found.log_likelihood.mean())
        figures[f"{name}: standard error over images"] = found.standard_error
        figures[f"{name}: error over draws"] = found.monte_carlo_error
        figures[f"{name}: share of images with Pareto k above {RELIABLE}"] = float(
            (found.pareto_k > RELIABLE).double().mean()
        )
        say(f"{name}: {figures[name]:.2f}")
    for temperatures in TEMPERATURES:
        for start in ("posterior", "prior"):
            how = Annealing(CHAINS, temperatures, start=start)
            annealed = annealed_log_likelihood(model, batches.fixed(), how)
            name = _annealed(temperatures, start)
            figures[name] = float(annealed.log_likelihood.mean())
            figures[f"{name}: error over chains"] = annealed.monte_carlo_error
            say(f"{name}: {figures[name]:.2f}")
    best = Annealing(CHAINS, TEMPERATURES[-1])
    simulated = _simulated(model, batches.fixed(), seed)
    bracket = bidirectional_log_likelihood(model, simulated, best)
    lower, upper = bracket.lower.log_likelihood, bracket.upper.log_likelihood
    figures["images that the model made: from below"] = float(lower.mean())
    figures["images that the model made: from above"] = float(upper.mean())
    figures["images that the model made: between both"] = float((upper - lower).mean())
    made = [batch for batch, _ in simulated]
    for k in SAMPLES:
        estimate = importance_log_likelihood(model, made, k)
        figures[f"images that the model made: {_weighted(k)} less the middle"] = float(
            (estimate.log_likelihood - (lower + upper) / 2).mean()
        )
    return figures


def _simulated(model: Model, batches: Iterable[Batch], seed: int) -> list[tuple[Batch, Tensor]]:
    """Images of the model's own and their latents, as many as there are rows."""
    return [(Batch(x), z) for z, x in (simulate(model, batch, seed + place) for place, batch in enumerate(batches))]


def _weighted(samples: int) -> str:
    return f"importance sampling, K = {samples:,}"


def _annealed(temperatures: int, start: str) -> str:
    return f"annealing, T = {temperatures}, from the {start}"


REPRODUCTION = Reproduction(
    name="estimators",
    title=f"Dynamic MNIST, 784-200-200-50 after {EPOCHS} epochs: estimates of log p(x) of the same {ROWS} test images",
    citation="wu2017",
    configuration={
        **SETTINGS,
        "hidden": [200, 200],
        "rows": ROWS,
        "importance_samples": list(SAMPLES),
        "temperatures": list(TEMPERATURES),
        "chains": CHAINS,
    },
    figures=[
        Figure("images that the model made: between both", 0.0, "both ends of bidirectional Monte Carlo", high=BRACKET),
    ],
    measure=measure,
    sources=("mnist",),
    remark="The bound is what was trained, and off by the gap of the recognition model. Importance sampling rises "
    "towards the truth with K; its error over draws says nothing of what it still lacks, the Pareto k does: where it "
    "is above 0.7 for many images, the figure is a bound and no estimate. Annealing is a bound from below too; on "
    "images that the model made, whose truth lies between both ends, one sees how far each is off. All rows share "
    "their noise, so that errors over draws are those of the mean over images.",
)
