"""Hand-made contents of a run's files, and small fitted runs, for the tests of the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nelbo.evaluate import evaluate_split
from nelbo.recipes import find
from nelbo.runs import Run, reopen, train_run
from nelbo.settings import resolve

MASS = "probability mass on levels 0..16 per pixel"
DENSITY = "Lebesgue density in the data's own units"


def config(**settings: Any) -> dict[str, Any]:
    """The configuration of a run on the digits, as it is stored."""
    defaults = {"epochs": 100, "patience": 25, "transform": "none", "likelihood": "discretized-logistic"}
    resolved = resolve(find(settings.get("recipe", "vae")).defaults, {**defaults, **settings})
    return {
        "format": 1,
        "settings": resolved.model_dump(mode="json"),
        "data": {
            "spec": {"name": "digits", "event_shape": [1, 8, 8], "kind": "levels", "levels": 17, "layout": "image"},
            "sha256": "0" * 64,
            "rows": 1797,
            "split": {"how": "stratified", "train": 1437, "validation": 180, "test": 180, "notes": []},
        },
    }


def metrics(
    validation: Sequence[float], train: Sequence[float] | None = None, lr: float = 1e-3
) -> list[dict[str, Any]]:
    """Records with these bounds, at beta = 1 and a constant learning rate."""
    return [
        {
            "epoch": epoch,
            "step": 1000 * epoch,
            "train": {"loss": -inside, "bound": inside, "likelihood": inside + 10, "kl": 10.0},
            "validation": {"loss": -outside, "bound": outside, "likelihood": outside + 10, "kl": 10.0},
            "weights": {"beta": 1.0},
            "lr": lr,
            "samples_per_second": 1e4,
            "seconds": float(epoch),
        }
        for epoch, (inside, outside) in enumerate(zip(train or validation, validation, strict=True), 1)
    ]


def state(validation: Sequence[float], stopped: str = "all 100 steps done") -> dict[str, Any]:
    """The state after those records."""
    best = max(range(len(validation)), key=lambda i: validation[i])
    return {"epoch": len(validation), "best_epoch": best + 1, "best": -validation[best], "stopped": stopped}


def evaluation(at: float = -84.0, **changes: Any) -> dict[str, Any]:
    """Figures of an evaluation with two baselines, of which the better has -107.6 nats."""
    return {
        "bound": at - 1.0,
        "bound_standard_error": 0.8,
        "log_likelihood": at,
        "standard_error": 0.8,
        "monte_carlo_error": 0.02,
        "bits_per_dim": 1.9,
        "reference_measure": MASS,
        "importance_samples": 1000,
        "effective_sample_size": 120.0,
        "log_likelihood_by_samples": {"1": at - 1.0, "100": at - 0.02, "1000": at},
        "split": "test",
        "n": 180,
        "kl": 11.0,
        "likelihood": at + 10.0,
        "kl_per_latent": [5.0, 3.0, 3.0, 0.01],
        "variance_of_means": [1.0, 0.9, 0.9, 0.001],
        "active_units": 3,
        "share_at_floor": {"posterior.log_variance": 0.0},
        "per_unit": None,
        "generalisation": {"train_bound": at - 0.5, "test_bound": at - 1.0},
        "baselines": [
            baseline("independent marginals", -107.6, MASS),
            baseline("gzip", -142.0, MASS, error=None),
        ],
        "warnings": [],
        "seed": 0,
        "seconds": 1.0,
        **changes,
    }


def baseline(name: str, log_likelihood: float, measure: str, error: float | None = 0.6) -> dict[str, Any]:
    return {
        "name": name,
        "log_likelihood": log_likelihood,
        "standard_error": error,
        "bits_per_dim": 2.4,
        "reference_measure": measure,
        "note": "",
    }


def fitted(folder: Path, samples: int = 20, **settings: Any) -> Run:
    """A run trained for a moment and, with importance samples, evaluated."""
    small = {"hidden": (16,), "latent": 3, "epochs": 2, "threads": 1}
    run = train_run(resolve(find(settings.get("recipe", "vae")).defaults, {**small, **settings}), folder)
    if samples:
        run.write_evaluation(evaluate_split(reopen(run), run.load().model, samples=samples).as_json())
    return run
