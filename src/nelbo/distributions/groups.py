"""Groups of categories, one after the other in a vector."""

from __future__ import annotations

from torch import Tensor

from nelbo.errors import ConfigError


def grouped(flat: Tensor, groups: int) -> Tensor:
    """The categories of each group, `[..., G n] -> [..., G, n]`."""
    return flat.reshape(*flat.shape[:-1], groups, flat.shape[-1] // groups)


def check_groups(what: str, flag: str, dim: int, groups: int) -> None:
    """Refuse D dimensions that are not G groups of equal size, 2 or more.

    Parameters
    ----------
    what, flag
        Who refuses, and how it is written: "a one-hot prior", "--prior one-hot".

    Raises
    ------
    ConfigError
        With the remedy.
    """
    if groups < 1 or dim % groups or dim < 2 * groups:
        raise ConfigError(
            f"{what} needs groups of equal size with 2 categories or more, but {dim} latent dimensions and {groups} "
            f"groups were given; use e.g. --latent 200 {flag}:groups=20"
        )


def check_temperature(what: str, flag: str, temperature: float) -> None:
    """Refuse a temperature that is not above 0.

    Raises
    ------
    ConfigError
        With the remedy.
    """
    if not temperature > 0:
        raise ConfigError(
            f"{what} needs a temperature above 0, but {temperature} was given; use e.g. {flag}:temperature=0.5"
        )
