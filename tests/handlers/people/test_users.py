"""Users: who sees them, adding them by address, and the batch of members as JSON and CSV."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from forumapi.request.processor import respond
from tests.api import Headers, Response
from tests.factories import Person, Site
from tests.stage import Stage, staged

NEVER = 987_654_321


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(
        database_url, tmp_path_factory.mktemp("users"), import_body_limit=1_000_000
    ) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    """A site of the test's own, with the usual cast."""
    return stage.make.site()


def csv(
    stage: Stage,
    body: bytes,
    by: Person,
    query: str = "",
    *,
    key: str = "",
    length: int | None = None,
) -> Response:
    """A CSV body sent to the batch."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/v1/users/batch",
        "QUERY_STRING": query,
        "HTTP_HOST": by.site.host,
        "HTTP_AUTHORIZATION": f"Bearer {by.token}",
        "REMOTE_ADDR": "192.0.2.7",
        "CONTENT_TYPE": "text/csv; charset=utf-8",
        "CONTENT_LENGTH": str(len(body) if length is None else length),
        "wsgi.input": io.BytesIO(body),
    }
    if key:
        environ["HTTP_IDEMPOTENCY_KEY"] = key
    line, headers, data = respond(stage.app, environ)
    assert isinstance(data, bytes)
    return Response(int(line[:3]), Headers(headers), data)


def outcomes(answer: Response) -> list[tuple[int, str]]:
    """(row, outcome) of a report."""
    return [(row["row"], row["outcome"]) for row in answer.data["rows"]]


def members(stage: Stage, site: Site) -> set[str]:
    """Addresses of the members of a site; the flag and the attribute must agree."""
    rows = stage.sql(
        """SELECT u.email, p.is_member, coalesce(a.boolean_value, false)
             FROM profiles p JOIN users u USING (user_id)
             LEFT JOIN attributes a ON a.site_id = p.site_id AND a.item_type_id = 3
                                   AND a.item_id = p.profile_id AND a.key = 'is_member'
            WHERE p.site_id = %(s)s""",
        s=site.id,
    )
    assert all(flag is attribute for _, flag, attribute in rows)
    return {address for address, flag, _ in rows if flag}


# ---------------------------------------------------------------- one user


def test_a_user_is_seen_by_themselves_and_the_owner(stage: Stage, site: Site) -> None:
    for by, id in ((site.member, site.member.user_id), (site.owner, site.member.id)):
        path = f"/users/{id}"
        answer = stage.get(path, by=by)
        assert answer.data["email"] == site.member.email
        assert answer.data["meta"]["links"][0]["href"] == f"/api/v1{path}"
    for other in (None, site.moderator, site.newcomer):
        assert stage.get(path, by=other, site=site).status == 403


def test_somebody_who_is_not_on_the_site_is_nobody(stage: Stage, site: Site) -> None:
    other = stage.make.site()
    for by in (site.owner, site.member, None):
        stage.get("/microcosms", by=by, site=site)
        foreign, none = (
            stage.get(f"/users/{id}", by=by, site=site) for id in (other.member.id, NEVER)
        )
        assert (foreign.status, foreign.body) == (none.status, none.body)
        assert (foreign.status, foreign.statements) == (403, none.statements)


def test_changing_a_user_is_not_built(stage: Stage, site: Site) -> None:
    path = f"/users/{site.member.id}"
    assert stage.request("PUT", path, {}, by=site.member).status == 501
    for by in (site.owner, site.newcomer, None):
        assert stage.request("PUT", path, {}, by=by, site=site).status == 403


# ---------------------------------------------------------------- adding users


def test_the_owner_adds_users(stage: Stage, site: Site) -> None:
    address = f"ana@{site.key}.example"
    body = [{"email": address}, {"email": site.member.email}, {"email": address.upper()}]

    answer = stage.post("/users", body, by=site.owner)

    assert [one["email"] for one in answer.data] == [address, site.member.email]
    new, known = answer.data
    assert known["id"] == site.member.id
    assert new["profileName"].startswith("user")
    assert new["meta"]["permissions"]["siteOwner"] is True
    again = stage.post("/users", body[:1], by=site.owner)
    assert again.data[0]["id"] == new["id"]
    audited = stage.sql(
        """SELECT item_type_id, action, profile_id, host(ip) FROM audit_log
            WHERE site_id = %(s)s AND (item_type_id, item_id) IN (
                  (14, (SELECT user_id FROM users WHERE email = %(e)s)), (3, %(p)s)) ORDER BY 1""",
        s=site.id,
        e=address.upper(),
        p=new["id"],
    )
    assert audited == [(3, "C", site.owner.id, "192.0.2.1"), (14, "C", site.owner.id, "192.0.2.1")]


def test_many_users_cost_what_one_costs(stage: Stage, site: Site) -> None:
    def added(count: int, tag: str) -> Response:
        body = [{"email": f"{tag}{n}@{site.key}.example"} for n in range(count)]
        return stage.post("/users", body, by=site.owner)

    added(1, "warm")
    one, many = added(1, "one"), added(60, "many")
    assert len(many.data) == 60
    # Their biographies would be one more, and none has one.
    assert many.statements == one.statements


def test_adding_is_for_the_owner_alone(stage: Stage, site: Site) -> None:
    for by in (None, site.member, site.moderator):
        assert stage.post("/users", [{"email": "a@b.example"}], by=by, site=site).status == 403
        body = [{"email": "a@b.example", "isMember": True}]
        assert stage.post("/users/batch", body, by=by, site=site).status == 403
    assert csv(stage, b"a@b.example,1", site.member).status == 403


@pytest.mark.parametrize(
    "body", [[], [{"email": "x"}], [{}], [{"email": "a@b.example"}] * 251, [{"email": 5}]]
)
def test_what_is_no_list_of_addresses_is_refused(stage: Stage, body: Any) -> None:
    assert stage.post("/users", body, by=stage.site.owner).status == 400


# ---------------------------------------------------------------- the batch


def test_a_batch_makes_people_and_members_and_once_more_changes_nothing(
    stage: Stage, site: Site
) -> None:
    new, old = f"new@{site.key}.example", site.member.email
    body = [
        {"email": new, "isMember": True},
        {"email": old, "isMember": True},
        {"email": site.newcomer.email, "isMember": False},
    ]
    plain = stage.post("/users/batch", body, by=site.owner)
    assert (plain.status, plain.data) == (200, None)
    assert members(stage, site) == {new, old}
    versions = stage.sql(
        "SELECT profile_id, version FROM profiles WHERE site_id = %(s)s ORDER BY 1", s=site.id
    )

    again = stage.post("/users/batch?report=true", body, by=site.owner)

    assert outcomes(again) == [(1, "unchanged"), (2, "unchanged"), (3, "unchanged")]
    assert (again.data["profiles"], again.data["invited"]) == (0, 0)
    assert versions == stage.sql(
        "SELECT profile_id, version FROM profiles WHERE site_id = %(s)s ORDER BY 1", s=site.id
    )
    body[1]["isMember"] = False
    assert outcomes(stage.post("/users/batch?report=1", body, by=site.owner))[1] == (2, "revoked")
    assert members(stage, site) == {new}
    # A flag that was taken does not stand in the way of granting it again.
    body[1]["isMember"] = True
    assert outcomes(stage.post("/users/batch?report=1", body, by=site.owner))[1] == (2, "granted")


def test_csv_in_every_shape_that_people_send(stage: Stage, site: Site) -> None:
    k = site.key
    body = (
        f"\ufeffa@{k}.example,true,further,columns\r\n"
        f'"Bo Ek <b@{k}.example>", 1\r'
        f"c@{k}.example,F\n"
        "\n"
        ",true\n"
        "d@x.example,\n"
        f'"Long\nname <e@{k}.example>",T\n'
        f"c@{k}.example,t"
    ).encode()

    answer = csv(stage, body, site.owner, "report=true")

    assert answer.status == 200, answer.body
    assert outcomes(answer) == [
        (1, "created"),
        (2, "created"),
        (3, "folded"),
        (8, "created"),
        (9, "created"),
    ]
    assert members(stage, site) == {f"{one}@{k}.example" for one in "abce"}


def test_each_wrong_row_is_named_and_nothing_is_changed(stage: Stage, site: Site) -> None:
    good = f"good@{site.key}.example"
    answer = csv(stage, f"{good},1\nnonsense,maybe\nx@y.example,2\n<>,true\n".encode(), site.owner)

    assert answer.status == 400
    assert answer.code == 4
    assert "3 of 4 rows" in answer.error
    assert [(one["row"], one["field"]) for one in answer.data["rows"]] == [
        (2, "email"),
        (2, "isMember"),
        (3, "isMember"),
        (4, "email"),
    ]
    assert not stage.sql("SELECT 1 FROM users WHERE email = %(e)s", e=good)

    body = [{"email": good, "isMember": True}, {"email": "a@b", "isMember": True}, {"email": good}]
    answer = stage.post("/users/batch", body, by=site.owner)
    assert answer.data["rows"] == [
        {"row": 2, "field": "email", "rule": "must be an e-mail address"},
        {"row": 3, "field": "isMember", "rule": "must be true or false"},
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b",\n",
        b"a@b.example",
        b"a@b.example,1\nb@c.example",
        b'a@b.example,1\n"b@c.example,1',
        b"a@b.example,\xff\xfe",
        b"a@b.example,1\x00",
        b"'; DROP TABLE users,true",
        b"a{b}@c.example\\,true",
    ],
)
def test_what_is_not_a_table_is_refused(stage: Stage, body: bytes) -> None:
    answer = csv(stage, body, stage.site.owner)
    assert answer.status == 400, answer.body


def test_a_batch_has_an_end(stage: Stage, site: Site) -> None:
    lines = b"".join(b"a%d@b.example,1\n" % n for n in range(10_001))
    answer = csv(stage, lines, site.owner)
    assert (answer.status, answer.code) == (400, 4)
    assert "10000" in answer.error
    assert csv(stage, b"a@b.example,1\n" * 80_000, site.owner).status == 413
    assert csv(stage, b"a@b.example,1\n", site.owner, length=2_000_000).status == 413
    assert csv(stage, b"a@b.example,1\n", site.owner, length=500).status == 400
    answer = stage.request("POST", "/users/batch", form={"email": "a@b.example"}, by=site.owner)
    assert (answer.status, answer.code) == (400, 1)


def test_rows_for_one_person_are_folded_and_the_last_counts(stage: Stage, site: Site) -> None:
    body = [
        {"email": "Jo.Hn+a@gmail.com", "isMember": True},
        {"email": "john@googlemail.com", "isMember": False},
    ]
    answer = stage.post("/users/batch?report=true", body, by=site.owner)
    assert outcomes(answer)[0] == (1, "folded")
    assert answer.data["folded"] == 1
    assert "john@googlemail.com" not in members(stage, site)


def test_nobody_gets_mail_unless_asked(stage: Stage, site: Site) -> None:
    def mails() -> list[str]:
        return [
            row[0]
            for row in stage.sql(
                "SELECT recipient FROM mail_outbox WHERE site_id = %(s)s ORDER BY 1", s=site.id
            )
        ]

    first = [{"email": f"quiet@{site.key}.example", "isMember": True}]
    stage.post("/users/batch", first, by=site.owner)
    stage.post("/users", [{"email": f"alsoquiet@{site.key}.example"}], by=site.owner)
    assert mails() == []

    both = [*first, {"email": f"told@{site.key}.example", "isMember": True}]
    answer = stage.post("/users/batch?invite=true&report=true", both, by=site.owner)
    assert answer.data["invited"] == 1
    stage.post("/users/batch?invite=true", both, by=site.owner)
    assert mails() == [f"told@{site.key}.example"]


@pytest.mark.wide
def test_a_large_batch_is_a_fixed_number_of_statements(stage: Stage, site: Site) -> None:
    def sent(count: int, tag: str) -> Response:
        lines = [f"{tag}{n}@{site.key}.example,{n % 2}\n" for n in range(count)]
        return csv(stage, "".join(lines).encode(), site.owner)

    sent(2, "warm")
    few, many = sent(2, "few"), sent(2_000, "many")
    assert many.status == 200, many.body
    assert many.statements == few.statements <= 14
    ((people, quiet),) = stage.sql(
        """SELECT (SELECT count(*) FROM profiles p
                     JOIN profile_counters c USING (site_id, profile_id)
                     JOIN profile_options o USING (site_id, profile_id) WHERE p.site_id = %(s)s),
                  (SELECT count(*) FROM event_log e
                    WHERE e.site_id = %(s)s AND e.item_type_id = 3 AND e.kind = 'created'
                      AND e.detail->>'import' = 'true')""",
        s=site.id,
    )
    assert people >= quiet == 2_004


def test_a_key_makes_a_csv_batch_happen_once(stage: Stage, site: Site) -> None:
    body = f"once@{site.key}.example,1\n".encode()
    assert csv(stage, body, site.owner, key="one-import").status == 200
    assert csv(stage, body, site.owner, key="one-import").status == 200
    other = csv(stage, body.replace(b"once", b"twice"), site.owner, key="one-import")
    assert other.status == 422


def test_a_taken_name_does_not_stop_a_batch(stage: Stage, site: Site) -> None:
    ((last,),) = stage.sql("SELECT max(profile_id) FROM profiles")
    stage.sql(
        """UPDATE profiles SET profile_name = 'user' || (%(n)s::bigint + 5831), version = version + 1
            WHERE site_id = %(s)s AND profile_id = %(p)s""",
        n=last,
        s=site.id,
        p=site.newcomer.id,
    )
    body = [{"email": f"n{n}@{site.key}.example", "isMember": True} for n in range(5)]
    answer = stage.post("/users/batch?report=true", body, by=site.owner)
    assert answer.data["profiles"] == 5


def test_a_name_taken_three_times_is_recorded_once(stage: Stage, site: Site) -> None:
    ((last,),) = stage.sql("SELECT nextval(pg_get_serial_sequence('profiles', 'profile_id'))")
    for number, one in enumerate((site.newcomer, site.member, site.moderator), 1):
        stage.sql(
            """UPDATE profiles SET profile_name = 'user' || (%(n)s::bigint + 5830), version = version + 1
                WHERE site_id = %(s)s AND profile_id = %(p)s""",
            n=last + number,
            s=site.id,
            p=one.id,
        )

    new = stage.post("/users", [{"email": f"third@{site.key}.example"}], by=site.owner).data[0]

    assert new["profileName"] != f"user{new['id'] + 5830}"
    recorded = stage.sql(
        """SELECT action, profile_id FROM audit_log
            WHERE site_id = %(s)s AND item_type_id = 3 AND item_id = %(p)s""",
        s=site.id,
        p=new["id"],
    )
    assert recorded == [("C", site.owner.id)]


@pytest.mark.wide
def test_two_batches_at_once_make_everybody_once(stage: Stage, site: Site) -> None:
    lines = [f"p{n}@{site.key}.example,1\n" for n in range(300)]
    bodies = ["".join(lines).encode(), "".join(reversed(lines)).encode()]
    statuses: list[int] = []

    def send(body: bytes) -> None:
        statuses.append(csv(stage, body, site.owner).status)

    threads = [threading.Thread(target=send, args=(body,)) for body in bodies * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 4
    assert len(members(stage, site)) == 300
