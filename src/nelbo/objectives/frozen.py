"""How a phase reads what another one trains."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import nn


@final
class Frozen:
    """Calls a module with its parameters as constants and its buffers left as they are.

    Gradients pass through to the arguments and to nothing else, whatever becomes of them; running statistics do not
    move. The module is held, but is no submodule of whoever holds this.

    Parameters
    ----------
    module
        Owned and trained by another phase.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def __call__(self, *arguments: Any) -> Any:
        module = self._module
        state = {name: parameter.detach() for name, parameter in module.named_parameters()}
        state |= {name: buffer.clone() for name, buffer in module.named_buffers()}
        return torch.func.functional_call(module, state, arguments)
