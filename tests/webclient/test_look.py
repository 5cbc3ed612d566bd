"""Every template as it is drawn: whether it can be read, reached and said aloud, in each look and at each width."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver import Chrome

from forumapi.webclient import languages
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


# Lines of what can be seen in the frame's header, with names that are too long for a phone.
_HEADER_LINES: Final = """
document.querySelector('.bar .name').textContent = 'A community whose name is long';
document.querySelector('.bar nav a[href^="/profiles/"]:last-child').textContent = 'Somebody with a long name';
document.querySelector('.bar .count')?.remove();
const count = document.createElement('span');
count.className = 'count';
count.textContent = '12';
document.querySelector('.bar a[href="/huddles/"]').append(' ', count);
const boxes = [...document.querySelectorAll('.bar > div a')].map(one => one.getBoundingClientRect())
  .filter(box => box.width).sort((one, other) => one.top - other.top);
return boxes.filter((box, index) => !index || box.top >= boxes[index - 1].bottom - 4).length;
"""


@pytest.mark.wide
@pytest.mark.parametrize("code", languages.NAMES)
def test_the_header_of_a_member_has_two_lines_at_most_on_a_phone(
    window: Chrome, stage: Stage, code: str
) -> None:
    page_checks.draw(window, LIGHT, 360)
    stage.open(window, SCENES["conversation.html"], language=code)
    assert window.execute_script(_HEADER_LINES) <= 2
    for href in ("/", "/search/", "/huddles/", "/updates/", f"/profiles/{stage.site.member.id}/"):
        assert window.find_element("css selector", f'.bar a[href="{href}"]').size["width"] >= 24
    assert not page_checks.overflowing(window)


@pytest.mark.wide
def test_a_vote_is_taken_back_by_a_button_apart_from_that_which_votes(
    window: Chrome, stage: Stage
) -> None:
    page_checks.draw(window, LIGHT, 360)
    stage.open(window, SCENES["poll.html"])
    window.find_element("css selector", ".choices input").click()
    window.find_element("css selector", ".poll .button").click()
    back = window.find_element("css selector", ".poll form + form .link")
    vote = window.find_element("css selector", ".poll .button")
    assert back.rect["y"] - vote.rect["y"] - vote.rect["height"] >= 8


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
