"""Student's t, a likelihood that outliers do not pull."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, final, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.distributions.normal import LogVariance
from nelbo.distributions.student import ElementwiseStudentT
from nelbo.errors import unknown
from nelbo.likelihoods.dispersion import Learned
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.gaussian import GaussianLikelihood
from nelbo.registry import register

Spread = Literal["dimension", "datum"]
LEAST = 2.0  # degrees of freedom, so that every variance exists


@register("likelihood/student-t")
@final
class StudentTLikelihood(Elementwise):
    r"""p(x given z) = t_n(shift + scale m(z), scale s) for every cell, n degrees of freedom.

    Reference measure: Lebesgue, in the data's own units. A residual of t scales costs (n + 1) / 2 log(1 + t^2 / n)
    nats, where a Gaussian charges t^2 / 2.

    Parameters
    ----------
    network
        Emits means [N, P]; with `sigma="datum"` means, log squared scales and raw degrees of freedom, [N, 3 P].
    shape
        Shape of x.
    sigma
        `dimension`: scale and degrees of freedom learned per cell; `datum`: both from the network.
    min_log_variance
        Smooth lower bound of the log squared scale.

    References
    ----------
    Mattei and Frellsen (2019), MIWAE, arXiv:1812.02633, section 5 (`datum`); Takahashi et al. (2018), Student-t
    variational autoencoder for robust density estimation.
    """

    fits: ClassVar = GaussianLikelihood.fits
    after: ClassVar = GaussianLikelihood.after
    density: ClassVar = True

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        sigma: Spread = "datum",
        shift: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        min_log_variance: float = -14.0,
    ) -> None:
        if sigma not in get_args(Spread):
            raise unknown("sigma of the student-t likelihood", sigma, get_args(Spread))
        super().__init__(network, shape, 3 if sigma == "datum" else 1, shift, scale)
        self.per_datum = sigma == "datum"
        self.log_variance = LogVariance(min_log_variance)
        self.learned = None if self.per_datum else nn.ModuleList(Learned(self.cells) for _ in range(2))

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 3 if options.get("sigma", "datum") == "datum" else 1

    def forward(self, z: Tensor, context: Tensor | None = None) -> ElementwiseStudentT:
        emitted = self.emit(z, context)
        raw, freedom = emitted[1:] if self.learned is None else (each() for each in self.learned)
        loc = torch.addcmul(self.shift, self.scale, emitted[0])
        log_scale = 0.5 * self.log_variance(raw) + self.scale.log()
        return ElementwiseStudentT(loc, log_scale, LEAST + F.softplus(freedom))
