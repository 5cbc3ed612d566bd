"""Registering webhooks: who may, what they may be, that secrets are shown once, and where nothing is sent to."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forumapi.command import cli
from forumapi.config import Config
from forumapi.database.connections import Database
from forumapi.outbound.safe_http_client import OutboundError
from forumapi.webhooks import sender
from tests import services
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.fixtures import start_server
from tests.services import free_port
from tests.webhooks.conftest import PATH, Hooks, until
from tests.webhooks.receiver import Message, Receiver

DOCS = Path(__file__).parents[2] / "docs" / "api" / "webhooks.md"
BODY: dict[str, Any] = {"url": "http://127.0.0.1:9/hook", "itemTypes": ["comment"]}


def test_the_owner_registers_changes_and_deletes_a_webhook(api: Api, site: Site) -> None:
    made = api.post(PATH, {**BODY, "name": "Mirror"}, by=site.owner)
    assert made.status == 200
    assert made.headers["Cache-Control"] == "no-store"
    secret = made.data["secret"]
    assert secret.startswith("whsec_")
    path = f"{PATH}/{made.data['id']}"

    shown = api.get(path, by=site.owner).data
    assert "secret" not in shown
    assert (shown["name"], shown["actsAs"], shown["enabled"]) == ("Mirror", site.owner.id, True)
    assert shown["kinds"] == ["created", "replaced", "patched", "deleted", "reminded", "decided"]
    assert secret.encode() not in api.get(PATH, by=site.owner).body
    changed = api.put(path, {"kinds": ["deleted"], "actAs": "guest"}, by=site.owner)
    after = api.follow(changed, by=site.owner).data
    assert (after["name"], after["kinds"], after["actsAs"]) == ("Mirror", ["deleted"], 0)
    assert api.delete(path, by=site.owner).status == 200
    assert api.get(path, by=site.owner).status == 404
    assert api.delete(path, by=site.owner).status == 404


def test_a_type_of_a_later_release_is_kept_and_not_shown(
    api: Api, hooks: Hooks, make: Factory, site: Site
) -> None:
    """Processes of two releases serve one database during an upgrade."""
    made = hooks.add(**BODY)
    path = f"{PATH}/{made['id']}"
    stored = "SELECT item_types FROM webhooks WHERE webhook_id = %(id)s"
    (before,) = make.sql(stored, id=made["id"])
    make.sql(
        "UPDATE webhooks SET item_types = item_types || 999::smallint WHERE webhook_id = %(id)s RETURNING 1",
        id=made["id"],
    )
    limited = _limited(make, site.owner, "webhooks:write", "comments:read")

    assert api.get(path, by=site.owner).data["itemTypes"] == ["comment"]
    (listed,) = api.get(PATH, by=site.owner).data["webhooks"]["items"]
    assert listed["itemTypes"] == ["comment"]
    assert api.put(path, {"name": "Kept"}, site=site, token=limited).status == 403
    assert api.put(path, {"name": "Kept"}, by=site.owner).status == 302
    assert make.sql(stored, id=made["id"]) == [([*before[0], 999],)]
    chosen = api.put(path, {"itemTypes": ["comment"]}, by=site.owner)
    assert chosen.status == 302
    assert make.sql(stored, id=made["id"]) == [before]


def test_a_delivery_about_a_type_of_a_later_release_is_listed_without_its_name(
    api: Api, hooks: Hooks, make: Factory
) -> None:
    made = hooks.add(**BODY)
    assert api.post(f"{PATH}/{made['id']}/ping", {}, by=hooks.site.owner).status < 400
    make.sql(
        """
        UPDATE webhook_deliveries
           SET state = 'dead', kind = 'created', item_type_id = 999, item_id = 5, parent_type_id = 998
         WHERE webhook_id = %(id)s RETURNING 1""",
        id=made["id"],
    )

    (listed,) = hooks.deliveries(made, "dead")

    assert (listed["itemType"], listed["itemId"], listed["parentType"]) == ("", 5, "")


def test_of_two_changes_at_once_neither_takes_the_other_back(
    api: Api, hooks: Hooks, site: Site, database_url: str
) -> None:
    made = hooks.add(**BODY, name="Mirror")

    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(database_url) as other,
        psycopg.connect(database_url, autocommit=True) as watcher,
    ):
        values = {"id": made["id"]}
        other.execute("UPDATE webhooks SET name = 'Other' WHERE webhook_id = %(id)s", values)
        change = pool.submit(api.put, f"{PATH}/{made['id']}", {"kinds": ["deleted"]}, by=site.owner)
        waits = "SELECT 1 FROM pg_stat_activity WHERE %(me)s = ANY(pg_blocking_pids(pid))"
        until(lambda: watcher.execute(waits, {"me": other.info.backend_pid}).fetchone(), bool)
        other.commit()
        assert change.result().status == 302

    after = hooks.state(made)
    assert (after["name"], after["kinds"]) == ("Other", ["deleted"])


def test_what_requests_cost_does_not_grow_with_what_there_is(
    api: Api, hooks: Hooks, site: Site
) -> None:
    first = hooks.add(**BODY)
    before = [api.get(path, by=site.owner).statements for path in _read(first)]
    for _ in range(3):
        hooks.add(**BODY)

    assert [api.get(path, by=site.owner).statements for path in _read(first)] == before == [2, 2, 3]


def _read(hook: Any) -> list[str]:
    one = f"{PATH}/{hook['id']}"
    return [PATH, one, f"{one}/deliveries"]


def test_nobody_else_gets_at_them(api: Api, hooks: Hooks, site: Site) -> None:
    id = hooks.add(**BODY)["id"]

    for by in (None, site.member, site.moderator, site.banned):
        for verb, path, body in _requests(id):
            assert api.request(verb, path, site=site, by=by, json=body).status == 403


def _requests(id: int) -> list[tuple[str, str, Any]]:
    one = f"{PATH}/{id}"
    return [
        ("GET", PATH, None),
        ("POST", PATH, BODY),
        ("GET", one, None),
        ("PUT", one, BODY),
        ("POST", f"{one}/secret", {}),
        ("POST", f"{one}/ping", None),
        ("GET", f"{one}/deliveries", None),
        ("POST", f"{one}/replay", {"first": "1", "last": "2"}),
        ("DELETE", one, None),
    ]


def test_the_owner_of_another_site_gets_what_never_was(
    api: Api, make: Factory, hooks: Hooks, site: Site
) -> None:
    other = make.site()
    id = hooks.add(**BODY)["id"]
    api.get(PATH, by=other.owner)

    for (verb, theirs, body), (_, never, _) in zip(
        _requests(id)[2:], _requests(987654321)[2:], strict=True
    ):
        answers = [api.request(verb, path, by=other.owner, json=body) for path in (theirs, never)]
        assert answers[0].status == answers[1].status == 404
        assert answers[0].body == answers[1].body
        assert answers[0].statements == answers[1].statements
    assert hooks.state({"id": id})["enabled"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": ""}, "url"),
        ({"url": "https://" + "a" * 2000}, "url"),
        ({"url": "ftp://127.0.0.1/"}, "url"),
        ({"url": "nowhere"}, "url"),
        ({"url": "http://127.0.0.1:99999/"}, "url"),
        ({"url": "http://no-such-name.invalid/"}, "url"),
        ({**BODY, "name": "x" * 101}, "name"),
        ({**BODY, "kinds": []}, "kinds"),
        ({**BODY, "kinds": ["created", "exploded"]}, "kinds"),
        ({**BODY, "itemTypes": ["role"]}, "itemTypes"),
        ({**BODY, "kinds": ["x" * 100_000]}, "kinds"),
        ({**BODY, "itemTypes": ["x" * 100_000]}, "itemTypes"),
        ({**BODY, "itemTypes": []}, "itemTypes"),
        ({**BODY, "actAs": "root"}, "actAs"),
        ({**BODY, "actAs": "guest", "itemTypes": ["huddle"]}, "itemTypes"),
    ],
)
def test_what_is_wrong_is_named(api: Api, site: Site, body: dict[str, Any], field: str) -> None:
    answer = api.post(PATH, body, by=site.owner)

    assert answer.status == 400
    assert answer.error.startswith(field)
    assert len(answer.error) < 200


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://192.168.1.1:8443/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fe80::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://0/",
        "http://93.184.216.34/",
    ],
)
def test_no_address_of_our_own_network_is_reached_nor_one_without_tls(url: str) -> None:
    outbound = sender.outbound(Config(environment="development"))

    with pytest.raises(OutboundError):
        outbound.check(url)
    with pytest.raises(OutboundError):
        outbound.fetch(url, body=b"{}")


@pytest.mark.wide
@pytest.mark.slow
def test_private_addresses_are_refused_when_registered_and_when_sent_to(
    postgres_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    with services.database(postgres_url, "hooks") as url:
        server = start_server(url, tmp_path, environment="development")
        database = Database(url, size=2)
        try:
            _refused(server.api(), Factory(database, "forum.test"), receiver)
        finally:
            server.stop()
            database.close()


def _refused(api: Api, make: Factory, receiver: Receiver) -> None:
    site = make.site()
    hooks = Hooks(api, make, site)
    answer = api.post(PATH, {"url": "https://localhost/hook"}, by=site.owner)
    assert answer.status == 400
    assert answer.error == "url: localhost is not on the open internet"
    # As if the name had led elsewhere when it was registered.
    make.sql(
        """
        INSERT INTO webhooks (site_id, url, secret, kinds, item_types, acts_as, created_by)
        VALUES (%(site)s, %(url)s, 'x', '{created}', '{4}', %(me)s, %(me)s) RETURNING 1""",
        site=site.id,
        url=receiver.url().replace("http:", "https:").replace("127.0.0.1", "localhost"),
        me=site.owner.id,
    )
    ((id,),) = make.sql("SELECT webhook_id FROM webhooks WHERE site_id = %(s)s", s=site.id)
    hooks.write(make.conversation(site), "Hello")

    state = until(lambda: hooks.state({"id": id}), lambda state: state["failures"])
    assert state["lastError"] == "localhost is not on the open internet"
    assert receiver.messages == []


def test_a_site_has_at_most_twenty(api: Api, hooks: Hooks, make: Factory, site: Site) -> None:
    make.sql(
        """
        INSERT INTO webhooks (site_id, url, secret, created_by, is_enabled)
        SELECT %(site)s, 'https://example.com', 'x', %(me)s, false FROM generate_series(1, 20) RETURNING 1""",
        site=site.id,
        me=site.owner.id,
    )

    answer = api.post(PATH, BODY, by=site.owner)

    assert (answer.status, answer.error) == (400, "A site has at most 20 webhooks")


def _limited(make: Factory, person: Person, *scopes: str) -> str:
    secret = make.token(person)
    make.sql(
        """
        UPDATE access_tokens SET scopes = %(scopes)s WHERE token_hash = sha256(convert_to(%(secret)s, 'UTF8'))
        RETURNING 1""",
        scopes=list(scopes),
        secret=secret,
    )
    return secret


def test_a_limited_token_has_nothing_told_that_it_may_not_read(
    api: Api, make: Factory, site: Site
) -> None:
    reads = _limited(make, site.owner, "webhooks:read")
    writes = _limited(make, site.owner, "webhooks:write", "comments:read")

    assert api.post(PATH, BODY, site=site, token=reads).data["scope"] == "webhooks:write"
    made = api.post(PATH, BODY, site=site, token=writes)
    assert made.status == 200
    more = {**BODY, "itemTypes": ["comment", "huddle"]}
    assert api.post(PATH, more, site=site, token=writes).data["scope"] == "huddles:read"
    path = f"{PATH}/{made.data['id']}"
    assert api.put(path, more, site=site, token=writes).status == 403
    api.put(path, more, by=site.owner)
    # Nor does it take over what somebody else may have told.
    assert api.put(path, {"url": BODY["url"]}, site=site, token=writes).status == 403


def test_who_changes_a_webhook_is_who_it_acts_as_and_gets_nothing_of_the_others_huddles(
    api: Api, hooks: Hooks, make: Factory, site: Site
) -> None:
    hook = hooks.add(**{**BODY, "itemTypes": ["comment", "huddle"]})
    huddle = make.huddle(site.owner, site.member)
    api.post(
        "/api/v1/comments",
        {"itemType": "huddle", "itemId": huddle.id, "markdown": "Psst"},
        by=site.member,
    )
    until(lambda: hooks.deliveries(hook, "queued"), lambda all: len(all) >= 1)
    make.sql(
        "UPDATE sites SET owned_by = %(new)s, version = version + 1 WHERE site_id = %(s)s RETURNING 1",
        new=site.moderator.id,
        s=site.id,
    )
    path = f"{PATH}/{hook['id']}"
    deliveries = f"{path}/deliveries?state=queued"

    listed = api.get(deliveries, by=site.moderator).data["deliveries"]["total"]
    replayed = api.post(
        f"{path}/replay",
        {"first": hooks.cursor(1), "last": hooks.cursor(10_000), "everything": True},
        by=site.moderator,
    ).data["replayed"]
    api.put(path, {"url": "http://127.0.0.1:10/"}, by=site.moderator)
    after = api.get(deliveries, by=site.moderator).data["deliveries"]["total"]

    assert (listed, replayed, after) == (0, 0, 0)
    assert api.get(path, by=site.moderator).data["actsAs"] == site.moderator.id
    assert api.get(path, by=site.owner).status == 403


def test_while_a_webhook_waits_nothing_tells_of_huddles_of_others(
    api: Api, hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    """Return what waits for a receiver that is down is listed, becomes dead letters and is counted by a replay."""
    chat = make.conversation(site)
    receiver.answer = lambda message: 500
    hook = hooks.add(receiver.url(), itemTypes=["comment", "huddle"])
    path = f"{PATH}/{hook['id']}"
    hooks.write(chat, "Hello")
    until(lambda: hooks.state(hook), lambda state: state["failures"])
    others, own = make.huddle(site.member, site.moderator), make.huddle(site.owner, site.member)
    for huddle in (others, own):
        body = {"itemType": "huddle", "itemId": huddle.id, "markdown": "Psst"}
        api.post("/api/v1/comments", body, by=site.member)
    hooks.write(chat, "Hello again")

    queued = until(lambda: hooks.deliveries(hook, "queued"), lambda all: len(all) >= 4)
    about = [one["parentId"] or one["itemId"] for one in queued]
    assert about == [chat.id, own.id, own.id, chat.id]
    api.delete(f"{own.path}/participants/{site.owner.id}", by=site.owner)
    assert len(hooks.deliveries(hook, "queued")) == 2, "who has left is told nothing more"
    api.put(path, {"enabled": False}, by=site.owner)
    assert len(hooks.deliveries(hook, "dead")) == 2
    api.put(path, {"enabled": True}, by=site.owner)
    limits = {"first": hooks.cursor(1), "last": hooks.cursor(10_000)}
    for everything in (False, True):
        again = api.post(f"{path}/replay", {**limits, "everything": everything}, by=site.owner)
        assert again.data["replayed"] == 2


def test_for_a_day_both_secrets_sign(
    api: Api, hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    hook = hooks.add(receiver.url(), itemTypes=["comment"])
    path = f"{PATH}/{hook['id']}/secret"

    second = api.post(path, {}, by=site.owner).data["secret"]
    hooks.write(chat, "Hello")
    receiver.wait(1)
    third = api.post(path, {"keepOld": False}, by=site.owner).data["secret"]
    hooks.write(chat, "Hello again")

    both, one = receiver.wait(2)
    assert both.is_signed_with(hook["secret"])
    assert both.is_signed_with(second)
    assert not one.is_signed_with(second)
    assert one.is_signed_with(third)


@pytest.mark.wide
def test_a_test_is_sent_even_while_the_webhook_pauses(
    api: Api, hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    receiver.answer = lambda message: 500
    hook = hooks.add(receiver.url(), itemTypes=["comment"])
    hooks.write(chat, "Hello")
    until(lambda: hooks.state(hook), lambda state: state["failures"] == 1)
    make.sql(
        "UPDATE webhooks SET parked_until = now() + interval '1 hour' WHERE webhook_id = %(id)s RETURNING 1",
        id=hook["id"],
    )

    api.post(f"{PATH}/{hook['id']}/ping", by=site.owner)
    (failed,) = until(lambda: hooks.deliveries(hook, "dead"), len)
    receiver.answer = lambda message: 200
    time.sleep(0.002)  # tests are told apart by the millisecond
    api.post(f"{PATH}/{hook['id']}/ping", by=site.owner)
    (sent,) = until(lambda: hooks.deliveries(hook, "sent"), len)

    def pings() -> list[Message]:
        return [message for message in receiver.at() if message.data["type"] == "ping"]

    assert len(pings()) == 2
    assert pings()[1].is_signed_with(hook["secret"])
    assert (failed["kind"], failed["attempts"], failed["lastStatus"]) == ("ping", 1, 500)
    assert (sent["cursor"], sent["itemType"], sent["lastStatus"]) == ("", "", 200)
    # It is well again, and what waited comes by itself.
    until(lambda: hooks.deliveries(hook, "queued"), lambda all: not all or _sooner(hooks, hook))


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _sooner(hooks: Hooks, hook: Any) -> bool:
    hooks.time_passes(hook)
    return False


@pytest.mark.wide
def test_what_a_full_queue_has_no_room_for_can_be_replayed(
    api: Api, hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    receiver.answer = lambda message: 500
    hook = hooks.add(receiver.url(), itemTypes=["comment"])
    hooks.write(chat, "First")
    until(lambda: hooks.state(hook), lambda state: state["failures"] == 1)
    make.sql(
        """
        INSERT INTO webhook_deliveries (site_id, webhook_id, number, kind, item_type_id, item_id, not_before)
        SELECT %(site)s, %(id)s, 1000000 + n, 'created', 4, 900000000 + n, now() + interval '1 hour'
          FROM generate_series(1, 10000) n RETURNING 1""",
        site=site.id,
        id=hook["id"],
    )

    id = hooks.write(chat, "Second")

    missed = until(lambda: hooks.state(hook), lambda state: state["missed"])["missed"]
    make.sql("DELETE FROM webhook_deliveries WHERE webhook_id = %(id)s RETURNING 1", id=hook["id"])
    receiver.answer = lambda message: 200
    receiver.messages.clear()
    answer = api.post(f"{PATH}/{hook['id']}/replay", {**missed, "everything": True}, by=site.owner)
    hooks.time_passes(hook)
    assert answer.data == {"replayed": 1, "next": None}
    assert receiver.only().data["itemId"] == id
    assert hooks.state(hook)["missed"] is None


@pytest.mark.wide
@pytest.mark.parametrize("body", [{}, {"first": "1"}, {"first": "x", "last": "1"}])
def test_a_replay_names_what_it_is_of(
    api: Api, hooks: Hooks, site: Site, body: dict[str, str]
) -> None:
    hook = hooks.add(**BODY)

    assert api.post(f"{PATH}/{hook['id']}/replay", body, by=site.owner).status == 400


@pytest.mark.wide
def test_the_receiver_of_the_documentation_takes_what_is_genuine_alone(
    hooks: Hooks, make: Factory, site: Site, tmp_path: Path
) -> None:
    text = DOCS.read_text(encoding="utf-8")
    program = tmp_path / "receiver.py"
    program.write_text(text[text.index("```python\n") + 10 :].partition("```\n")[0])
    port = free_port()
    chat = make.conversation(site)
    hook = hooks.add(f"http://127.0.0.1:{port}/", itemTypes=["comment"])
    with subprocess.Popen(
        [sys.executable, program],
        env={"WEBHOOK_SECRET": hook["secret"], "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            until(lambda: _listens(port), bool)
            id = hooks.write(chat, "Hello")
            until(lambda: hooks.state(hook), lambda one: one["sent"])
            assert process.stdout.readline() == f"comment.created /api/v1/comments/{id}\n"
            make.sql(
                "UPDATE webhooks SET secret = 'wrong' WHERE webhook_id = %(id)s RETURNING 1",
                id=hook["id"],
            )
            hooks.write(chat, "Not genuine")
            state = until(lambda: hooks.state(hook), lambda state: state["failures"])
            assert state["lastStatus"] == 401
        finally:
            process.kill()


@pytest.mark.wide
def test_operators_see_all_and_replay_dead_letters(
    hooks: Hooks,
    make: Factory,
    site: Site,
    receiver: Receiver,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", database_url)
    chat = make.conversation(site)
    receiver.answer = lambda message: 500
    hook = hooks.add(receiver.url(), itemTypes=["comment"])
    hooks.write(chat, "Hello")
    until(lambda: hooks.state(hook), lambda state: state["failures"] == 1)
    hooks.hours_pass(hook, 25)
    until(lambda: hooks.deliveries(hook, "dead"), len)
    receiver.answer = lambda message: 200

    receiver.messages.clear()
    assert cli.main(["webhooks", "list", "--site", site.key, "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["queued"], shown["dead"]) == (hook["id"], 0, 1)
    assert "secret" not in shown
    replay = ["webhooks", "replay", "--site", site.key, "--id"]
    assert cli.main([*replay, str(hook["id"])]) == 0
    assert capsys.readouterr().out == "1 dead letters are sent again\n"
    hooks.time_passes(hook)
    receiver.wait()
    assert cli.main([*replay, "987654321"]) == 1
