"""The comparator catches what it is there for, and lets pass what may differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .compare import OPTIONAL, Answer, Expected, Kind, Mismatch, Refs, compare, values
from .recording import Body, LeftOut, load, names, take_apart

REFS = Refs({"sites/6": 31, "conversations/4993": 512})


def rules(expected: Any, actual: Any, *, path: str = "") -> list[tuple[str, str]]:
    return [(found.where, found.rule) for found in values(path, expected, actual, REFS)]


def test_equal_shapes_with_other_ids_times_and_texts_pass() -> None:
    recorded = {"id": 4993, "title": "Old", "created": "2026-11-22T21:19:38.81343Z", "siteId": 6}
    ours = {"id": 512, "title": "New one", "created": "2031-01-02T03:04:05Z", "siteId": 31}

    assert rules(recorded, ours) == []


@pytest.mark.parametrize(
    ("actual", "found"),
    [
        ({"id": 1}, [(".title", "missing key")]),
        ({"id": 1, "title": "x", "more": 1}, [(".more", "extra key")]),
        ({"title": "x", "id": 1}, [("", "order of keys")]),
        ({"id": "1", "title": "x"}, [(".id", "type")]),
        ({"id": 1.5, "title": "x"}, [(".id", "type")]),
        ({"id": True, "title": "x"}, [(".id", "type")]),
        ({"id": 1, "title": None}, [(".title", "null")]),
        ({"id": 1, "title": ""}, [(".title", "empty text")]),
        ([], [("", "type")]),
        (None, [("", "null")]),
    ],
)
def test_what_is_missing_extra_out_of_order_mistyped_or_null_is_found(
    actual: Any, found: list[tuple[str, str]]
) -> None:
    assert rules({"id": 7, "title": "A title"}, actual) == found


def test_a_value_where_the_recording_has_null_is_found() -> None:
    assert rules({"data": None}, {"data": {}}) == [(".data", "null")]


def test_a_flag_or_permission_with_another_value_is_found() -> None:
    assert rules({"flags": {"sticky": False}}, {"flags": {"sticky": True}}) == [
        (".flags.sticky", "value")
    ]


def test_a_time_with_an_offset_or_trailing_zeros_is_found() -> None:
    recorded = {"created": "2026-11-22T21:19:38.81343Z"}

    assert rules(recorded, {"created": "2026-11-22T21:19:38.810000Z"}) == [(".created", "time")]
    assert rules(recorded, {"created": "2026-11-22T21:19:38+00:00"}) == [(".created", "time")]
    assert rules(recorded, {"created": "2026-11-22T21:19:38Z"}) == []


def test_a_known_id_in_a_link_must_be_ours_and_an_unknown_one_any_number() -> None:
    recorded = {"rel": "next", "href": "/api/v1/conversations/4993?comment_id=99554&offset=25"}

    def to(href: str) -> dict[str, str]:
        return {"rel": "next", "href": href}

    assert rules(recorded, to("/api/v1/conversations/512?comment_id=8&offset=25")) == []
    assert rules(recorded, to("/api/v1/conversations/513?comment_id=8&offset=25")) == [
        (".href", "link")
    ]
    assert rules(recorded, to("/api/v1/conversations/512?offset=25&comment_id=8")) == [
        (".href", "link")
    ]
    assert rules(recorded, to("/api/v1/conversations/512?comment_id=8&offset=50")) == [
        (".href", "link")
    ]


def test_another_rel_or_metric_is_found() -> None:
    assert rules({"rel": "self"}, {"rel": "up"}) == [(".rel", "value")]
    assert rules({"metric": "totalViews"}, {"metric": "views"}) == [(".metric", "value")]


def test_links_are_counted_with_those_left_out() -> None:
    recorded = {"links": [{"rel": "self", "href": "/a"}, LeftOut(1)]}

    assert (
        rules(recorded, {"links": [{"rel": "self", "href": "/a"}, {"rel": "up", "href": "/b"}]})
        == []
    )
    assert rules(recorded, {"links": [{"rel": "self", "href": "/a"}]}) == [(".links", "length")]


def test_every_entry_of_a_list_has_the_shape_of_a_recorded_one() -> None:
    recorded = {"items": [{"id": 1, "name": "a"}, LeftOut(3)]}

    assert rules(recorded, {"items": [{"id": 1, "name": "a"}] * 9}) == []
    assert rules(recorded, {"items": [{"id": 1, "name": "a"}, {"id": 2}]}) == [
        (".items[1].name", "missing key")
    ]
    assert rules(recorded, {"items": []}) == [(".items", "empty")]


def test_an_empty_list_must_be_empty() -> None:
    assert rules({"items": []}, {"items": [1]}) == [(".items", "empty")]


def test_an_entry_of_a_list_may_lack_what_is_absent_when_zero_but_nothing_else() -> None:
    recorded = {"items": [{"id": 1, "revisions": 1, "inReplyTo": 4, "markdown": "x"}]}

    assert rules(recorded, {"items": [{"id": 1, "revisions": 1, "markdown": "x"}]}) == []
    assert rules(recorded, {"items": [{"revisions": 1, "inReplyTo": 4, "markdown": "x"}]}) == [
        (".items[0].id", "missing key")
    ]
    assert rules(recorded["items"][0], {"id": 1, "revisions": 1, "markdown": "x"}) == [
        (".inReplyTo", "missing key")
    ]


def test_zero_is_not_a_number_like_others_where_it_means_none() -> None:
    assert rules({"inReplyTo": 0}, {"inReplyTo": 5}) == [(".inReplyTo", "value")]
    assert rules({"inReplyTo": 4}, {"inReplyTo": 5}) == []


def test_a_page_must_add_up() -> None:
    def page(total: int, last: int, pages: int, number: int, shown: int) -> dict[str, Any]:
        return {
            "total": total,
            "limit": 5,
            "offset": 5,
            "maxOffset": last,
            "totalPages": pages,
            "page": number,
            "items": [{"id": 1}] * shown,
        }

    recorded = page(11, 10, 3, 2, 1)

    assert rules(recorded, page(10, 5, 2, 2, 5)) == []
    assert rules(recorded, page(10, 10, 2, 2, 5)) == [(".maxOffset", "paging")]
    assert rules(recorded, page(10, 5, 3, 2, 5)) == [(".totalPages", "paging")]
    assert rules(recorded, page(10, 5, 2, 2, 4)) == [(".items", "paging")]


def test_a_kind_asks_for_the_type_only() -> None:
    assert rules({"clientId": Kind((int,))}, {"clientId": 3}) == []
    assert rules({"clientId": Kind((int,))}, {"clientId": True}) == [(".clientId", "type")]
    assert rules({"state": Kind((str,), nullable=True)}, {"state": None}) == []
    assert rules({"state": Kind((str,))}, {"state": None}) == [(".state", "type")]


HEADERS = {"content-type": "application/json", "vary": "Authorization", "content-length": "2"}


def answers(
    status: int = 200, headers: dict[str, str] | None = None, body: Body | None = None
) -> list[Mismatch]:
    wanted = Expected(200, dict(HEADERS), Body("json", json={}))
    got = Answer(status, HEADERS if headers is None else headers, body or Body("json", json={}), 2)
    return compare(wanted, got, REFS)


def test_an_answer_with_the_same_status_headers_and_body_passes() -> None:
    assert answers() == []
    assert answers(headers={**HEADERS, "date": "now", "etag": '"1"', "x-request-id": "r"}) == []


def test_another_status_is_found() -> None:
    assert [found.where for found in answers(status=404)] == ["status"]


def test_a_header_that_is_missing_extra_or_different_is_found() -> None:
    assert [str(found) for found in answers(headers={**HEADERS, "vary": "Accept"})] == [
        "vary: header: expected Authorization, got Accept"
    ]
    assert [found.rule for found in answers(headers={**HEADERS, "allow": "GET"})] == [
        "extra header"
    ]
    without = {name: value for name, value in HEADERS.items() if name != "vary"}
    assert [found.rule for found in answers(headers=without)] == ["missing header"]


def test_a_wrong_or_missing_length_is_found() -> None:
    assert [found.where for found in answers(headers={**HEADERS, "content-length": "3"})] == [
        "content-length"
    ]


def test_text_where_json_was_recorded_is_found() -> None:
    assert [found.rule for found in answers(body=Body("text", text="oops"))] == ["kind"]


def test_attributes_in_a_list_have_values_of_any_scalar_type() -> None:
    recorded = {"items": [{"key": "a", "value": "easy"}]}

    assert rules(recorded, {"items": [{"key": "b", "value": True}]}) == []
    assert rules(recorded, {"items": [{"key": "b", "value": [1]}]}) == [(".items[0].value", "type")]


def test_a_head_answers_with_headers_alone() -> None:
    wanted = Expected(200, dict(HEADERS), Body("none"))
    head = Answer(200, {**HEADERS, "content-length": "812"}, Body("none"), 0, method="HEAD")

    assert compare(wanted, head, REFS) == []
    chatty = Answer(200, HEADERS, Body("text", text="xx"), 2, method="HEAD")
    assert [found.where for found in compare(wanted, chatty, REFS)] == ["body"]


def filled(value: Any) -> Any:
    """A recorded value with the entries that were left out made up from the last one shown."""
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[-1], LeftOut):
            return [filled(inner) for inner in value[:-1]] + [filled(value[-2])] * value[-1].count
        return [filled(inner) for inner in value]
    return value


def recorded_json(name: str) -> Any:
    response = load(name).response
    assert response is not None
    return take_apart(response.headers.get("content-type"), response.body).json


def objects(value: Any, *, listed: bool = False) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every object inside `value`, and whether it is, or is in, an entry of a list."""
    if isinstance(value, dict):
        yield value, listed
        for key, inner in value.items():
            yield from objects(inner, listed=listed or key in ("items", "children", "replies"))
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner, listed=listed)


