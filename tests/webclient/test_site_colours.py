"""Colours of a site: whatever its owner chooses, text in it can be read, and on it."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Final

import pytest

import forumapi.webclient
from forumapi.webclient import site_colours
from forumapi.webclient.site_colours import Colour

CSS: Final = (Path(forumapi.webclient.__file__).parent / "static" / "site.css").read_text()
DRAW: Final = random.Random(4)
COLOURS: Final = [f"#{DRAW.randrange(1 << 24):06x}" for _ in range(500)]


def accents(chosen: str) -> tuple[Colour, Colour]:
    """The accents in light and in dark that the style sheet of a site sets."""
    light, dark = re.findall(
        r"--accent:(#[0-9a-f]{6})", site_colours.sheet({"linkColor": chosen}).decode()
    )
    return colour(light), colour(dark)


def colour(text: str) -> Colour:
    parsed = site_colours.parse(text)
    assert parsed is not None, text
    return parsed


@pytest.mark.wide
def test_a_chosen_colour_can_be_read() -> None:
    for chosen in [*COLOURS, "#000", "#ffffff", "yellow", "#4082c3", "", "no colour", "hsl(9"]:
        for accent, paper in zip(
            accents(chosen), (site_colours.PAPER, site_colours.PAPER_DARK), strict=True
        ):
            under = colour(paper)
            # Links on paper, and the paper's colour on buttons: the same two.
            assert site_colours.contrast(accent, under) >= site_colours.LEAST_CONTRAST, chosen
            # Links on the tint of the accent behind polls.
            tint = site_colours.mixed(accent, under, site_colours.TINT)
            assert site_colours.contrast(accent, tint) >= site_colours.LEAST_CONTRAST, chosen


def test_a_colour_that_can_be_read_is_kept() -> None:
    assert accents("#19634c")[0] == colour("#19634c")
    assert accents("#7cc9ad")[1] == colour("#7cc9ad")


def test_contrast_is_that_of_wcag() -> None:
    assert site_colours.contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert site_colours.contrast(colour("#767676"), (255, 255, 255)) == pytest.approx(
        4.54, abs=0.01
    )


def test_the_style_sheet_has_the_same_papers_and_tint() -> None:
    light, dark = re.findall(r"--paper: (#[0-9a-f]{6})", CSS)
    assert (light, dark) == (site_colours.PAPER, site_colours.PAPER_DARK)
    assert re.findall(r"--accent: (#[0-9a-f]{6})", CSS) == [
        site_colours.ACCENT,
        site_colours.ACCENT_DARK,
    ]
    assert f"color-mix(in srgb, var(--accent) {round(site_colours.TINT * 100)}%" in CSS
