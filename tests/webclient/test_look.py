"""Every template as it is drawn: whether it can be read, reached and said aloud, in each look and at each width."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver import Chrome

from tests.webclient import page_checks
from tests.webclient.gallery import SCENES, Stage, templates
from tests.webclient.page_checks import LIGHT, LOOKS, WIDTHS

# `make test` looks at this one; `make test-wide` at all.
EACH: Final = [
    pytest.param(name, marks=() if name == "conversation.html" else pytest.mark.wide)
    for name in templates()
]


def test_every_page_has_a_scene() -> None:
    assert sorted(SCENES) == sorted(templates())


@pytest.mark.parametrize("name", EACH)
def test_a_page_is_accessible_and_no_wider_than_the_window(
    window: Chrome, stage: Stage, name: str
) -> None:
    page_checks.draw(window)
    # German has the longest words of the catalogs.
    stage.open(window, SCENES[name], language="de")
    found = {}
    for look, width in product(LOOKS, WIDTHS):
        page_checks.draw(window, look, width)
        wrong = page_checks.axe(window, is_of_colours=look is not LIGHT)
        if look is LIGHT:
            wrong += page_checks.overflowing(window)
        if wrong:
            found[look.name, width] = wrong
    assert not found


@pytest.mark.wide
@pytest.mark.parametrize("name", EACH)
def test_a_page_from_right_to_left_is_no_wider_than_the_window(
    window: Chrome, stage: Stage, name: str
) -> None:
    page_checks.draw(window, LIGHT, 320)
    stage.open(window, SCENES[name], language="ar-XB")
    assert not page_checks.overflowing(window)


@pytest.mark.wide
def test_a_page_is_valid(stage: Stage, tmp_path: Path) -> None:
    pages = {"conversation.html": stage.read(SCENES["conversation.html"]).text}
    assert not page_checks.invalid(pages, tmp_path)


@pytest.mark.wide
def test_every_page_is_valid(stage: Stage, tmp_path: Path) -> None:
    pages = {name: stage.read(SCENES[name]) for name in templates()}
    for name, page in pages.items():
        assert SCENES[name].heading in page.find("h1").text(), name
    assert not page_checks.invalid({name: page.text for name, page in pages.items()}, tmp_path)
