"""Ways to fit a model without gradients: eigen-decomposition."""

from __future__ import annotations

from nelbo.solvers.ppca import PPCA, fit_ppca

__all__ = ["PPCA", "fit_ppca"]
