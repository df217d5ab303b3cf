"""Every recipe on every kind of data it can serve, each as small as it can be."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, final, get_args, get_origin, get_type_hints

import numpy as np
import torch

from nelbo.core import Batch, Objective, Posterior, Prior
from nelbo.data import Column, Data, Kind, load
from nelbo.likelihoods import Elementwise
from nelbo.networks import names
from nelbo.plugins import load as load_plugin
from nelbo.recipes import RECIPES
from nelbo.registry import registered
from nelbo.settings import resolve
from nelbo.train import Job, prepare

ROWS = 60
TOYS = ("two_layers", "labelled")  # registered as a plugin is: by being imported
for _toy in TOYS:
    load_plugin(Path(__file__).parent / "toys" / f"{_toy}.py")
SMALL: Mapping[str, Any] = {"latent": 2, "hidden": (8, 6), "epochs": 2, "batch_size": 16}


@final
@dataclass(frozen=True, eq=False)
class Case:
    """One recipe with its settings on one kind of data."""

    name: str
    data: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def job(self) -> Job:
        settings = dict(self.settings)
        recipe = RECIPES[settings.get("recipe", "vae")]
        labelled = settings.get("condition") == "label"
        return prepare(resolve(recipe.defaults, SMALL, settings, {"source": self.data}), rows_of(self.data, labelled))

    def objective(self, seed: int = 0) -> Objective:
        """A fresh objective in evaluation mode (no dropout, running statistics), weights from `seed`."""
        job = self.job
        if seed != job.settings.seed:
            job = Job(
                job.settings.model_copy(update={"seed": seed}),
                job.data,
                job.split,
                job.transform,
                job.spec,
                job.objective_spec,
            )
        return job.build().eval()

    @functools.cached_property
    def batch(self) -> Batch:
        """The first training rows, always the same."""
        return next(iter(self.job.batches("train").fixed()))


def rows_of(data: str, labelled: bool = False) -> Data:
    """Sixty generated rows of a kind, with a label of three classes if wanted."""
    x, kind = _ROWS[data]
    return load((x, np.arange(ROWS) % 3) if labelled else x, name=data, kind=kind)


def _generated() -> dict[str, tuple[np.ndarray, str | None]]:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(ROWS, 2))
    signal = z @ rng.normal(size=(2, 6))
    share = 1 / (1 + np.exp(-signal))
    smooth = 1 / (1 + np.exp(-(z @ rng.normal(size=(2, 64))))).reshape(ROWS, 1, 8, 8)
    colours = 1 / (1 + np.exp(-(z @ rng.normal(size=(2, 3 * 9 * 13))))).reshape(ROWS, 3, 9, 13)
    return {
        "levels": (np.round(smooth * 16).astype(np.uint8), "levels"),
        "bytes": (np.round(colours * 255).astype(np.uint8), None),
        "binary": ((rng.random(share.shape) < share).astype(np.uint8), None),
        "unit": (share.astype(np.float32), None),
        "real": ((signal + 0.1 * rng.normal(size=signal.shape)).astype(np.float32), None),
        "positive": (np.exp(signal).astype(np.float32), None),
        "count": (rng.poisson(20 * np.exp(0.3 * signal)), "count"),
        "categorical": (np.digitize(signal, [-1, 0, 1]), "categorical"),
        "ordinal": (np.digitize(signal, [-1, 0, 1]), "ordinal"),
        "mixed": (np.column_stack(_one_of_each_kind(rng, signal, share)), None),
        "series": (np.sin(np.arange(13) / 2 + z[:, :1]) + 0.1 * rng.normal(size=(ROWS, 13)), "real"),
    }


def _one_of_each_kind(rng: np.random.Generator, signal: np.ndarray, share: np.ndarray) -> list[np.ndarray]:
    """Columns of 0 and 1, levels, counts, fractions, real and positive numbers; two of the levels, unlike in number."""
    return [
        rng.random(ROWS) < share[:, 0],
        np.digitize(signal[:, 1], [-1, 0, 1]),
        rng.poisson(40 * np.exp(0.3 * signal[:, 2])),
        share[:, 3],
        signal[:, 4] - 20,
        np.exp(signal[:, 5]) + 1,
        np.digitize(signal[:, 0], [-1, 1]),
    ]


_ROWS = _generated()
WITHOUT_DEFAULT = ("categorical", "ordinal", "mixed")  # kinds for which a likelihood has to be named
KINDS = tuple(kind for kind in _ROWS if kind not in {*WITHOUT_DEFAULT, "series"})  # series are real
IMAGES = ("levels", "bytes")

# What a recipe needs said where its defaults do not suit the data.
_LINEAR = {"levels": {"transform": "dequantize"}, "bytes": {"transform": "density"}, "real": {}}


def _cases() -> list[Case]:
    cases = []
    for recipe in RECIPES.values():
        kinds = IMAGES if "conv" in recipe.name else KINDS
        for kind in kinds:
            extra = _LINEAR.get(kind) if recipe.name in {"linear-vae", "ppca"} else {}
            if extra is not None:
                cases.append(Case(f"{recipe.name}-{kind}", kind, {"recipe": recipe.name, **extra}))
    return cases + _likelihoods() + _variants() + _pairs() + _conditioned() + _toys()


_SMALL_PARTS = {
    "prior/mixture": "mixture:components=3",
    "prior/vamp": "vamp:components=3",
    "prior/second-stage": "second-stage:hidden=8,samples=3",
    "prior/flow": "flow:transforms=2,hidden=8",
    "posterior/iaf": "iaf:steps=2,hidden=8",
    "network/residual-mlp": "residual-mlp:blocks=2",
    "network/conv-1d": "conv-1d:channels=4",
    "network/resnet": "resnet:channels=8,blocks=2",
    "posterior/planar": "planar:steps=2",
    "posterior/radial": "radial:steps=2",
    "posterior/sylvester": "sylvester:steps=2,reflections=2",
    "posterior/spline": "spline:steps=2,bins=4,hidden=8",
}
_READS = {"conv": ("levels",), "resnet": IMAGES, "conv-1d": ("series",)}  # networks that do not read any data


def _pairs() -> list[Case]:
    """Every legal pair of prior and posterior that has a density and a finite bound."""
    cases = []
    for prior, prior_class in registered("prior"):
        for posterior, posterior_class in registered("posterior"):
            of_z, of_zx = cast("type[Prior]", prior_class), cast("type[Posterior]", posterior_class)
            is_finite = of_zx.has_variance or not of_z.needs_variance
            if of_z.space is of_zx.space and of_zx.has_density and is_finite:
                strings = {
                    kind: _SMALL_PARTS.get(f"{kind}/{name}", name)
                    for kind, name in (("prior", prior), ("posterior", posterior))
                }
                given = {"condition": "label"} if prior == "conditional" else {}
                if not of_zx.is_reparameterised:
                    given["objective"] = "elbo:samples=3,gradient=vimco"
                cases.append(Case(f"{prior}-{posterior}", "levels", {**strings, **given, "latent": 3}))
    codes = "groups=2,temperature=0.8"
    relaxed = {"prior": f"categorical:{codes}", "posterior": f"relaxed-categorical:{codes}", "latent": 6}
    exact = {"prior": "one-hot:groups=2", "posterior": f"straight-through-categorical:{codes}", "latent": 6}
    binary = {"prior": "bernoulli:learned=true,probability=0.3", "posterior": "bernoulli", "latent": 4}
    soft = {
        "prior": "relaxed-bernoulli:learned=true,probability=0.3,temperature=0.8",
        "posterior": "relaxed-bernoulli:temperature=0.9",
        "latent": 4,
    }
    return [
        *cases,
        Case("bernoulli-learned-nvil", "binary", {**binary, "objective": "elbo:gradient=nvil"}),
        Case("bernoulli-learned-wake-sleep", "binary", {**binary, "objective": "reweighted-wake-sleep:samples=3"}),
        Case("bernoulli-learned-iwae", "binary", {**binary, "objective": "iwae:samples=3,gradient=vimco"}),
        Case("relaxed-bernoulli-learned", "binary", {**soft, "objective": "iwae:samples=3,gradient=dreg"}),
        Case("categorical-relaxed-categorical-groups", "levels", relaxed),
        Case("one-hot-straight-through-categorical-groups", "levels", exact),
    ]


def _conditioned() -> list[Case]:
    """The label as context: every network, priors that read it and one that does not, an unlike kind of column each."""
    given: Mapping[str, Any] = {"condition": "label"}
    cases = [
        Case(
            f"label-{name}",
            _READS.get(name, ("binary",))[0],
            {**given, "network": _SMALL_PARTS.get(f"network/{name}", name)},
        )
        for name in names()
    ]
    flow = {"prior": "flow:transforms=2,hidden=8", "posterior": "iaf:steps=2,hidden=8"}
    return [
        *cases,
        Case("label-flow-iaf", "real", {**given, **flow}),
        Case("label-conditional-mixed", "mixed", {**given, "prior": "conditional", "likelihood": "mixed"}),
    ]


_FIT_TOYS = (
    "iwae:samples=3",
    "elbo:samples=2",
    "elbo:samples=2,gradient=vimco",
    "free-bits:nats=0.01,groups=1",
    "factor:hidden=8",
    "wake-sleep",
    "reweighted-wake-sleep:samples=2",
    "renyi:samples=3",
)


def _toys() -> list[Case]:
    """Models of the user's own, under objectives of every sort; on all kinds of data they are among the recipes."""
    cases = [
        Case(f"{toy}-{objective}", "binary", {"recipe": toy, "objective": objective})
        for toy in ("two-layers", "labelled")
        for objective in _FIT_TOYS
        if (toy, objective) != ("labelled", "iwae:samples=3")  # of what it enumerates, q has no part in that bound
    ]
    chained = {"recipe": "two-layers", "objective": "mcem:transitions=2,leapfrog=3"}
    return [*cases, Case("two-layers-mcem", "binary", chained)]


