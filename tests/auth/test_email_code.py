"""Signing in with a code by e-mail: the two steps, what they don't tell, and their limits."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from forumapi.auth import email_code
from forumapi.models.sites.site_cache import SiteCache
from tests.api import Response
from tests.services import wait_until
from tests.stage import Stage, new_address, staged

_numbers = iter(range(1, 10_000))


def fresh() -> str:
    """An address that nobody has used."""
    return f"walker{next(_numbers)}@code.test"


def ask(stage: Stage, email: str, ip: str = "", **more: str) -> Response:
    """Step one, or with `code` step two."""
    body = {"method": "email-code", "email": email, **more}
    return stage.post("/auth", body, ip=ip or new_address())


def newest_mail(stage: Stage, email: str) -> str:
    """The newest mail to `email`."""

    def mine() -> list[str]:
        return [mail for mail in stage.mails() if f"To: {email}\n" in mail]

    # Another process on the database may be sending it.
    wait_until(lambda: bool(mine()), f"no mail to {email}")
    return mine()[-1]


def code_of(stage: Stage, email: str) -> str:
    """The digits of the newest mail to `email`."""
    found = re.search(r"^ +(\d{4}) (\d{4})$", newest_mail(stage, email), re.MULTILINE)
    assert found is not None
    return found[1] + found[2]


def test_a_code_signs_in_and_makes_user_and_profile(stage: Stage) -> None:
    email = fresh()
    asked = ask(stage, email)
    assert (asked.status, asked.data) == (200, None)

    answer = ask(stage, email, code=code_of(stage, email))

    assert answer.status == 200
    assert re.fullmatch(r"fapi[a-zA-Z0-9]{124}", answer.data)
    me = stage.get("/whoami", token=answer.data)
    assert (me.status, me.data["email"]) == (200, email)
    assert me.data["profileName"] == f"user{me.data['userId'] + 5830}"
    assert me.headers["Cache-Control"] == "no-cache, max-age=0"


def test_the_digits_may_be_typed_with_spaces(stage: Stage) -> None:
    email = fresh()
    ask(stage, email)
    code = code_of(stage, email)
    assert ask(stage, email, code=f" {code[:4]} {code[4:]} ").status == 200


def test_a_code_is_good_for_one_sign_in(stage: Stage) -> None:
    email = fresh()
    ask(stage, email)
    code = code_of(stage, email)
    assert ask(stage, email, code=code).status == 200
    again = ask(stage, email, code=code)
    assert (again.status, again.json()["data"]) == (401, None)


def test_a_code_that_the_release_before_sent_signs_in(stage: Stage) -> None:
    email = fresh()
    ask(stage, email)
    stage.sql(
        "UPDATE single_use SET payload = '{}' WHERE kind = 'email-code' AND expires > now() RETURNING 1"
    )

    assert ask(stage, email, code="00000000").status == 401
    assert ask(stage, email, code=code_of(stage, email)).status == 200


def test_of_two_sign_ins_at_once_one_gets_the_code(stage: Stage) -> None:
    email = fresh()
    ask(stage, email)
    code = code_of(stage, email)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(stage, email, code=code).status, range(4)))
    assert sorted(answers) == [200, 401, 401, 401]


def test_the_answer_does_not_tell_whether_an_address_is_known(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No thread polls here: each request a second after the last one would ask for the site's versions.
    monkeypatch.setattr(SiteCache, "STALE_S", 60.0)
    known, unknown = stage.site.member.email, fresh()
    first, second = ask(stage, known), ask(stage, unknown)
    assert (first.status, first.body) == (second.status, second.body)
    assert first.statements == second.statements
    wrong = [ask(stage, email, code="00000000") for email in (known, unknown, fresh())]
    assert len({(one.status, one.body) for one in wrong}) == 1
    assert wrong[0].status == 401


def test_a_code_of_one_site_or_address_is_no_good_on_another(stage: Stage) -> None:
    email, other = fresh(), stage.make.site()
    ask(stage, email)
    code = code_of(stage, email)
    elsewhere = {"method": "email-code", "email": email, "code": code}
    assert stage.post("/auth", elsewhere, site=other, ip=new_address()).status == 401
    assert ask(stage, fresh(), code=code).status == 401
    assert ask(stage, email, code=code).status == 200


def test_an_address_in_capitals_is_the_same_address(stage: Stage) -> None:
    email = fresh()
    ask(stage, email)
    assert ask(stage, email.upper(), code=code_of(stage, email)).status == 200


def test_a_code_is_worth_nothing_after_five_wrong_tries(stage: Stage) -> None:
    email, ip = fresh(), new_address()
    ask(stage, email, ip)
    code = code_of(stage, email)
    wrong = "11111111" if code != "11111111" else "22222222"
    assert [ask(stage, email, ip, code=wrong).status for _ in range(email_code.TRIES)] == [401] * 5
    assert ask(stage, email, ip, code=code).status == 401


def test_a_code_runs_out(stage: Stage) -> None:
    email = fresh()
    ask(stage, email)
    code = code_of(stage, email)
    stage.sql(
        "UPDATE single_use SET expires = now() - interval '1 second' WHERE subject = %(s)s", s=email
    )
    assert ask(stage, email, code=code).status == 401


def test_only_hashes_of_codes_are_kept_and_a_sent_mail_forgets_its_text(stage: Stage) -> None:
    email = fresh()
    ask(stage, email)
    code = code_of(stage, email)
    rows = stage.sql("SELECT s::text FROM single_use s WHERE s.subject = %(s)s", s=email)
    assert len(rows) == 2
    assert not any(code in row for (row,) in rows)
    ((state, text),) = stage.sql(
        "SELECT state, text_body FROM mail_outbox WHERE recipient = %(s)s", s=email
    )
    assert (state, text) == ("sent", "")


@pytest.mark.usefixtures("within_one_hour")
def test_codes_sent_to_an_address_are_limited(stage: Stage) -> None:
    email = fresh()
    most = email_code.SENDS_PER_EMAIL.most
    assert [ask(stage, email).status for _ in range(most)] == [200] * most
    refused = ask(stage, email)
    assert (refused.status, refused.json()["data"]) == (429, None)
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    # The limit is the address's, however it is written, and on every site.
    other = stage.make.site()
    body = {"method": "email-code", "email": email.upper()}
    assert stage.post("/auth", body, site=other, ip=new_address()).status == 429


@pytest.mark.usefixtures("within_one_hour")
def test_codes_asked_for_from_one_place_are_limited(stage: Stage) -> None:
    most = email_code.SENDS_PER_CLIENT_ADDRESS.most
    stage.sql(
        """INSERT INTO attempt_counters (kind, subject, window_start, attempts)
           SELECT %(k)s, '2001:db8:1:2::/64', to_timestamp(floor(extract(epoch FROM now()) / 3600) * 3600), %(n)s""",
        k=email_code.SENDS_PER_CLIENT_ADDRESS.kind,
        n=most,
    )
    assert ask(stage, fresh(), ip="2001:db8:1:2:aaaa::1").status == 429
    assert ask(stage, fresh(), ip="2001:db8:1:2:bbbb::9").status == 429
    assert ask(stage, fresh(), ip="2001:db8:1:3::1").status == 200


@pytest.mark.usefixtures("within_one_hour")
def test_tries_at_codes_are_limited_per_address_and_per_place(stage: Stage) -> None:
    email, ip = fresh(), new_address()
    for limit, subject in (
        (email_code.TRIES_PER_EMAIL, email),
        (email_code.TRIES_PER_CLIENT_ADDRESS, ip),
    ):
        stage.sql(
            """INSERT INTO attempt_counters (kind, subject, window_start, attempts)
               SELECT %(k)s, %(s)s, to_timestamp(floor(extract(epoch FROM now()) / 3600) * 3600), %(n)s""",
            k=limit.kind,
            s=subject,
            n=limit.most,
        )
    assert ask(stage, email, code="12345678").status == 429
    assert ask(stage, fresh(), ip=ip, code="12345678").status == 429
    assert ask(stage, fresh(), code="12345678").status == 401


def test_a_bad_address_is_refused_by_name(stage: Stage) -> None:
    for bad in ("", "nobody", "a@b@c.test", "a b@c.test", "x@y.test\r\nBcc: z@y.test"):
        answer = ask(stage, bad)
        assert answer.status == 400, bad
        assert answer.json()["error"][0].startswith("email: ")


def test_a_site_may_switch_it_off(stage: Stage) -> None:
    site = stage.make.site()
    stage.sql(
        "INSERT INTO site_auth_backends (site_id, name, is_enabled) VALUES (%(s)s, 'email-code', false)",
        s=site.id,
    )
    body = {"method": "email-code", "email": fresh()}
    assert stage.post("/auth", body, site=site, ip=new_address()).status == 501


def test_it_needs_somewhere_to_send_mail_to(database_url: str, tmp_path: Path) -> None:
    with staged(database_url, tmp_path, environment="prod") as stage:
        assert ask(stage, fresh()).status == 501


def test_gmails_spellings_of_an_address_are_one_person_and_others_are_not(stage: Stage) -> None:
    number = next(_numbers)
    ids = {}
    for email in (f"jo.rider{number}@gmail.com", f"jorider{number}+x@googlemail.com"):
        ask(stage, email)
        token = ask(stage, email, code=code_of(stage, email)).data
        ids[email] = stage.get("/whoami", token=token).data["userId"]
    assert len(set(ids.values())) == 1
    for email in (f"jo.rider{number}@yahoo.fr", f"jorider{number}@yahoo.com"):
        ask(stage, email)
        token = ask(stage, email, code=code_of(stage, email)).data
        ids[email] = stage.get("/whoami", token=token).data["userId"]
    assert len(set(ids.values())) == 3


def test_what_signing_in_asks_of_the_database(stage: Stage) -> None:
    tries = []
    # What is known of the site holds for a second, which may end here: then it is asked for, too.
    for _ in range(3):
        email, counts = fresh(), []
        for _ in ("a new user", "a known one"):
            counts.append(ask(stage, email).statements)
            counts.append(ask(stage, email, code=code_of(stage, email)).statements)
        tries.append(counts)
    assert [min(each) for each in zip(*tries, strict=True)] == [5, 17, 5, 12]
