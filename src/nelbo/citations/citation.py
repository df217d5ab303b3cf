"""One source, as in a text and as BibTeX."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import final

ACCENT = re.compile(r"""\{\\(['"`^~])(\w)\}""")  # {\'e}
COMBINING = {"'": "\u0301", '"': "\u0308", "`": "\u0300", "^": "\u0302", "~": "\u0303"}
FIRST = 2  # authors named in a short form; with more, the first and "et al."


@final
@dataclass(frozen=True)
class Citation:
    """One source."""

    key: str
    kind: str  # inproceedings, article, book, misc or software
    authors: tuple[str, ...]  # "Family, Given"
    title: str
    year: int | None = None
    venue: str = ""  # book title or journal
    arxiv: str = ""
    doi: str = ""
    url: str = ""
    other: tuple[tuple[str, str], ...] = ()  # further BibTeX fields

    @property
    def short(self) -> str:
        """As in a text: Kingma & Welling (2014)."""
        families = [_plain(author.partition(",")[0]) for author in self.authors]
        named = " & ".join(families) if len(families) <= FIRST else f"{families[0]} et al."
        return named if self.year is None else f"{named} ({self.year})"

    @property
    def bibtex(self) -> str:
        """One BibTeX entry."""
        fields = {
            "author": " and ".join(self.authors),
            "title": f"{{{self.title}}}",  # the second pair of braces keeps capitals as they are
            {"inproceedings": "booktitle", "article": "journal"}.get(self.kind, "howpublished"): self.venue,
            "year": "" if self.year is None else str(self.year),
            **dict(self.other),
            "doi": self.doi,
            "url": self.url,
            "eprint": self.arxiv,
            "archivePrefix": "arXiv" if self.arxiv else "",
        }
        lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
        return f"@{self.kind}{{{self.key},\n" + ",\n".join(lines) + "\n}"


def _plain(text: str) -> str:
    """LaTeX accents as letters."""
    return ACCENT.sub(lambda found: unicodedata.normalize("NFC", found[2] + COMBINING[found[1]]), text)
