"""Features in which samples are compared: those of the user's own function, or the data themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from torch import Tensor

from nelbo.data import DataSpec, Kind
from nelbo.errors import ConfigError
from nelbo.plugins import function

__all__ = ["Components", "Features", "OwnFeatures"]

MOST = 64  # principal components
ROWS = 500  # given to the user's function together


class Features(ABC):
    """From rows [N, *event] in the units of the data to vectors [N, F]."""

    words: str  # what they are

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor: ...

    def as_json(self) -> dict[str, Any]:
        return {"words": self.words}


@final
class OwnFeatures(Features):
    """`features(x: Tensor) -> Tensor` of a Python file that the user names.

    Raises
    ------
    ConfigError
        If there is no such file or function, it raises, or it returns no finite vectors, one a row.
    """

    def __init__(self, file: str) -> None:
        self._function = function(file, "features", "samples:features=FILE")
        self.words = f"features are those of {file}"

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([self._checked(self._function(rows), len(rows)) for rows in torch.split(x, ROWS)])

    def as_json(self) -> dict[str, Any]:
        return {"words": self.words, "file": str(self._function.file), "sha256": self._function.sha256}

    def _checked(self, found: object, rows: int) -> Tensor:
        whose = f"features(x) of {self._function.file}"
        if not isinstance(found, Tensor):
            raise ConfigError(f"{whose} returned a {type(found).__name__}; return a tensor [N, F]")
        if found.dim() != 2 or len(found) != rows or not found.shape[1]:
            raise ConfigError(f"{whose} returned {list(found.shape)} for {rows} rows; return one vector a row, [N, F]")
        vectors = found.detach().to("cpu", torch.float64)
        if not bool(torch.isfinite(vectors).all()):
            raise ConfigError(f"{whose} returned values that are not finite; mend it for the rows that it was given")
        return vectors


@final
class Components(Features):
    """The data themselves in their first principal components, fitted on training rows, of mean variance 1.

    Before, columns of a table are divided by their standard deviations, counts are log(1 + x), and codes without an
    order are one-hot. Pixels keep their proportions: those that hardly vary would else weigh as much as the others.

    Parameters
    ----------
    fitted_on
        Training rows [N, *event].
    spec
        What these values are.
    """

    def __init__(self, fitted_on: Tensor, spec: DataSpec, seed: int = 0) -> None:
        self._spec = spec
        self._scale = torch.ones(())
        values = self._values(fitted_on)
        if spec.layout == "table":
            deviation = values.std(0, correction=0)
            codes = _is_code(spec).repeat_interleave(_widths(spec))
            self._scale = torch.where((deviation > 0) & ~codes, deviation, 1.0)
            values = values / self._scale
        most = min(MOST, values.shape[1], max(1, len(values) - 1))
        self._components = PCA(most, random_state=seed).fit(values.numpy())
        variance = float(np.mean(self._components.explained_variance_))
        self._unit = variance**0.5 if variance > 0 else 1.0
        share = float(self._components.explained_variance_ratio_.sum()) if variance > 0 else 1.0
        self.dim = most
        self.words = _in_words(spec, most, share)

    def __call__(self, x: Tensor) -> Tensor:
        found = self._components.transform((self._values(x) / self._scale).numpy())
        return torch.from_numpy(found).double() / self._unit

    def _values(self, x: Tensor) -> Tensor:
        """[N, *event] -> [N, D], as numbers that can be averaged."""
        columns = x.flatten(1).double()
        kinds = _kinds(self._spec)
        if Kind.COUNT in kinds:
            counts = torch.tensor([kind is Kind.COUNT for kind in kinds])
            columns = torch.where(counts, columns.clamp_min(0.0).log1p(), columns)
        if Kind.CATEGORICAL not in kinds:
            return columns
        return torch.cat(
            [
                F.one_hot(column.long().clamp(0, width - 1), width).double() if width > 1 else column.unsqueeze(1)
                for column, width in zip(columns.unbind(1), _widths(self._spec).tolist(), strict=True)
            ],
            1,
        )


def _kinds(spec: DataSpec) -> list[Kind]:
    """Of each value of a row."""
    if spec.kind is Kind.MIXED:
        return [column.kind for column in spec.columns or ()]
    return [spec.kind] * spec.dim


def _is_code(spec: DataSpec) -> Tensor:
    return torch.tensor([kind is Kind.CATEGORICAL for kind in _kinds(spec)])


def _widths(spec: DataSpec) -> Tensor:
    """How many numbers each value becomes."""
    tops = [column.high for column in spec.columns] if spec.columns else [(spec.levels or 2) - 1] * spec.dim
    return torch.where(_is_code(spec), torch.tensor([max(2, int(top) + 1) for top in tops]), 1)


def _in_words(spec: DataSpec, dim: int, share: float) -> str:
    done = ["standardised"] if spec.layout == "table" else []
    kinds = _kinds(spec)
    done += ["counts as log(1 + x)"] if Kind.COUNT in kinds else []
    done += ["codes one-hot"] if Kind.CATEGORICAL in kinds else []
    how = f" ({', '.join(done)})" if done else ""
    return (
        f"features are the data themselves{how} in {dim} principal components of the training rows, which hold "
        f"{share:.0%} of their variance"
    )
