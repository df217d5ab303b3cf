"""The zoo: each recipe is a short function from the data and the settings to the spec of an objective."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from nelbo.arguments import check_argument
from nelbo.core import Posterior
from nelbo.data.spec import DataSpec, Kind
from nelbo.data.transforms import transform as named_transform
from nelbo.errors import CompositionError, ConfigError, unknown
from nelbo.likelihoods import Elementwise
from nelbo.likelihoods.columns import grouped
from nelbo.likelihoods.mixed import MixedLikelihood
from nelbo.networks import halves
from nelbo.registry import lookup, parse_part, registered
from nelbo.settings import Settings

Spec = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A named choice of parts and objective, with the settings it changes and where it comes from."""

    name: str
    summary: str
    make: Callable[[DataSpec, Settings], Spec]
    citation: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


RECIPES: dict[str, Recipe] = {}


def recipe(
    name: str, citation: str, **defaults: Any
) -> Callable[[Callable[[DataSpec, Settings], Spec]], Callable[[DataSpec, Settings], Spec]]:
    """Decorator: add a recipe to the zoo; its docstring is its one-line summary."""

    def add(make: Callable[[DataSpec, Settings], Spec]) -> Callable[[DataSpec, Settings], Spec]:
        held = RECIPES.get(name)
        if held is not None and held.make.__module__.startswith("nelbo.") and held.make.__module__ != make.__module__:
            raise CompositionError(f"the recipe {name!r} is one of nelbo's; choose another name")
        summary = inspect.cleandoc(make.__doc__ or "").splitlines()[0]
        RECIPES[name] = Recipe(name, summary, make, citation, defaults)
        return make

    return add


