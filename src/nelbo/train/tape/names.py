"""What modules and parameters are called on a tape, and which parameters are looked at together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from torch import nn

from nelbo.core import Gradient, Likelihood, Model, Objective, Phase, Posterior, Prior

PARTS = (Prior, Posterior, Likelihood, Gradient)


@final
class Names:
    """Short names of the modules of an objective: the path to each without the model and the first phase.

    `model.posterior.network.layers.0` is `posterior.network.layers.0`. The group of a parameter is the part that owns
    it (`prior`), or the module just below the part (`posterior.network`); outside the parts it is the child of the
    phase (`discriminator.network`).
    """

    def __init__(self, objective: nn.Module, phases: Sequence[Phase]) -> None:
        self._modules: dict[nn.Module, str] = {}
        self._groups: dict[nn.Module, str] = {}
        main = phases[0]
        for path, module in objective.named_modules():
            words, above, shown, group = path.split(".") if path else [], objective, [], ""
            descends = True  # whether the group of what lies below is still open
            for word in words:
                above = above.get_submodule(word)
                if not (isinstance(above, Model) or above is main):
                    shown.append(word)
                if descends:
                    group = ".".join(shown)
                    descends = isinstance(above, (*PARTS, Model, Phase, Objective))
            self._modules[module] = ".".join(shown)
            self._groups[module] = group

    def modules(self) -> Mapping[nn.Module, str]:
        """Every module and its name; the objective itself has none."""
        return self._modules

    def parameters(self, phase: Phase) -> dict[str, tuple[str, nn.Parameter]]:
        """The parameters that a phase owns, by name, each with its group."""
        found: dict[str, tuple[str, nn.Parameter]] = {}
        known: set[nn.Parameter] = set()
        for module in phase.modules():
            for leaf, parameter in module.named_parameters(recurse=False):
                if parameter not in known:
                    known.add(parameter)
                    place = self._modules[module]
                    found[f"{place}.{leaf}" if place else leaf] = (self._groups[module] or phase.name, parameter)
        return found
