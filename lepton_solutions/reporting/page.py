"""One self-contained HTML page from a few kinds of blocks: no script, no network, figures as inline SVG.

    render(Page(title="...", verdict="...", sections=[Section("Data", blocks=[Table(...), Picture(...)])]))

Text is escaped everywhere, `names` between backticks are set as code; only the SVG of `picture` is taken as it is.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

from lepton_solutions.metrics import Interval


@dataclass(frozen=True)
class Estimate:
    """A formatted number and, smaller beside it, its interval."""

    value: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.value} ({self.interval})" if self.interval else self.value


Cell = str | Estimate


@dataclass(frozen=True)
class Table:
    """`rows` of cells under `head`; the first column names the row. `align`: one l or r a column, else l then r.

    `marked` rows stand out by a tag such as "chosen" in words. A `tall` table scrolls in a box of its own on screen.
    """

    kind: ClassVar[str] = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str
    note: str = ""
    align: str = ""
    marked: dict[int, str] = field(default_factory=dict)
    tall: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"table `{self.caption}`: row {row} has {len(row)} cells, expected {len(self.head)}")

    @property
    def sides(self) -> list[str]:
        align = self.align or "l" + "r" * (len(self.head) - 1)
        return ["left" if side == "l" else "right" for side in align]


@dataclass(frozen=True)
class Picture:
    """`svg` is trusted markup: make it with `picture`."""

    kind: ClassVar[str] = "picture"
    svg: Markup
    caption: str


@dataclass(frozen=True)
class Pictures:
    """Side by side where the page is wide enough."""

    kind: ClassVar[str] = "pictures"
    items: Sequence[Picture]


@dataclass(frozen=True)
class KeyFigure:
    label: str
    estimate: Estimate
    note: str = ""


@dataclass(frozen=True)
class KeyFigures:
    kind: ClassVar[str] = "figures"
    items: Sequence[KeyFigure]


@dataclass(frozen=True)
class Text:
    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Notice:
    """A boxed remark; its level is written out, not only coloured."""

    kind: ClassVar[str] = "notice"
    level: Literal["fail", "warning", "info"]
    text: str


@dataclass(frozen=True)
class Code:
    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values in two columns."""

    kind: ClassVar[str] = "facts"
    items: Sequence[tuple[str, str]]


Block = Table | Picture | Pictures | KeyFigures | Text | Notice | Code | Facts


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]
    lead: str = ""

    @property
    def anchor(self) -> str:
        return slug(self.title)


@dataclass(frozen=True)
class Page:
    """`verdict` is the one sentence to read; `opening` blocks stand under it, before the table of contents."""

    title: str
    verdict: str
    sections: Sequence[Section]
    subtitle: str = ""
    opening: Sequence[Block] = ()
    footer: str = ""


def render(page: Page) -> str:
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return _template().render(page=page, css=Markup(css)).lstrip()


def picture(figure: Figure, *, alt: str, caption: str) -> Picture:
    """The figure as inline SVG whose text stays text; `alt` is what a screen reader says instead of it.

    Equal figures give equal markup: no date, and ids that depend on `alt` alone.
    """
    target = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": alt, "svg.id": None}):
        figure.savefig(target, format="svg", metadata={"Date": None}, transparent=True)
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>", "", svg, flags=re.DOTALL)
    prefix = slug(alt)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    # The size is the style sheet's; without width and height the view box keeps the proportions.
    opening = re.sub(r'\s(width|height)="[^"]*"', "", svg[: svg.index(">")])
    label = Markup("{}").format(alt)
    return Picture(Markup(f'{opening} role="img" aria-label="{label}"{svg[svg.index(">") :]}'), caption)


def estimate(interval: Interval | None, digits: int = 3, *, percent: bool = False) -> Estimate:
    """An interval for a cell; a dash where there is none.

    >>> str(estimate(Interval(0.7934, 0.7411, 0.8422)))
    '0.793 (0.741–0.842)'
    >>> str(estimate(Interval(0.141, 0.09, 0.2), 0, percent=True))
    '14 % (9–20)'
    """
    if interval is None:
        return Estimate("–")
    scale, unit = (100, " %") if percent else (1, "")
    value, low, high = (f"{scale * end:.{digits}f}" for end in (interval.value, interval.low, interval.high))
    return Estimate(value + unit, f"{low}–{high}" if interval.low >= 0 else f"{low} to {high}")


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")


def _code(text: str) -> Markup:
    """Names between backticks, as messages write them, in the type of code; everything else escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["code"] = _code
    return environment.from_string((Path(__file__).parent / "page.html.j2").read_text(encoding="utf-8"))
