"""The table of deviations: every entry applies somewhere and changes something there."""

from __future__ import annotations

import pytest

from .cases import CASES
from .compare import Expected, Kind
from .deviations import (
    DEVIATIONS,
    Allow,
    Change,
    Data,
    Deviation,
    Envelope,
    ErrorObject,
    Header,
    Set,
    Status,
    UnchangedError,
    expected,
)
from .recording import Body, load


def envelope() -> Expected:
    return Expected(
        200,
        {"content-type": "application/json"},
        Body(
            "json",
            json={
                "context": "",
                "status": 200,
                "data": {"a": [{"menu": None}, {"b": 1}]},
                "error": None,
            },
        ),
        host="peer.forum.example",
        signed_in=True,
    )


def test_every_recording_named_by_a_deviation_is_replayed() -> None:
    for deviation in DEVIATIONS:
        for pattern in deviation.recordings:
            one = Deviation(deviation.rule, (pattern,), deviation.changes, deviation.says)
            assert any(one.applies(name) for name in CASES), pattern


def test_every_deviation_that_applies_changes_something() -> None:
    for name in sorted(CASES):
        expected(load(name))


@pytest.mark.parametrize(
    "change",
    [
        Status(200),
        Header("content-type", "application/json"),
        Header("allow", None),
        Envelope(),
        Data({"a": [{"menu": None}, {"b": 1}]}),
        Set("data.a.*.b", 1),
        Set("**.moderators", []),
    ],
)
def test_a_change_that_changes_nothing_says_so(change: Change) -> None:
    with pytest.raises(UnchangedError):
        change.apply(envelope())


def test_status_changes_status_line_and_envelope() -> None:
    answer = envelope()
    Status(404).apply(answer)

    assert (answer.status, answer.body.json["status"]) == (404, 404)


def test_set_reaches_any_depth_and_any_entry() -> None:
    answer = envelope()
    Set("**.menu", []).apply(answer)
    Set("data.a.*.b", 2).apply(answer)

    assert answer.body.json["data"] == {"a": [{"menu": []}, {"b": 2}]}


def test_the_error_object_names_site_and_profile() -> None:
    answer = envelope()
    ErrorObject(9).apply(answer)

    assert answer.body.json["data"] == {
        "siteId": 6,
        "profileId": 7,
        "errorCode": 9,
        "errorDetail": "A sentence",
        "code": Kind((str,)),
    }
    assert answer.body.json["error"] == ["A sentence"]


def test_the_error_object_of_a_guest_names_no_profile() -> None:
    answer = envelope()
    answer.signed_in = False
    ErrorObject(9).apply(answer)

    assert "profileId" not in answer.body.json["data"]


def test_options_get_the_same_methods_in_both_headers() -> None:
    answer = Expected(200, {"allow": "OPTIONS,GET"}, Body("none"))
    Allow("OPTIONS,GET,HEAD").apply(answer)

    assert (
        answer.headers["allow"]
        == answer.headers["access-control-allow-methods"]
        == "OPTIONS,GET,HEAD"
    )
    assert answer.headers["access-control-max-age"] == "86400"


def test_plain_text_becomes_an_envelope() -> None:
    answer = Expected(404, {"content-type": "text/plain"}, Body("text", text="404 page not found"))
    Envelope().apply(answer)

    assert answer.body.json == {"context": "", "status": 404, "data": None, "error": None}
    assert answer.headers["vary"] == "Authorization"
