"""Numbers of more digits than Python reads, in every field of every form and in queries."""

from __future__ import annotations

from typing import Final

import pytest

from tests.factories import Factory
from tests.fixtures import Server
from tests.webclient.crawl import build, crawl
from tests.webclient.visitor import Visitor

ENORMOUS: Final = "9" * 5000
# Of values of a query that pages of the website read.
NAMES: Final = ("comment_id", "authorId", "to", "offset", "number", "reply", "first", "page", "on")


@pytest.mark.wide
def test_no_form_and_no_query_falls_over_a_number(make: Factory, website: Server) -> None:
    town = build(make)
    found = crawl(website.address, town, town.site.owner)
    query = "&".join(f"{name}={ENORMOUS}" for name in NAMES)
    # Choices and boxes that are not ticked stand in no form's fields.
    forms = [(one.action, dict(one.fields), one.button) for one in found.forms.values()]
    forms.append((f"/polls/{town.ids['poll']}/vote/", {"choice": ""}, ("", "")))
    visitor = Visitor(website.address).of(town.site, town.site.owner)
    fell: list[tuple[object, ...]] = []
    for path in found.pages:
        page = visitor.get(f"{path.partition('?')[0]}?{query[:7000]}")
        fell += [("GET", path, page.status)] if page.status >= 500 else []
    for action, fields, button in forms:
        if "logout" in action or action.startswith("/account/"):
            continue
        own = {button[0]: button[1]} if button[0] else {}
        for name in {*fields, ""} - {"proof", "do"}:
            sent = fields | {one: ENORMOUS for one in fields if name in ("", one) and one != "do"}
            page = visitor.post(action, sent | own)
            fell += [("POST", action, name, page.status)] if page.status >= 500 else []

    assert len(forms) > 50
    assert not fell
