"""Composing models: what parts there are, and what they serve."""

from nelbo.compose.catalogue import KINDS, Part, catalogue

__all__ = ["KINDS", "Part", "catalogue"]