def _likelihoods() -> list[Case]:
    """Every likelihood on every kind it fits (levels stand for bytes), then with every other word of its options."""
    cases = []
    for name, of_x in registered("likelihood"):
        fits = cast("type[Elementwise]", of_x).fits
        kinds = sorted(kind.value for kind in fits if kind is not Kind.BYTE or Kind.LEVELS not in fits)
        cases += [Case(f"{name}-{kind}", kind, {"likelihood": name}) for kind in kinds]
        cases += [
            Case(f"{name}-{option}-{word}", kinds[0], {"likelihood": f"{name}:{option}={word}"})
            for option, annotation in get_type_hints(of_x.__init__).items()  # type: ignore[misc]
            if get_origin(annotation) is Literal
            for word in get_args(annotation)
            if word != inspect.signature(of_x).parameters[option].default
        ]
    return cases


_OBJECTIVES = (
    "elbo:samples=2,gradient=stl",
    "elbo:gradient=reinforce",
    "elbo:gradient=reinforce-average",
    "elbo:gradient=nvil",
    "elbo:samples=3,gradient=vimco",
    "iwae:samples=4,gradient=dreg",
    "iwae:gradient=vimco",
    "multiply-iwae:groups=2,samples=4",
    "ciwae:beta=0.3,samples=3,gradient=dreg",
    "piwae:groups=2,samples=4",
    "renyi:alpha=0.5,samples=3",
    "vr-max:samples=3",
    "wake-sleep:samples=2",
    "reweighted-wake-sleep:samples=3,sleep=0.3",
    "mcem:transitions=2,leapfrog=3",
    "free-bits:nats=0.1",
    "free-bits:nats=0.1,groups=1,gradient=stl",
    "capacity:nats=3",
    "beta-tc:samples=2",
    "beta-tc:estimator=weighted",
    "dip",
    "dip:form=ii",
    "mmd:samples=2",
    "mmd:alpha=0.5,kernel=rbf",
    "factor:hidden=8",
)


