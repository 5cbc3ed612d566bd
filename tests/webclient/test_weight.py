"""Weight of a page on its way to somebody who comes for the first time."""

from __future__ import annotations

import gzip
from typing import Final

import pytest

from tests.factories import Factory, Site
from tests.webclient.visitor import Page, Visitor

# Bytes, compressed as nginx does it.
MOST: Final = 40_000
MOST_SCRIPT: Final = 15_000
WORDS: Final = (
    "The {0}th time that this came up somebody asked whether the hub or the lamp makes the noise, and it was neither:"
    " the cable had moved between the spokes. Take it out, clean it with *{1}*, and put it back with some {2} around"
    " it. If it still whines above {0} km/h the bearing is worn; any workshop has one for about {3} euros, and it takes"
    " ten minutes.\n\n> Bearings feel fine.\n\nThey always do, until they don't. [Here is how](https://example.org/{0})."
)


def weight(data: bytes) -> int:
    """Bytes over the wire."""
    return len(gzip.compress(data, 6, mtime=0))


def files(visitor: Visitor, page: Page, css: str, attribute: str) -> dict[str, int]:
    """Files of its own that a page loads, by address, and what each weighs."""
    found = {}
    for node in page.tree.css(css):
        path = node.attributes[attribute] or ""
        answer = visitor.get(path)
        assert answer.status == 200, path
        found[path] = weight(answer.body)
    return found


@pytest.mark.wide
def test_a_conversation_page_of_25_comments_is_light(
    visitor: Visitor, bikes: Site, make: Factory
) -> None:
    conversation = make.conversation(bikes, title="Dynamo hub whines above 30 km/h")
    people = [make.person(bikes) for _ in range(9)]
    for number in range(25):
        text = WORDS.format(number, people[number % 7].name, people[number % 9].name, number * 3)
        make.comment(conversation, by=people[number % 9], markdown=text)
    member = visitor.of(bikes, bikes.member)

    page = member.get(f"/conversations/{conversation.id}/")
    styles = files(member, page, "link[rel=stylesheet]", "href")
    scripts = files(member, page, "script[src]", "src")

    assert len(page.tree.css("article.comment")) == 25
    assert len(styles) == 2
    assert sum(scripts.values()) <= MOST_SCRIPT, scripts
    whole = weight(page.body) + sum(styles.values()) + sum(scripts.values())
    assert whole <= MOST, (weight(page.body), styles, scripts)
