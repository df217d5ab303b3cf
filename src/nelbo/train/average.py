"""An exponential moving average of the weights, which is what is kept of a training that asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from nelbo.errors import ConfigError


@final
class MovingAverage:
    """a <- d a + (1 - d) w after every step, d = min(decay, (1 + t) / (10 + t)) for step t, so that it starts fast.

    Buffers (running statistics of batch norms) are those of the last step.

    References
    ----------
    Polyak and Juditsky (1992), Acceleration of stochastic approximation by averaging.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        if not 0 < decay < 1:
            raise ConfigError(f"--ema should be between 0 and 1, such as 0.999, but {decay} was given")
        self._parameters = parameters
        self._decay = decay
        self._values = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after step number `step`, counted from 1, into the average."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._values, list(self._parameters), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The average in place of the weights while the context is open."""
        weights = [p.detach().clone() for p in self._parameters]
        self.load()
        try:
            yield
        finally:
            _copy(weights, self._parameters)

    def load(self) -> None:
        """Make the average the weights."""
        _copy(self._values, self._parameters)

    def state(self) -> dict[str, Tensor]:
        """The average, by place."""
        return {str(place): value for place, value in enumerate(self._values)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        for place, value in enumerate(self._values):
            value.copy_(state[str(place)])


@torch.no_grad()
def _copy(values: Sequence[Tensor], parameters: Sequence[nn.Parameter]) -> None:
    for value, p in zip(values, parameters, strict=True):
        p.copy_(value)
