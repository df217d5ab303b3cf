"""The sections of the report, in the order of the page; each is a function from the subject to HTML."""

from nelbo.report.sections.configuration import configuration
from nelbo.report.sections.data import data
from nelbo.report.sections.latents import latent_space, rates, traversals
from nelbo.report.sections.likelihood import likelihood
from nelbo.report.sections.measures import measures
from nelbo.report.sections.reconstructions import reconstructions
from nelbo.report.sections.samples import samples
from nelbo.report.sections.training import training

__all__ = [
    "configuration",
    "data",
    "latent_space",
    "likelihood",
    "measures",
    "rates",
    "reconstructions",
    "samples",
    "training",
    "traversals",
]
