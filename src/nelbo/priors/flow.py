"""The normalising-flow prior."""

from __future__ import annotations

from typing import Literal, final, get_args

from torch import Tensor
from torch.distributions import Distribution

from nelbo.arguments import Count, Widths
from nelbo.core import Posterior, Prior
from nelbo.distributions.flows import layer_sizes, masks_of, zuko
from nelbo.errors import ConfigError, unknown
from nelbo.registry import register

Kind = Literal["maf", "coupling", "spline"]


@register("prior/flow")
@final
class FlowPrior(Prior):
    r"""p(z) = N(f(z); 0, I) abs(det df / dz), f a normalising flow of zuko's.

    The density costs one pass; a draw costs as many as there are dimensions (`maf`, `spline`), or two (`coupling`).

    Parameters
    ----------
    dim
        Number of latent dimensions.
    kind
        `maf`: masked autoregressive affine maps; `coupling`: affine maps of one half given the other; `spline`:
        autoregressive rational-quadratic splines on [-5, 5], the identity outside.
    transforms
        Number of maps.
    hidden
        Sizes of the hidden layers of each map's network.
    context
        Number of context features the density depends on.

    References
    ----------
    Papamakarios et al. (2017), arXiv:1705.07057; Dinh et al. (2017), arXiv:1605.08803; Durkan et al. (2019),
    arXiv:1906.04032. As a prior: Chen et al. (2017), Variational lossy autoencoder, arXiv:1611.02731, section 3.2.
    """

    def __init__(
        self,
        dim: int,
        kind: Kind = "maf",
        transforms: Count = 3,
        hidden: Widths | int = (128, 128),
        context: int = 0,
    ) -> None:
        super().__init__()
        if kind not in get_args(Kind):
            raise unknown("kind of the flow prior", kind, get_args(Kind))
        if dim < 1 or transforms < 1:
            raise ConfigError(
                f"a flow prior needs 1 dimension and 1 transform or more, but {dim} and {transforms} were given; "
                "use e.g. --latent 20 --prior flow:transforms=3"
            )
        self.dim = dim
        flows = zuko()
        make = flows.NSF if kind == "spline" else flows.MAF
        passes = {"passes": 2} if kind == "coupling" else {}
        sizes = layer_sizes(hidden)
        with masks_of(dim, context, transforms, sizes):
            self.flow = make(dim, context, transforms=transforms, hidden_features=sizes, **passes)

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> Distribution:
        density = self.flow(context)
        # torch's own base would meet a NaN with a ValueError that prints it, before the trainer can say what it means.
        density.base.base_dist._validate_args = False
        found: Distribution = density
        return found