def find(name: str) -> Recipe:
    """A recipe by name; an unknown one is refused with the nearest."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]


@recipe("vae", "kingma2014")
def vae(data: DataSpec, settings: Settings) -> Spec:
    """Variational autoencoder: standard normal prior, diagonal Gaussian posterior, likelihood by kind of data."""
    model = {
        "part": "model/latent",
        "prior": prior_of(data, settings),
        "posterior": posterior_of(data, settings),
        "likelihood": likelihood_of(data, settings),
        **reading_of(data),
    }
    return objective_of(data, settings, model)


@recipe("conv-vae", "kingma2014", network="conv")
def conv_vae(data: DataSpec, settings: Settings) -> Spec:
    """The VAE with a convolutional encoder and a transposed-convolutional decoder, for images."""
    return vae(data, settings)


@recipe("beta-vae", "higgins2017", beta=4.0)
def beta_vae(data: DataSpec, settings: Settings) -> Spec:
    """The VAE with a KL weight above 1 (4 by default); its bound is still reported at beta = 1."""
    return vae(data, settings)


@recipe(
    "linear-vae", "lucas2019", network="linear", lr=5e-3, likelihood="gaussian:sigma=shared", transform="auto", latent=5
)
def linear_vae(data: DataSpec, settings: Settings) -> Spec:
    """Linear networks, one shared variance: its optimum is probabilistic PCA, known in closed form."""
    return vae(data, settings)


@recipe("ppca", "tipping1999", likelihood="gaussian:sigma=shared", transform="auto", latent=5)
def ppca(data: DataSpec, settings: Settings) -> Spec:
    """Probabilistic PCA in closed form: exact posterior and evidence, no gradient steps."""
    _refuse_unread(
        "ppca", settings, ("condition", "prior", "posterior", "network", "objective", "beta", "warmup", "ema")
    )
    by_column = data.layout == "table"
    model = {"part": "model/ppca", "dim": settings.latent, "shape": list(data.event_shape), "by_column": by_column}
    return {"part": "objective/solved", "model": model, "solver": {"part": "solver/ppca"}}


def _refuse_unread(recipe: str, settings: Settings, names: Sequence[str]) -> None:
    """Refuse settings that a recipe does not read, rather than leave them out in silence."""
    for name in names:
        if getattr(settings, name) != Settings.model_fields[name].default:
            raise CompositionError(f"the recipe {recipe} reads no --{name.replace('_', '-')}; leave it out")


def choose_transform(data: DataSpec, settings: Settings) -> tuple[str, str]:
    """The transform and the likelihood in force, as part strings; `auto` follows the kind of the data.

    Raises
    ------
    CompositionError
        If the likelihood does not fit the data as transformed; the message names what would.
    """
    if settings.likelihood == "auto":
        return _automatic(data, settings.transform_string)
    name, _ = parse_part(settings.likelihood)
    cls = cast("type[Elementwise]", lookup(f"likelihood/{name}"))
    own = BY_COLUMN if Kind.MIXED in cls.fits else "none"
    chosen = own if settings.transform_string == "auto" else settings.transform_string
    if (chosen == BY_COLUMN) is not (Kind.MIXED in cls.fits):
        raise CompositionError(
            f"--transform {BY_COLUMN} and --likelihood mixed belong together, but --transform {chosen} was given with "
            f"--likelihood {name}; leave one of the two out"
        )
    if not _suits(cls, data.kind, parse_part(chosen)[0]):
        raise CompositionError(_misfit(name, cls, data))
    return chosen, settings.likelihood


def _automatic(data: DataSpec, transform: str) -> tuple[str, str]:
    """The default likelihood of a kind, after its default transform unless one was named."""
    if data.kind not in _DEFAULTS:
        raise CompositionError(
            f"no likelihood here fits {data.kind.value} data ({data.name!r}); encode them as 0/1 columns, or leave "
            "them out with --drop"
        )
    default_transform, default = _DEFAULTS[data.kind]
    if transform == "auto":
        return default_transform, default
    after = parse_part(transform)[0]
    kind = named_transform(transform, data).spec(data).kind
    for name in (default, *(part for _, part in _DEFAULTS.values())):
        if _suits(cast("type[Elementwise]", lookup(f"likelihood/{parse_part(name)[0]}")), data.kind, after):
            return transform, name
    raise CompositionError(f"no likelihood here fits {kind.value} data after --transform {transform}")


BY_COLUMN = "by-column"  # the transform after which every column has a kind of its own
_DEFAULTS: dict[Kind, tuple[str, str]] = {
    Kind.BINARY: ("none", "bernoulli"),
    Kind.BYTE: ("none", "discretized-logistic"),
    Kind.LEVELS: ("none", "discretized-logistic"),
    Kind.UNIT: ("none", "continuous-bernoulli"),
    Kind.REAL: ("none", "gaussian:sigma=dimension"),
    Kind.POSITIVE: ("log", "gaussian:sigma=dimension"),
    Kind.COUNT: ("log1p", "gaussian:sigma=dimension"),
    Kind.MIXED: ("none", "mixed"),
}


def _suits(cls: type[Elementwise], kind: Kind, transform: str) -> bool:
    if transform == BY_COLUMN:
        return Kind.MIXED in cls.fits
    return kind in cls.fits if transform == "none" else transform in cls.after.get(kind, ())


def _misfit(name: str, cls: type[Elementwise], data: DataSpec) -> str:
    """STYLE: what it needs, what the data hold, and every way out."""
    needs = " or ".join(sorted(kind.value for kind in cls.fits))
    levels = "256 grey levels" if data.kind is Kind.BYTE else f"{data.levels} levels"
    holds = levels if data.kind in {Kind.BYTE, Kind.LEVELS} else f"{data.kind.value} values"
    parts = [(n, cast("type[Elementwise]", c)) for n, c in registered("likelihood")]
    transform, default = _DEFAULTS.get(data.kind, ("", "none"))
    # Where the kind has a likelihood of its own, that one; `nelbo parts` lists the others.
    own = parse_part(default)[0] if transform == "none" else None
    fitting = [f"--likelihood {n}" for n, c in parts if data.kind in c.fits and own in {None, n}]
    flags = [_flag(t) for t in cls.after.get(data.kind, ())]
    both = [f"--likelihood {n} {_flag(t)}" for n, c in parts for t in c.after.get(data.kind, ())]
    ways = [*fitting, *flags] or both
    remedy = f"use {', or '.join(ways)}" if ways else "encode them as 0/1 columns, or leave them out with --drop"
    return f"likelihood {name!r} needs {needs} data, but {data.name!r} holds {holds}; {remedy}"


def _flag(transform: str) -> str:
    return "--binarize dynamic" if transform == "binarize" else f"--transform {transform}"


# Kinds of parts that are objectives by their own name: each is handed, under the name of its kind, to an objective.
NOT_BY_NAME = ("importance", "aggregate", "solved")  # nothing without a bound, an earlier stage, a solver
HOSTS: Mapping[str, str] = {"bound": "importance", "regulariser": "elbo"}


def objectives() -> dict[str, str]:
    """What `--objective` takes, and the kind of each: `objective`, or one of `HOSTS`."""
    named = {name: kind for kind in ("objective", *HOSTS) for name, _ in registered(kind)}
    for name in NOT_BY_NAME:
        del named[name]
    return named


def objective_of(data: DataSpec, settings: Settings, model: Spec) -> Spec:
    """The objective of a name, or that which takes the part of that name, with its estimators."""
    name, options = parse_part(settings.objective)
    kind = objectives().get(name)
    if kind is None:
        raise unknown("objective", name, sorted(objectives()))
    known: dict[str, Any] = {"model": model, "samples": settings.samples, "beta": settings.beta}
    if (gradient := options.pop("gradient", None)) is not None:
        baseline = {"network": encoder_of(data, settings, 1), **reading_of(data)}
        known["gradient"] = _filled(f"gradient/{gradient}", {}, baseline)
    cls = lookup(f"{kind}/{name}")
    weighs_kl = "beta" in _takes(cls) and not getattr(cls, "own_beta", False)
    if kind in HOSTS:
        beta = known.pop("beta")
        known[kind] = _handed(kind, name, options, {"rows": data.rows, "beta": beta if weighs_kl else None})
        name = HOSTS[kind]
    if not weighs_kl and settings.beta != 1:
        raise CompositionError(
            f"--objective {settings.objective} has no beta that weighs the KL alone, so --beta means nothing; leave it "
            "out, or use --objective elbo"
        )
    takes = _takes(lookup(f"objective/{name}"))
    if "kl" in takes and (kind == "objective" or "kl" in options):
        kl = options.pop("kl", "analytic" if gradient is None else "sampled")
        known["kl"] = _filled(f"kl/{kl}", {}, {})
    if "gradient" in known and "gradient" not in takes:
        raise CompositionError(f"--objective {name} has no choice of gradient; leave gradient={gradient} out")
    return _filled(f"objective/{name}", options, known)


def _handed(kind: str, name: str, options: dict[str, Any], known: Mapping[str, Any]) -> Spec:
    """The part that is an objective by its own name; its options are taken out of those that were given."""
    own = _takes(lookup(f"{kind}/{name}"))
    takes = {*own, *_takes(lookup(f"objective/{HOSTS[kind]}"))} - DECIDED - ({"beta"} - {*own})
    for option in options:
        if option not in takes:
            raise unknown(f"option of objective/{name}:", option, takes, ConfigError)
    return _filled(f"{kind}/{name}", {option: options.pop(option) for option in own if option in options}, known)


def reading_of(data: DataSpec) -> Spec:
    """How a network reads x, as an argument of what owns it; none where x is read as it is."""
    scaling = data.reading or data.scaling
    if scaling.name == "none":
        return {}
    scaled = {"shift": _plain(scaling.shift), "scale": _plain(scaling.scale)}
    return {"reading": {"part": "reading/scaled", **scaled, "logarithm": data.reading is not None}}


def prior_of(data: DataSpec, settings: Settings) -> Spec:
    name, options = parse_part(settings.prior)
    known: Spec = {
        "dim": settings.latent,
        "shape": list(data.event_shape),
        "context": data.context or None,
        "bounded": data.scaling.name == "unit" or data.kind in {Kind.BINARY, Kind.UNIT},
    }
    cls = lookup(f"prior/{name}")
    if data.context and not getattr(cls, "takes_context", True):
        raise CompositionError(
            f"--prior {name} cannot be used with --condition {data.condition}; use --prior conditional, mixture or flow"
        )
    return _filled(f"prior/{name}", options, known)


def posterior_of(data: DataSpec, settings: Settings) -> Spec:
    name, options = parse_part(settings.posterior)
    cls = cast("type[Posterior]", _checked(f"posterior/{name}", options))
    counted = {name: options[name] for name in inspect.signature(cls.outputs).parameters if name in options}
    known: Spec = {
        "network": encoder_of(data, settings, cls.outputs(settings.latent, **counted)),
        "dim": settings.latent,
        "min_log_variance": settings.min_log_variance,
    }
    return _filled(f"posterior/{name}", options, known)


def likelihood_of(data: DataSpec, settings: Settings, latent: int | None = None) -> Spec:
    """The likelihood with what the data decide (shape, levels, scaling) filled in, and its decoder of the latents.

    Parameters
    ----------
    latent
        Latents that the decoder reads; by default those of the settings.
    """
    if latent is not None:
        settings = settings.model_copy(update={"latent": latent})
    name, options = parse_part(settings.likelihood)
    if lookup(f"likelihood/{name}") is MixedLikelihood:
        return _mixed(data, settings, parse_part(settings.likelihood, typed=False)[1])
    cls = cast("type[Elementwise]", _checked(f"likelihood/{name}", options))
    known: Spec = {
        "shape": list(data.event_shape),
        "levels": data.levels,
        "shift": _plain(data.scaling.shift),
        "scale": _plain(data.scaling.scale),
        "log_shift": None if data.reading is None else _plain(data.reading.shift),
        "log_scale": None if data.reading is None else _plain(data.reading.scale),
        "min_log_variance": settings.min_log_variance,
    }
    outputs = cls.outputs_per_cell({**known, **options})
    return _filled(f"likelihood/{name}", options, {"network": _decoder(data, settings, outputs), **known})


def _mixed(data: DataSpec, settings: Settings, asked: Mapping[str, Any]) -> Spec:
    """A likelihood for each group of columns, and one decoder that emits what all of them need."""
    groups = grouped(data.columns or (), asked)
    parts, outputs = [], 0
    for group in groups:
        name, options = parse_part(group.part)
        cls = cast("type[Elementwise]", _checked(f"likelihood/{name}", options))
        known: Spec = {"shape": [len(group.places)], "levels": group.levels}
        known["min_log_variance"] = settings.min_log_variance
        if not group.bounded:
            known["shift"] = _at(data.scaling.shift, group.places)
            known["scale"] = _at(data.scaling.scale, group.places)
        needed = cls.outputs_per_cell({**known, **options}) * len(group.places)
        network = {"part": "outputs/given", "out_features": needed}
        parts.append(_filled(f"likelihood/{name}", options, {"network": network, **known}))
        outputs += needed
    return {
        "part": "likelihood/mixed",
        "network": _decoder_of(data, settings, outputs),
        "shape": list(data.event_shape),
        "parts": parts,
        "columns": [list(group.places) for group in groups],
    }


def encoder_of(data: DataSpec, settings: Settings, outputs: int) -> Spec:
    name, options = parse_part(settings.network)
    part, _ = halves(name)
    known: Spec = {
        "in_features": data.dim,
        "shape": list(data.event_shape),
        "out_features": outputs,
        "hidden": list(settings.hidden),
        "context": _context(data, part),
    }
    return _filled(part, options, known)


def _decoder(data: DataSpec, settings: Settings, parameters: int) -> Spec:
    name, options = parse_part(settings.network)
    _, part = halves(name)
    known: Spec = {
        "in_features": settings.latent,
        "shape": list(data.event_shape),
        "out_features": parameters * data.dim,
        "parameters": parameters,
        "hidden": list(settings.hidden[::-1]),
        "context": _context(data, part),
    }
    return _filled(part, options, known)


def _context(data: DataSpec, part: str) -> int | None:
    """Context features of a network; a network that takes none cannot be conditioned."""
    if data.context and "context" not in inspect.signature(lookup(part)).parameters:
        raise CompositionError(
            f"{part} reads no context, as --condition {data.condition} needs; use a network that does, such as mlp"
        )
    return data.context or None


def _decoder_of(data: DataSpec, settings: Settings, outputs: int) -> Spec:
    """A decoder with any number of outputs, for cells that need unlike numbers of them."""
    name, _ = parse_part(settings.network)
    _, part = halves(name)
    if "out_features" not in inspect.signature(lookup(part)).parameters:
        raise CompositionError(
            f"network {name!r} emits equally many parameters for every column, but those of --likelihood mixed need "
            "unlike numbers; use --network mlp"
        )
    return {**_decoder(data, settings, 1), "out_features": outputs}


def _checked(part: str, options: Mapping[str, Any]) -> type:
    """The class of a part, once its constructor is known to take the user's options, by name and by type."""
    cls = lookup(part)
    takes = [name for name in _takes(cls) if name not in decided(part)]
    for option, value in options.items():
        if option not in takes:
            raise unknown(f"option of {part}:", option or str(value), takes, ConfigError)
        check_argument(cls, part, option, value)
    return cls


