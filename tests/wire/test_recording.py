"""The parser of recorded exchanges."""

from __future__ import annotations

import pytest

from .recording import LeftOut, MalformedRecordingError, load, names, parse, take_apart

GET = """GET /api/v1/legal?limit=5 HTTP/1.1
Host: peer.forum.example
Authorization: Bearer member1token

HTTP/1.1 200 OK
Vary: Authorization
Content-Type: application/json

{
 "b": 1,
 "a": [
  1,
  2,
  "... 3 more of the same kind left out here"
 ]
}
"""


def test_a_request_has_method_target_headers_and_no_body() -> None:
    request = parse("x", GET).request

    assert (request.method, request.target) == ("GET", "/api/v1/legal?limit=5")
    assert request.headers == {"host": "peer.forum.example", "authorization": "Bearer member1token"}
    assert request.body == ""


def test_a_response_keeps_status_headers_and_the_order_of_keys() -> None:
    response = parse("x", GET).response

    assert response is not None
    assert response.status == 200
    assert response.headers["vary"] == "Authorization"
    body = take_apart(response.headers["content-type"], response.body)
    assert body.kind == "json"
    assert list(body.json) == ["b", "a"]


def test_a_cut_array_ends_with_the_number_of_entries_left_out() -> None:
    response = parse("x", GET).response

    assert response is not None
    assert take_apart("application/json", response.body).json["a"] == [1, 2, LeftOut(3)]


def test_a_request_body_stands_between_the_blank_lines() -> None:
    text = GET.replace("GET", "POST").replace(
        "member1token\n", 'member1token\nContent-Type: text/plain\n\n{"itemType":\n'
    )

    assert parse("x", text).request.body == '{"itemType":'


def test_an_exchange_without_an_answer_has_no_response() -> None:
    text = "GET /api/v1/metrics HTTP/1.1\n\n(no response: the server closed the connection)\n\n"

    assert parse("x", text).response is None


def test_a_file_without_response_or_note_is_refused() -> None:
    with pytest.raises(MalformedRecordingError, match="neither"):
        parse("x", "GET / HTTP/1.1\nHost: a\n\n")


def test_jsonp_is_taken_apart_whatever_its_label() -> None:
    body = take_apart("application/json", 'fn({"status":200}, "abc")')

    assert (body.kind, body.callback, body.context) == ("jsonp", "fn", "abc")
    assert body.json == {"status": 200}


def test_jsonp_without_a_context_has_none() -> None:
    assert take_apart("application/javascript", 'a.b({"status":200})').context is None


def test_a_key_that_stands_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="twice"):
        take_apart("application/json", '{"a": 1, "a": 2}')


def test_every_recording_parses_and_is_small() -> None:
    for name in names():
        recording = load(name)

        assert recording.request.target.startswith("/")
        if recording.response is not None:
            take_apart(recording.response.headers.get("content-type"), recording.response.body)
            assert len(recording.response.body) < 60_000
