"""One check that every posterior makes of its network."""

from __future__ import annotations

from torch import nn

from nelbo.errors import CompositionError


def check_outputs(what: str, network: nn.Module, dim: int, needed: int) -> None:
    """Refuse a network whose outputs are not as many as the posterior needs.

    Raises
    ------
    CompositionError
        If the network says how many it has, and that is another number.
    """
    emitted = getattr(network, "out_features", needed)
    if emitted != needed:
        raise CompositionError(
            f"{what} over {dim} latent dimensions needs a network with {needed} outputs, but this one has {emitted}"
        )
