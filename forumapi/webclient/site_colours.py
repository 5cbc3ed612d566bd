"""Colours of a site, from the one that its owner chose: moved until texts can be read, and the style sheet that sets
them.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final

from PIL import ImageColor

PAPER: Final = "#fbfaf7"
PAPER_DARK: Final = "#171816"
ACCENT: Final = "#19634c"
ACCENT_DARK: Final = "#7cc9ad"
# WCAG 2.2 AA for texts of any size.
LEAST_CONTRAST: Final = 4.5
# Share of the accent in what stands behind polls, answers and the comment that an address names (site.css, --tint).
TINT: Final = 0.09
# What the API answers for a site whose owner chose nothing.
_UNCHOSEN: Final = "#4082c3"

Colour = tuple[int, int, int]


def parse(text: str) -> Colour | None:
    """Return red, green and blue (0 to 255 each) of a colour as the API has it: #rgb, #rrggbb, a name of CSS, or
    another form that Pillow reads, such as rgb(…); None for any other text.
    """
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        return None
    return (red, green, blue)


def written(colour: Colour) -> str:
    """Return a colour (red, green and blue, each 0 to 255) as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _luminance(colour: Colour) -> float:
    parts = [value / 255 for value in colour]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2), 1 to 21."""
    first, second = sorted((_luminance(one), _luminance(other)))
    return (second + 0.05) / (first + 0.05)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Return a mixture of two colours, as of CSS's color-mix(in srgb, …): the share `share` (0 to 1) of `one`, the rest
    of `other`.
    """
    red, green, blue = (round(b + (a - b) * share) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


def legibility(colour: Colour, paper: Colour) -> float:
    """Return the lower of two contrast ratios (WCAG 2.2) of text in `colour`: on the background `paper`, and on `paper`
    tinted with `colour`.
    """
    return min(contrast(colour, paper), contrast(colour, mixed(colour, paper, TINT)))


def readable(colour: Colour, paper: Colour) -> Colour:
    """Return `colour`, unchanged if text in it can be read on the background `paper`, else mixed with black on light
    paper or with white on dark paper just so far that its `legibility` there is LEAST_CONTRAST at least, 4.5.
    """
    aim = (0, 0, 0) if _luminance(paper) > 0.18 else (255, 255, 255)
    for step in range(51):
        moved = mixed(aim, colour, step / 50)
        if legibility(moved, paper) >= LEAST_CONTRAST:
            return moved
    return aim


def is_unchosen(link: str) -> bool:
    """Return True if `link`, a site's `linkColor`, is what the API answers where the owner chose no colour."""
    return link.lower() == _UNCHOSEN


def _accents(link: str) -> tuple[str, str]:
    """Return the site's accent colours for light and for dark mode, as #rrggbb; the default ones if the owner chose
    none, or one that can't be parsed. `link`: the site's `linkColor`.
    """
    chosen = parse(link)
    if chosen is None or is_unchosen(link):
        return ACCENT, ACCENT_DARK
    light = written(readable(chosen, parse(PAPER) or (255, 255, 255)))
    return light, written(readable(chosen, parse(PAPER_DARK) or (0, 0, 0)))


@lru_cache(1024)
def _sheet(link: str) -> tuple[str, bytes]:
    light, dark = _accents(link)
    text = (
        f":root{{--accent:{light}}}@media screen and (prefers-color-scheme:dark){{:root{{--accent:{dark}}}}}\n"
    ).encode()
    return hashlib.sha256(text).hexdigest()[:10], text


def address(site: dict[str, Any]) -> str:
    """Return the path of the style sheet with the colours of `site`, as the API shows the site; the path holds a hash
    of the sheet.
    """
    return f"/theme.{_sheet(str(site.get('linkColor', '')))[0]}.css"


def accent(site: dict[str, Any]) -> str:
    """Return the site's accent colour for light mode, as #rrggbb; the default one if the site's `linkColor` is missing,
    unchosen, or can't be parsed.
    """
    return _accents(str(site.get("linkColor", "")))[0]


def sheet(site: dict[str, Any]) -> bytes:
    """Return the style sheet that sets the site's accent colours in light and in dark mode, as bytes; the default ones
    if the site's `linkColor` is missing, unchosen, or can't be parsed.
    """
    return _sheet(str(site.get("linkColor", "")))[1]