def _variants() -> list[Case]:
    """Parts that no recipe takes by default: every network, every transform of the table."""
    cases = [
        Case(f"network-{name}-{kind}", kind, {"network": _SMALL_PARTS.get(f"network/{name}", name)})
        for name in names()
        for kind in _READS.get(name, ("binary",))
    ]
    cases += [
        Case("conv-datum", "levels", {"network": "conv:dropout=0.2", "likelihood": "discretized-logistic:sigma=datum"}),
        Case("gaussian-sigmoid", "bytes", {"transform": "density", "likelihood": "gaussian:sigma=datum,mean=sigmoid"}),
        Case("binarize-dynamic", "levels", {"binarize": "dynamic"}),
        Case("binarize-threshold", "bytes", {"binarize": "threshold"}),
        Case("dequantize-continuous-bernoulli", "levels", {"transform": "dequantize"}),
        Case("logit-levels", "levels", {"transform": "logit"}),
        Case("logit-unit", "unit", {"transform": "logit"}),
        Case("mixed-by-name", "mixed", {"likelihood": "mixed:ordinal=column2+column7,student-t=column5"}),
        Case(
            "wake-sleep-label-mixed", "mixed", {"objective": "wake-sleep", "likelihood": "mixed", "condition": "label"}
        ),
        Case(
            "wake-sleep-logarithms", "count", {"objective": "wake-sleep", "likelihood": "poisson", "scaling": "log1p"}
        ),
        Case("sampled-kl", "binary", {"objective": "elbo:kl=sampled", "samples": 3}),
    ]
    return cases + [Case(f"objective-{name}", "binary", {"objective": name}) for name in _OBJECTIVES]


CASES = _cases()


def is_legal(x: torch.Tensor, kind: Kind, levels: int | None, columns: Sequence[Column] | None = None) -> bool:
    """Whether values are ones that data of a kind can take, by the definition of the kind; mixed ones by column."""
    if kind is Kind.MIXED:
        cells = zip(x.unbind(-1), columns or (), strict=True)
        return all(is_legal(cell, column.kind, int(column.high) + 1) for cell, column in cells)
    if not bool(torch.isfinite(x).all()):
        return False
    if kind is Kind.BINARY:
        return bool(((x == 0) | (x == 1)).all())
    if kind is Kind.COUNT:
        return bool(((x == x.round()) & (x >= 0)).all())
    if kind in {Kind.BYTE, Kind.LEVELS, Kind.CATEGORICAL, Kind.ORDINAL}:
        top = 255 if kind is Kind.BYTE else (levels or 0) - 1
        return bool(((x == x.round()) & (x >= 0) & (x <= top)).all())
    if kind is Kind.UNIT:
        return bool(((x >= 0) & (x <= 1)).all())
    if kind is Kind.POSITIVE:
        return bool((x > 0).all())
    return True
