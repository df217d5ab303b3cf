"""The Gaussian likelihood, with five ways to have a variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, final, get_args

import torch
from torch import Tensor, nn

from nelbo.core import Batch, sum_cells
from nelbo.data.spec import Kind
from nelbo.distributions.normal import HALF_LOG_2PI, ElementwiseNormal, LogVariance
from nelbo.errors import unknown
from nelbo.likelihoods.dispersion import Learned
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.running_variance import RunningVariance
from nelbo.registry import register

Sigma = Literal["unit", "shared", "dimension", "datum", "optimal"]


@register("likelihood/gaussian")
@final
class GaussianLikelihood(Elementwise):
    r"""p(x given z) = N(shift + scale m(z), (scale s)^2) for every cell.

    Reference measure: Lebesgue, in the data's own units.

    Parameters
    ----------
    network
        Emits means [N, P] in scaled units; with `sigma="datum"` means, then log-variances: [N, 2 P].
    shape
        Shape of x.
    sigma
        `unit`: s = 1; `shared`: one learned s; `dimension`: a learned s per cell; `datum`: s(z) from the network;
        `optimal`: one s, in closed form. While training, s^2 is the mean squared error of the batch (all draws, rows
        and observed cells, in scaled units), which maximises its log-likelihood; it is held constant in the gradient,
        which at a maximum changes nothing for the ELBO. In evaluation, and in whatever `forward` gives, s^2 is the
        running average of those errors (see `RunningVariance`), saved with the weights: were it the error of the rows
        evaluated, it would be fitted to them, and a row's score would depend on its neighbours.
    mean
        `identity`, or `sigmoid` for means between 0 and 1 in scaled units (Kingma and Welling's Frey-face decoder).
    min_log_variance
        Smooth lower bound of log s^2.

    References
    ----------
    Kingma and Welling (2013), eq. 12; Rybkin et al. (2021), Simple and effective VAE training with calibrated
    decoders (shared and optimal sigma), arXiv:2006.13202.
    """

    fits: ClassVar = frozenset({Kind.REAL})
    after: ClassVar = {
        Kind.BYTE: ("dequantize", "density", "logit"),
        Kind.LEVELS: ("dequantize", "density", "logit"),
        Kind.UNIT: ("logit", "density"),
        Kind.POSITIVE: ("log", "density"),
        Kind.COUNT: ("log1p", "density"),
    }
    density: ClassVar = True

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        sigma: Sigma = "shared",
        mean: Literal["identity", "sigmoid"] = "identity",
        shift: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        min_log_variance: float = -14.0,
    ) -> None:
        if sigma not in get_args(Sigma):
            raise unknown("sigma of the gaussian likelihood", sigma, get_args(Sigma))
        if mean not in {"identity", "sigmoid"}:
            raise unknown("mean of the gaussian likelihood", mean, ("identity", "sigmoid"))
        super().__init__(network, shape, 2 if sigma == "datum" else 1, shift, scale)
        self.squash = mean == "sigmoid"
        self.sigma = sigma
        self.log_variance = None if sigma in {"unit", "optimal"} else LogVariance(min_log_variance)
        size = self.cells if sigma == "dimension" else ()
        self.raw_log_variance = Learned(size) if sigma in {"shared", "dimension"} else None
        self.running = RunningVariance(min_log_variance) if sigma == "optimal" else None

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 2 if options.get("sigma", "shared") == "datum" else 1

    def forward(self, z: Tensor, context: Tensor | None = None) -> ElementwiseNormal:
        loc, log_variance = self._scaled(z, context)
        sigma = self.scale if log_variance is None else self.scale * torch.exp(0.5 * log_variance)
        return ElementwiseNormal(torch.addcmul(self.shift, self.scale, loc), sigma)

    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        """The generic sum; with one shared variance and complete rows, one sum of squares a datum."""
        if self.running is not None and self.training:
            return self._log_px_at_its_best(self.running, z, batch)
        if (
            self.sigma not in {"unit", "shared", "optimal"}
            or self.scale.dim()
            or batch.mask is not None
            or batch.log_jacobian is not None
        ):
            return super().log_px(z, batch)
        context = None if batch.context is None else batch.context.repeat(z.shape[0], 1)
        loc, log_variance = self._scaled(z.flatten(0, 1), context)
        residual = ((batch.x - self.shift) / self.scale).flatten(1) - loc.view(*z.shape[:2], -1)
        squares: Tensor = residual.square().sum(-1)
        cells = residual.shape[-1]
        if log_variance is not None:
            squares = squares * torch.exp(-log_variance) + cells * log_variance
        return -0.5 * squares - cells * (HALF_LOG_2PI + self.scale.log())

    def _scaled(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Means and log-variances in the units in which the network sees the data."""
        emitted = self.emit(z, context)
        loc = torch.sigmoid(emitted[0]) if self.squash else emitted[0]
        if self.running is not None:
            return loc, self.running.average()
        if self.log_variance is None:
            return loc, None
        raw = emitted[1] if self.raw_log_variance is None else self.raw_log_variance()
        return loc, self.log_variance(raw)

    def _log_px_at_its_best(self, running: RunningVariance, z: Tensor, batch: Batch) -> Tensor:
        """With the s^2 that fits this very batch best, its mean squared error."""
        context = None if batch.context is None else batch.context.repeat(z.shape[0], 1)
        loc, _ = self._scaled(z.flatten(0, 1), context)
        squares = ((batch.x - self.shift) / self.scale - loc.view(*z.shape[:2], *self.shape)).square()
        log_variance = running(squares, batch.mask)
        cells = -0.5 * (squares * torch.exp(-log_variance) + log_variance) - self.scale.log() - HALF_LOG_2PI
        return sum_cells(cells, batch, len(self.cells))
