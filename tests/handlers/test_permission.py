"""What the caller may do, asked over real HTTP: platform 5.4."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Site


@pytest.mark.parametrize("role", ["owner", "moderator", "member"])
def test_an_item_costs_a_member_one_statement(
    role: str, api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    path = f"/api/v1/permission?itemType=conversation&itemId={chat.id}"
    by = bikes.cast()[role]
    api.get(path, by=by)

    answer = api.get(path, by=by)

    assert answer.statements == 1
    shown = api.get(chat.path, by=by).data["meta"]["permissions"]
    assert answer.data == shown


def test_another_type_than_the_items_names_nothing(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)

    answer = api.get(f"/api/v1/permission?itemType=event&itemId={chat.id}", by=bikes.member)

    assert answer.statements == 1
    nothing = api.get("/api/v1/permission?itemType=event&itemId=999999", by=bikes.member)
    assert answer.data == nothing.data


def test_a_bad_id_is_named_whoever_asks(api: Api, bikes: Site) -> None:
    for by in (None, bikes.member):
        answer = api.get("/api/v1/permission?itemType=conversation&itemId=x", site=bikes, by=by)
        assert answer.status == 400
        assert "itemId" in answer.error