def written_part(kind: str, text: str) -> Spec:
    """The spec of a part that nothing but its part string decides."""
    name, options = parse_part(text)
    return _filled(f"{kind}/{name}", options, {})


def _filled(part: str, options: Mapping[str, Any], known: Mapping[str, Any]) -> Spec:
    """A spec from the user's options over what is known, keeping only what the constructor takes."""
    takes = _takes(_checked(part, options))
    known = {name: value for name, value in known.items() if name in takes and value is not None}
    return {"part": part, **known, **options}


def _takes(cls: type) -> list[str]:
    """What the constructor of a class takes by name; one without a constructor takes nothing."""
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL and p.kind is not p.VAR_KEYWORD]


# What the data and the other settings decide; the rest of a constructor's arguments are options of a part string.
DECIDED = frozenset(
    {"model", "bound", "regulariser", "rows", "reading", "network", "shape", "dim", "in_features", "out_features",
     "parameters", "context", "bounded", "shift", "log_shift", "log_scale", "levels"}
)  # fmt: skip


def decided(part: str) -> frozenset[str]:
    """The arguments of a part that are no options: the scale too, where it is that of the data; of a measure, none."""
    if part.startswith("measure/"):
        return frozenset()
    return DECIDED | {"scale"} if part.startswith("likelihood/") else DECIDED


def _at(value: float | tuple[float, ...], places: tuple[int, ...]) -> float | list[float]:
    return [value[place] for place in places] if isinstance(value, tuple) else value


def _plain(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value
