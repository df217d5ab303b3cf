"""Published results, re-run: one file each, every one a `Reproduction`."""

from nelbo.reproduce.record import Figure, Reproduction, Row, run_reproduction
from nelbo.reproduce.registry import REPRODUCTIONS, find

__all__ = ["REPRODUCTIONS", "Figure", "Reproduction", "Row", "find", "run_reproduction"]
