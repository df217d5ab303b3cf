"""Who to cite: the sources of recipes, parts and data sets, as BibTeX."""

from nelbo.citations.citation import Citation
from nelbo.citations.lookup import find, of_data, of_part, of_run, software

__all__ = ["Citation", "find", "of_data", "of_part", "of_run", "software"]
