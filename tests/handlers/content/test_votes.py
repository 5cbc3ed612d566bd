"""Voting: one ballot a person, changed and withdrawn, exact under a crowd, and nobody is told who (C-33)."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import Server, start_server


def _ids(api: Api, poll: Thing) -> list[int]:
    return [one["id"] for one in api.get(poll.path, by=poll.site.owner).data["choices"]]


def _vote(api: Api, poll: Thing, by: Person | None, *choices: int) -> Response:
    ballot = [{"id": id} for id in choices]
    return api.put(f"{poll.path}/votes", ballot, site=poll.site, by=by)


def _result(api: Api, poll: Thing, by: Person | None = None) -> tuple[int, list[Any]]:
    shown = api.get(poll.path, site=poll.site, by=by).data
    return shown["voterCount"], [one.get("votes") for one in shown["choices"]]


def test_a_vote_is_cast_changed_and_withdrawn(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)
    red, green, _ = _ids(api, poll)

    cast = _vote(api, poll, bikes.member, red)
    assert (cast.status, cast.location) == (302, poll.path)
    assert _result(api, poll) == (1, [1, 0, 0])
    assert _vote(api, poll, bikes.member, red).status == 302
    assert _result(api, poll) == (1, [1, 0, 0])
    assert _vote(api, poll, bikes.newcomer, green).status == 302
    assert _vote(api, poll, bikes.member, green).status == 302
    assert _result(api, poll) == (2, [0, 2, 0])
    assert _vote(api, poll, bikes.member).status == 302
    assert _vote(api, poll, bikes.member).status == 302
    assert _result(api, poll) == (1, [0, 1, 0])


def test_a_ballot_may_name_several_where_the_poll_says_so(
    api: Api, make: Factory, bikes: Site
) -> None:
    poll, single = make.poll(bikes, is_multi=True), make.poll(bikes)
    red, green, blue = _ids(api, poll)

    assert _vote(api, poll, bikes.member, red, blue).status == 302
    assert _vote(api, poll, bikes.newcomer, blue, green, red).status == 302
    assert _result(api, poll) == (2, [2, 1, 2])
    assert _vote(api, poll, bikes.member, green).status == 302
    assert _result(api, poll) == (2, [1, 2, 1])
    assert _vote(api, single, bikes.member, *_ids(api, single)[:2]).status == 400


def test_a_bad_ballot_is_refused(api: Api, make: Factory, bikes: Site) -> None:
    poll, other = make.poll(bikes, is_multi=True), make.poll(bikes)
    red, *_ = _ids(api, poll)
    foreign = _ids(api, other)[0]

    assert "[1].id" in _vote(api, poll, bikes.member, red, foreign).error
    assert _vote(api, poll, bikes.member, red, red).status == 400
    assert _vote(api, poll, bikes.member, 0).status == 400
    assert _vote(api, poll, bikes.member, *range(1, 60)).status == 400
    bodies: list[Any] = [{"id": red}, [red], [{"id": "x"}], [{}], None]
    for body in bodies:
        assert api.put(f"{poll.path}/votes", body, by=bikes.member).status == 400
    assert _result(api, poll) == (0, [0, 0, 0])
    assert _result(api, other) == (0, [0, 0, 0])


def test_the_viewer_finds_the_own_ballot_and_no_other(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)
    red, *_ = _ids(api, poll)
    _vote(api, poll, bikes.member, red)

    own = api.get(poll.path, by=bikes.member).data["choices"]
    assert [one.get("voted") for one in own] == [True, None, None]
    for person in (None, bikes.owner, bikes.newcomer):
        shown = api.get(poll.path, site=bikes, by=person).data["choices"]
        assert all("voted" not in one for one in shown)


def test_closed_is_closed(api: Api, make: Factory, bikes: Site) -> None:
    polls = [make.poll(bikes) for _ in range(3)]
    firsts = [_ids(api, poll)[0] for poll in polls]
    shut, over, locked = polls
    for poll, first in zip(polls, firsts, strict=True):
        _vote(api, poll, bikes.newcomer, first)
    reason = {"meta": {"editReason": "enough"}}
    api.put(shut.path, {"pollOpen": False, **reason}, by=bikes.owner)
    api.put(over.path, {"pollCloses": "2001-01-01T00:00:00Z", **reason}, by=bikes.owner)
    api.patch(locked.path, ("open", False), by=bikes.owner)

    for poll, first in zip(polls, firsts, strict=True):
        assert _vote(api, poll, bikes.member, first).code == 17
        assert _vote(api, poll, bikes.newcomer).code == 17
        assert _result(api, poll) == (1, [1, 0, 0])
    # A closed item keeps moderators in, a closed poll nobody.
    assert _vote(api, locked, bikes.moderator, firsts[2]).status == 302
    assert _vote(api, shut, bikes.moderator, firsts[0]).code == 17


def test_who_may_vote(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    make.role(site, place.id, "Readers", users=True, guests=True, rights=("read",))
    secret = make.microcosm(site)
    make.role(site, secret.id, "Nobody", users=True)
    readable = make.poll(site, microcosm=place, by=site.owner)
    hidden = make.poll(site, microcosm=secret, by=site.owner)
    gone = make.poll(site, by=site.owner)
    first = _ids(api, readable)[0]
    api.delete(gone.path, by=site.owner)

    assert _vote(api, readable, site.member, first).code == 10
    assert _vote(api, readable, None, first).status == 403
    assert _vote(api, hidden, site.member, first).code == 9
    assert _vote(api, gone, site.member, first).status == 404
    assert _vote(api, readable, site.banned, first).code == 13
    never = Thing(site, readable.type, 987_654_321)
    assert _vote(api, never, site.member, first).code == 9
    assert _vote(api, never, site.owner, first).status == 404


def test_guests_with_every_right_have_no_ballot(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    make.role(site, place.id, "All", users=True, guests=True, rights=("read", "create"))
    poll = make.poll(site, microcosm=place)

    assert _vote(api, poll, None, _ids(api, poll)[0]).status == 403
    assert api.get(poll.path, site=site).data["voterCount"] == 0


# ---------------------------------------------------------------- what happens to choices


def test_a_removed_choice_takes_its_votes_along(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes, is_multi=True)
    red, green, blue = _ids(api, poll)
    _vote(api, poll, bikes.member, red, green)
    _vote(api, poll, bikes.newcomer, red)
    _vote(api, poll, bikes.moderator, blue)
    left = [{"id": green, "choice": "Green"}, {"id": blue, "choice": "Teal"}]

    body = {"choices": left, "meta": {"editReason": "fewer"}}
    assert api.put(poll.path, body, by=bikes.owner).status == 302

    assert _result(api, poll) == (2, [1, 1])
    assert _vote(api, poll, bikes.member, red).status == 400
    assert _vote(api, poll, bikes.newcomer, blue).status == 302
    assert _result(api, poll) == (3, [1, 2])


def test_a_poll_is_not_made_single_over_votes_for_several(
    api: Api, make: Factory, bikes: Site
) -> None:
    poll = make.poll(bikes, is_multi=True)
    red, green, _ = _ids(api, poll)
    _vote(api, poll, bikes.member, red, green)
    body = {"multi": False, "meta": {"editReason": "simpler"}}

    assert api.put(poll.path, body, by=bikes.owner).status == 400
    _vote(api, poll, bikes.member, red)
    assert api.put(poll.path, body, by=bikes.owner).status == 302


# ---------------------------------------------------------------- results, names, secrecy


@pytest.mark.parametrize("results", ["voted", "closed"])
def test_results_are_shown_when_the_poll_says(
    api: Api, make: Factory, bikes: Site, results: str
) -> None:
    poll = make.poll(bikes, results=results)
    red = _ids(api, poll)[0]
    _vote(api, poll, bikes.member, red)
    nothing = (1, [None, None, None])

    assert api.get(poll.path, site=bikes).data["results"] == results
    for person in (None, bikes.newcomer, bikes.moderator, bikes.owner):
        assert _result(api, poll, person) == nothing
    voter = _result(api, poll, bikes.member)
    assert voter == ((1, [1, 0, 0]) if results == "voted" else nothing)
    body = {"pollOpen": False, "meta": {"editReason": "done"}}
    assert api.put(poll.path, body, by=bikes.owner).status == 302
    for person in (None, bikes.newcomer, bikes.member):
        assert _result(api, poll, person) == (1, [1, 0, 0])


def test_the_tag_follows_the_own_ballot(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes, results="voted")
    red, green, _ = _ids(api, poll)
    seen = set()
    for choice in (red, green):
        _vote(api, poll, bikes.member, choice)
        seen.add(api.get(poll.path, by=bikes.member).headers["ETag"])

    assert len(seen) == 2
    assert {tag.partition("-")[0] for tag in seen} == {'"1'}


def test_a_named_poll_says_who(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes, is_named=True, is_multi=True)
    red, green, _ = _ids(api, poll)
    _vote(api, poll, bikes.member, green, red)

    assert api.get(poll.path, site=bikes).data["named"] is True
    page = api.get(f"{poll.path}/votes", site=bikes).data["votes"]
    assert page["total"] == 1
    entry = page["items"][0]
    assert (entry["voter"]["id"], entry["choices"]) == (bikes.member.id, [red, green])
    body = {"named": False, "meta": {"editReason": "no"}}
    assert api.put(poll.path, body, by=bikes.owner).status == 400


def test_names_wait_for_the_results(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes, is_named=True, results="closed")
    _vote(api, poll, bikes.member, _ids(api, poll)[0])

    assert api.get(f"{poll.path}/votes", by=bikes.owner).code == 9
    api.put(poll.path, {"pollOpen": False, "meta": {"editReason": "done"}}, by=bikes.owner)
    assert api.get(f"{poll.path}/votes", site=bikes).data["votes"]["total"] == 1


def test_nobody_is_told_who_voted_in_any_other(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)
    voter = make.person(bikes)
    red, *_ = _ids(api, poll)
    audited = (
        "SELECT count(*) FROM audit_log a WHERE a.site_id = %(site)s AND a.profile_id = %(me)s"
    )
    before = make.sql(audited, site=bikes.id, me=voter.id)
    _vote(api, poll, voter, red)

    for person in (None, voter, bikes.member, bikes.moderator, bikes.owner):
        assert api.get(f"{poll.path}/votes", site=bikes, by=person).status == 403
    # Neither the list, the item, the log nor the audit names them.
    for path in (poll.path, "/api/v1/polls?limit=250"):
        for person in (None, bikes.owner):
            body = api.get(path, site=bikes, by=person).body
            assert voter.name.encode() not in body
            assert b"/profiles/%d" % voter.id not in body
    logged = make.sql(
        """
        SELECT e.actor_id, e.detail FROM event_log e
         WHERE e.site_id = %(site)s AND e.item_type_id = 7 AND e.item_id = %(id)s AND e.kind = 'patched'""",
        site=bikes.id,
        id=poll.id,
    )
    assert logged == [(None, None)]
    assert make.sql(audited, site=bikes.id, me=voter.id) == before


def test_one_ballot_a_person_whatever_their_profile(api: Api, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)
    red, green, _ = _ids(api, poll)
    _vote(api, poll, bikes.member, red)
    # A second token is the same person.
    again = api.put(
        f"{poll.path}/votes", [{"id": green}], site=bikes, token=make.token(bikes.member)
    )

    assert again.status == 302
    assert _result(api, poll) == (1, [0, 1, 0])


# ---------------------------------------------------------------- many at once


def _cast_all(server: Server, poll: Thing, ballots: list[tuple[Person, list[int]]]) -> list[bytes]:
    """The status lines of ballots that are all on their way before any answer is read."""
    sockets = []
    for person, chosen in ballots:
        body = json.dumps([{"id": id} for id in chosen]).encode()
        head = (
            f"PUT {poll.path}/votes HTTP/1.1\r\nHost: {poll.site.host}\r\n"
            f"Authorization: Bearer {person.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        one = socket.create_connection(server.address, 60)
        one.sendall(head.encode() + body)
        sockets.append(one)
    answers = []
    for one in sockets:
        data = b""
        while part := one.recv(65536):
            data += part
        one.close()
        answers.append(data.partition(b"\r\n")[0])
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("most", [40, pytest.param(500, marks=pytest.mark.wide)])
def test_counts_are_exact_under_hundreds_of_votes_at_once(
    make: Factory, database_url: str, tmp_path: Path, most: int
) -> None:
    site = make.site()
    poll = make.poll(site)
    people = [make.person(site) for _ in range(most)]
    first, second, third = (len(range(n, most, 3)) for n in range(3))
    server = start_server(
        database_url,
        tmp_path,
        workers="2",
        database_wait_ms="60000",
        queue_wait_s="60",
        connections_per_address="0",
    )
    try:
        api = server.api()
        ids = _ids(api, poll)
        ballots = [(person, [ids[n % 3]]) for n, person in enumerate(people)]

        assert set(_cast_all(server, poll, ballots)) == {b"HTTP/1.1 302 Found"}
        assert _result(api, poll) == (most, [first, second, third])
        # Everybody again: a third changes, a third withdraws, a third says the same.
        again = [(person, ([ids[1]], [], [ids[2]])[n % 3]) for n, person in enumerate(people)]
        assert set(_cast_all(server, poll, again)) == {b"HTTP/1.1 302 Found"}
        assert _result(api, poll) == (first + third, [0, first, third])
    finally:
        server.stop()
    stored = make.sql(
        "SELECT count(*) FROM poll_ballots b WHERE b.site_id = %(site)s AND b.item_id = %(id)s",
        site=site.id,
        id=poll.id,
    )
    assert stored == [(first + third,)]


@pytest.mark.wide
def test_nobody_votes_twice_by_hurrying(server: Server, make: Factory, bikes: Site) -> None:
    poll = make.poll(bikes)
    voter = make.person(bikes)
    api = server.api()
    ids = _ids(api, poll)

    def vote(number: int) -> int:
        own = server.api()
        status = _vote(own, poll, voter, ids[number % 3]).status
        own.close()
        return status

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(vote, range(24))) == {302}

    count, votes = _result(api, poll)
    assert (count, sum(votes)) == (1, 1)
    api.close()
