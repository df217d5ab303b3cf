"""Fragments of HTML. Everything a user can name is escaped here, once: `text` is plain, `Markup` is HTML already."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import final

__all__ = [
    "Content",
    "Markup",
    "commands",
    "definitions",
    "details",
    "element",
    "escaped",
    "figure",
    "join",
    "section",
    "table",
]


@final
class Markup(str):
    """A string that is HTML and must not be escaped again."""

    __slots__ = ()


Content = str | Markup


def escaped(content: Content) -> Markup:
    """Plain text made safe; markup as it is."""
    return content if isinstance(content, Markup) else Markup(html.escape(content))


def join(parts: Iterable[Content], between: Content = "") -> Markup:
    """Fragments put together."""
    return Markup(escaped(between).join(escaped(part) for part in parts))


def element(tag: str, content: Content | Iterable[Content] = "", **attributes: str) -> Markup:
    """`<tag attributes>content</tag>`; an attribute `class_` is written `class`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for name, value in attributes.items()
    )
    inner = escaped(content) if isinstance(content, str) else join(content)
    return Markup(f"<{tag}{written}>{inner}</{tag}>")


def section(anchor: str, title: str, *content: Content) -> Markup:
    """A part of the page with its heading."""
    return element("section", [element("h2", title), *content], id=anchor)


def figure(content: Markup, caption: Content) -> Markup:
    """A picture or a chart with its caption."""
    return element("figure", [element("div", content, class_="plate"), element("figcaption", caption)])


def definitions(pairs: Iterable[tuple[str, Content]]) -> Markup:
    """Names and what they stand for."""
    return element("dl", [join((element("dt", name), element("dd", value))) for name, value in pairs], class_="facts")


def table(
    head: Sequence[str], rows: Iterable[Sequence[Content]], numeric: Iterable[int] = (), caption: str = ""
) -> Markup:
    """A table; columns in `numeric` are set flush right. The first cell of each row is its heading."""
    right = set(numeric)

    def cell(tag: str, place: int, content: Content, **more: str) -> Markup:
        return element(tag, content, class_="n", **more) if place in right else element(tag, content, **more)

    top = element("thead", element("tr", [cell("th", i, name, scope="col") for i, name in enumerate(head)]))
    lines = [
        element("tr", [cell("td" if i else "th", i, c, **({} if i else {"scope": "row"})) for i, c in enumerate(row)])
        for row in rows
    ]
    title = [element("caption", caption)] if caption else []
    return element("div", element("table", [*title, top, element("tbody", lines)]), class_="wide")


def details(summary: str, *content: Content) -> Markup:
    """Something folded away; it opens without a script."""
    return element("details", [element("summary", summary), *content])


def commands(*lines: str) -> Markup:
    """Commands to paste. Lines break between words only, never inside a flag, which a hyphen would invite."""
    words = [join([element("span", word) for word in line.split(" ")], " ") for line in lines]
    return element("pre", element("code", join(words, "\n")), class_="command")
