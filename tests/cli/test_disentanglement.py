"""Known factors of variation on the command line: trained without them, scored by them, refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from .conftest import TINY, refuse, succeed

NAME = "disentanglement:factors=shape+size,repeats=2"


def write(path: str) -> None:
    """Three columns of data beside a word and a number that are their factors, every combination thirty times."""
    shape, size = np.tile(np.indices((3, 2)).reshape(2, -1), 30)
    noise = np.random.default_rng(0).normal(size=len(shape))
    words = np.array(["ellipse", "heart", "square"])[shape]
    cells = zip(shape + noise, size - noise, noise, words, size, strict=True)
    Path(path).write_text("\n".join(["a,b,c,shape,size", *(",".join(map(str, row)) for row in cells)]))


@pytest.mark.usefixtures("_plain_report")
def test_columns_that_training_left_aside_are_factors_by_name() -> None:
    write("grid.csv")
    succeed("train", "grid.csv", *TINY, "--test", 0.5, "--drop", "shape", "--drop", "size", "--run", "run")
    assert "has no known factors of variation; name columns or arrays of its file" in refuse(
        "evaluate", "run", "--measure", "disentanglement"
    )
    assert "did you mean 'shape'" in refuse("evaluate", "run", "--measure", "disentanglement:factors=shapes+size")
    found = json.loads(succeed("evaluate", "run", "--measure", NAME, "--json").out)["measures"][NAME]
    assert [(each["name"], each["ordered"]) for each in found["factors"]] == [("shape", False), ("size", True)]
    other = json.loads(succeed("evaluate", "run", "grid.csv", "--measure", NAME, "--json").out)
    assert other["measures"][NAME]["n"] == 90


def test_shapes_are_trained_measured_and_shown_as_they_come() -> None:
    few = ("--steps", 60, "--lr", 0.01, "--hidden", 8, "--latent", 2, "--test", 0.02, "--validation", 0.02)
    told = succeed("train", "shapes", *few, "--run", "run")
    assert "likelihood bernoulli" in " ".join((told.out + told.err).split())
    assert "shape (3), scale (5), orientation (5), x (15), y (15)" in " ".join((told.out + told.err).split())
    shown = succeed("evaluate", "run", "--measure", "disentanglement:rows=300,repeats=2").out
    assert all(score in shown for score in ("mutual information gap", "DCI completeness", "SAP", "FactorVAE score"))
    succeed("report", "run")
    page = Path("run/report.html").read_text()
    assert "FactorVAE score" in page
    assert "The two latents that tell most of each factor" in page