WITH_JSON = [name for name in names() if recorded_json(name) is not None]


@pytest.mark.wide
def test_a_recording_is_like_itself() -> None:
    for name in WITH_JSON:
        recorded = recorded_json(name)

        assert list(values("", recorded, filled(recorded), Refs())) == [], name


def shapes() -> list[tuple[dict[str, Any], bool]]:
    """One recorded object of each kind, by its keys."""
    found = {
        (*kept, listed): (kept, listed)
        for name in WITH_JSON
        for kept, listed in objects(recorded_json(name))
    }
    return list(found.values())


# A part is one shape of so many.
ONE_OF = 12


@pytest.mark.sliced(1)
@pytest.mark.parametrize("part", range(ONE_OF))
def test_a_key_lost_renamed_moved_or_made_null_in_any_recorded_object_is_found(part: int) -> None:
    for kept, listed in shapes()[part::ONE_OF]:
        free = OPTIONAL.keys() & kept.keys() if listed else ()
        may_lack = frozenset[str]().union(*(OPTIONAL[marker] for marker in free))
        for key in kept.keys() - may_lack:
            lost = {other: value for other, value in kept.items() if other != key}
            renamed = {other + ("x" if other == key else ""): kept[other] for other in kept}
            moved = {key: kept[key]} | lost if key != next(iter(kept)) else lost | {key: kept[key]}
            null = kept | {key: 1 if kept[key] is None else None}
            for broken in (lost, renamed, moved if len(kept) > 1 else lost, null):
                found = list(values("", kept, filled(broken), Refs(), listed=listed))
                assert found, f"{key} in {kept}"
