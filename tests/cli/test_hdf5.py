"""Annotated tables on the command line: trained on, matched by the names of their columns, refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from .conftest import TINY, refuse, succeed

GENES = ("Actb", "Gad2", "Vip", "Sox10")


def write(path: str, order: tuple[str, ...], label: str = "type") -> None:
    """Sixty cells with the same counts, the genes in some order."""
    rng = np.random.default_rng(0)
    counts = dict(zip(GENES, rng.poisson(5, (4, 60)), strict=True))
    with h5py.File(path, "w") as file:
        file["X"] = np.stack([counts.get(gene, np.zeros(60)) for gene in order], 1)
        file["var/_index"] = np.array(order, dtype=h5py.string_dtype())
        file[f"obs/{label}"] = np.array(["glia", "neuron"] * 30, dtype=h5py.string_dtype())


def test_other_cells_are_matched_by_the_names_of_their_genes() -> None:
    write("cells.h5ad", GENES)
    write("new.h5ad", ("Vip", "Other", "Actb", "Sox10", "Gad2"), label="sort")
    settings = ("--likelihood", "negative-binomial", "--scaling", "log1p", "--label", "type")
    succeed("train", "cells.h5ad", *TINY, *settings, "--run", "run")
    same, moved = (
        json.loads(succeed("evaluate", "run", name, "--samples", 20, "--json").out)
        for name in ("cells.h5ad", "new.h5ad")
    )
    assert same["log_likelihood"] == moved["log_likelihood"]
    assert same["reference_measure"] == "probability mass on the counts 0, 1, 2, ... per column"


def test_a_gene_that_is_missing_and_a_file_that_is_no_hdf5_are_refused() -> None:
    write("cells.h5ad", GENES)
    write("fewer.h5ad", GENES[:3])
    succeed("train", "cells.h5ad", *TINY, "--run", "run")
    assert "lacks the column 'Sox10'" in refuse("evaluate", "run", "fewer.h5ad")
    Path("broken.h5ad").write_bytes(Path("cells.h5ad").read_bytes()[:900])
    assert "not a whole HDF5 file" in refuse("train", "broken.h5ad")
    assert "did you mean 'type'" in refuse("train", "cells.h5ad", "--label", "types")
