"""The provider against those who want what was not given: each attack is refused, and nothing leaks on the way."""

from __future__ import annotations

import threading

import pytest

from forumapi.errors import Unauthorized
from forumapi.handlers.access import oauth_pages
from forumapi.models.access.device_code import PENDING, DeviceCode
from forumapi.models.access.operator_application import OperatorApplication
from forumapi.models.people.ban import Ban
from tests.api import Api
from tests.auth.consent import (
    CALLBACK,
    Client,
    basic,
    challenge,
    form_key,
    page_cookie,
    query_of,
    text_of,
    verifier,
)
from tests.factories import Factory, Site


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.fixture
def client(api: Api, make: Factory, site: Site) -> Client:
    return Client.registered(api, make, site)


@pytest.fixture
def secretive(api: Api, make: Factory, site: Site) -> Client:
    return Client.registered(api, make, site, confidential=True)


# ---------------------------------------------------------------- open redirect


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/back",
        "https://client.example/back/",
        "https://client.example/back?x=1",
        "https://client.example/back#x",
        "https://client.example/back/../other",
        "https://client.example:444/back",
        "https://client.example@evil.example/back",
        "https://client.example.evil.example/back",
        "HTTPS://CLIENT.EXAMPLE/back",
        "http://client.example/back",
        "//client.example/back",
        "javascript:alert(1)",
        "",
    ],
)
def test_nobody_is_sent_where_the_client_is_not(
    make: Factory, client: Client, site: Site, uri: str
) -> None:
    cookie = page_cookie(make, site.member)

    for page in (
        client.open(client.address(redirect_uri=uri), cookie),
        client.submit(client.address(redirect_uri=uri), cookie, csrf="x", step="allow"),
    ):
        assert page.status == 400
        assert "Location" not in page.headers
        assert "can't be answered" in text_of(page)


def test_an_unknown_client_gets_nobody_sent_anywhere(client: Client) -> None:
    for id in ("0", "987654321", "x", "", f"0{client.id}", f" {client.id}", "9" * 30, None):
        page = client.open(client.address(client_id=id))
        assert (page.status, "Location" in page.headers) == (400, False), id


def test_a_request_parameter_that_comes_twice_is_refused(client: Client) -> None:
    page = client.open(f"{client.address()}&redirect_uri=https%3A%2F%2Fevil.example%2F")
    assert page.status == 400
    back = client.open(f"{client.address()}&code_challenge={challenge('x' * 43)}")
    assert query_of(back.location)["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "none"}, "unauthorized_client"),
        ({"response_type": "code token"}, "unauthorized_client"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "sites:write"}, "invalid_scope"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
def test_what_is_not_in_order_is_said_to_the_client(
    client: Client, changes: dict[str, str | None], error: str
) -> None:
    answer = client.open(client.address(**changes))

    assert answer.status == 303
    assert answer.location.startswith(f"{CALLBACK}?")
    told = query_of(answer.location)
    assert (told["error"], told["state"]) == (error, "st&te")
    assert told["iss"].startswith("http://site")


def test_a_state_that_is_too_long_is_said_to_the_client_and_not_sent_back(client: Client) -> None:
    answer = client.open(client.address(state="x" * 2001))

    assert answer.status == 303
    assert answer.location.startswith(f"{CALLBACK}?")
    told = query_of(answer.location)
    assert (told["error"], "state" in told) == ("invalid_request", False)
    assert told["error_description"] == "state may have at most 2000 characters"
    # The longest that is taken comes back whole, whatever else is wrong.
    longest = client.open(client.address(state="x" * 2000, scope="everything"))
    assert query_of(longest.location)["state"] == "x" * 2000


@pytest.mark.parametrize("value", ["", "x" * 2100, "é", " ", "\0", "a b", "%", "None"])
def test_whatever_a_request_holds_leads_to_the_client_or_nowhere(
    client: Client, value: str
) -> None:
    changed = ("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge")
    for parameter in (*changed, "code_challenge_method", "request", "prompt"):
        answer = client.open(client.address(**{parameter: value}))

        # Unlike the others, U+0000 is refused before any handler looks.
        if value == "\0" or parameter in ("client_id", "redirect_uri"):
            assert (answer.status, "Location" in answer.headers) == (400, False), parameter
        elif "Location" in answer.headers:
            assert answer.location.startswith(f"{CALLBACK}?"), parameter
            assert query_of(answer.location)["error"].isascii()
        else:
            assert answer.status == 200, parameter


def test_the_answer_stays_in_the_query(client: Client, site: Site) -> None:
    cookie = page_cookie(client.make, site.member)
    address = f"{client.address()}&response_mode=fragment"
    key = form_key(client.open(address, cookie))

    back = client.submit(address, cookie, csrf=key, step="allow")

    assert "#" not in back.location


# ---------------------------------------------------------------- codes


def test_a_code_is_good_once_and_the_second_use_ends_what_the_first_gave(
    client: Client, site: Site
) -> None:
    code = client.code(site.member)
    made = client.redeem(code).json()
    assert client.works(made["access_token"])

    again = client.redeem(code)

    assert (again.status, again.json()["error"]) == (400, "invalid_grant")
    assert not client.works(made["access_token"])
    assert client.refresh(made["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": verifier()},
        {"code_verifier": ""},
        {"code_verifier": "x" * 42},
        {"redirect_uri": "https://client.example/other"},
        {"redirect_uri": ""},
        {"code": "x" * 30},
        {"code": ""},
        {"grant_type": "openid"},
        {"grant_type": "password"},
        {"grant_type": "client_credentials"},
        {"grant_type": ""},
    ],
)
def test_a_code_without_its_proof_gives_nothing(
    client: Client, site: Site, changes: dict[str, str]
) -> None:
    code = client.code(site.member)

    answer = client.redeem(**{"code": code, **changes})

    assert answer.status == 400, answer.body
    assert "access_token" not in answer.json()


def test_a_code_is_used_up_by_a_wrong_proof(client: Client, site: Site) -> None:
    code = client.code(site.member)

    assert client.redeem(code, code_verifier=verifier()).status == 400
    assert client.redeem(code).status == 400


def test_the_challenge_itself_is_no_proof(client: Client, site: Site) -> None:
    """Return what whoever sees the request could send, were "plain" allowed."""
    code = client.code(site.member)

    assert client.redeem(code, code_verifier=challenge(client.verifier)).status == 400


def test_a_code_is_bound_to_its_client_and_stays_good_for_it(
    api: Api, make: Factory, client: Client, site: Site
) -> None:
    thief = Client.registered(api, make, site)
    code = client.code(site.member)
    thief.verifier = client.verifier

    assert thief.redeem(code).json()["error"] == "invalid_grant"
    assert client.redeem(code).status == 200


def test_a_code_that_is_too_old(make: Factory, client: Client, site: Site) -> None:
    code = client.code(site.member)
    make.sql(
        "UPDATE single_use SET expires = now() WHERE kind = 'oauth-code' AND site_id = %(s)s",
        s=site.id,
    )

    assert client.redeem(code).json()["error"] == "invalid_grant"


def test_a_code_is_redeemed_once_by_many_at_once(
    make: Factory, server: object, client: Client, site: Site
) -> None:
    code = client.code(site.member)
    statuses: list[int] = []

    def redeem() -> None:
        one = Client(
            Api(client.api.address, client.api.platform_domain),
            make,
            site,
            client.id,
            verifier=client.verifier,
        )
        statuses.append(one.redeem(code).status)

    threads = [threading.Thread(target=redeem) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses.count(200) <= 1
    assert set(statuses) <= {200, 400}


# ---------------------------------------------------------------- sites


def test_a_client_of_another_site_is_none_here(
    api: Api, make: Factory, client: Client, site: Site
) -> None:
    other = make.site()
    made = client.tokens(site.member)
    code = client.code(site.member)

    page = client.open(client.address(), site=other)
    never = client.open(client.address(client_id="987654321"), site=other)
    assert page.body == never.body
    assert page.status == never.status == 400
    answers = [
        client.ask(
            "token",
            site=other,
            grant_type="authorization_code",
            code=code,
            client_id=id,
            redirect_uri=CALLBACK,
            code_verifier=client.verifier,
        )
        for id in (str(client.id), "987654321")
    ]
    assert answers[0].body == answers[1].body
    assert answers[0].statements == answers[1].statements
    assert answers[0].status == 401
    # The token and the code are good where they were given, and nowhere else.
    assert api.get("/api/v1/conversations", site=other, token=made["access_token"]).status == 401
    assert client.works(made["access_token"])
    assert client.redeem(code).status == 200


def test_a_code_of_one_site_is_none_for_a_client_of_another(
    api: Api, make: Factory, client: Client, site: Site
) -> None:
    other = make.site()
    theirs = Client.registered(api, make, other)
    theirs.verifier = client.verifier
    code = client.code(site.member)

    assert theirs.redeem(code).json()["error"] == "invalid_grant"
    assert client.redeem(code).status == 200


def test_a_page_cookie_of_one_site_is_none_on_another(api: Api, make: Factory, site: Site) -> None:
    other = make.site()
    theirs = Client.registered(api, make, other)

    page = theirs.open(theirs.address(), page_cookie(make, site.member))

    assert "Sign in to" in text_of(page)


def test_each_site_names_itself_in_its_answers(
    api: Api, make: Factory, client: Client, site: Site
) -> None:
    other = make.site()
    theirs = Client.registered(api, make, other)

    issuers = {query_of(one.decided(one.site.member))["iss"] for one in (client, theirs)}

    assert len(issuers) == 2


# ---------------------------------------------------------------- refresh tokens


def test_a_refresh_token_that_comes_twice_ends_its_family(client: Client, site: Site) -> None:
    first = client.tokens(site.member)
    second = client.refresh(first["refresh_token"]).json()

    replay = client.refresh(first["refresh_token"])

    assert (replay.status, replay.json()["error"]) == (400, "invalid_grant")
    for token in (first["access_token"], second["access_token"]):
        assert not client.works(token)
    assert client.refresh(second["refresh_token"]).status == 400


def test_a_stolen_family_ends_alone(client: Client, site: Site) -> None:
    mine, other = client.tokens(site.member), client.tokens(site.newcomer)
    client.refresh(mine["refresh_token"])

    client.refresh(mine["refresh_token"])

    assert client.works(other["access_token"])


def test_a_refresh_never_widens(client: Client, site: Site) -> None:
    code = client.code(site.member, scope="comments:read")
    made = client.redeem(code).json()

    for scope in (client.scope, "conversations:read", "sites:write", "comments:read sites:write"):
        wider = client.refresh(made["refresh_token"], scope=scope)
        assert (wider.status, wider.json()["error"]) == (400, "invalid_scope"), scope
    assert client.refresh(made["refresh_token"]).json()["scope"] == "comments:read"


def test_a_scope_with_a_code_widens_nothing(client: Client, site: Site) -> None:
    code = client.code(site.member, scope="comments:read")

    assert client.redeem(code, scope=client.scope).json()["scope"] == "comments:read"


def test_a_refresh_token_of_another_client_is_none(
    api: Api, make: Factory, client: Client, site: Site
) -> None:
    thief = Client.registered(api, make, site)
    made = client.tokens(site.member)

    assert thief.refresh(made["refresh_token"]).json()["error"] == "invalid_grant"
    assert thief.ask("revoke", token=made["refresh_token"]).status == 200
    assert thief.ask("revoke", token=made["access_token"]).status == 200
    assert client.works(made["access_token"])
    assert client.refresh(made["refresh_token"]).status == 200


def test_inner_parameters_of_the_library_have_no_effect(client: Client, site: Site) -> None:
    code = client.code(site.member, scope="comments:read")

    made = client.redeem(
        code,
        scopes="sites:write",
        user=str(site.owner.user_id),
        client="x",
        extra_credentials="x",
    ).json()

    assert made["scope"] == "comments:read"


# ---------------------------------------------------------------- credentials


def test_a_confidential_client_must_prove_itself(
    secretive: Client, site: Site, client: Client
) -> None:
    code = secretive.code(site.member)
    good = secretive.secret

    for secret in ("", "wrong", good[:-1], client.secret):
        secretive.secret = secret
        answer = secretive.redeem(code)
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client"), secret
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    secretive.secret = good
    twice = secretive.ask(
        "token",
        headers=basic(str(secretive.id), good),
        client_secret=good,
        grant_type="refresh_token",
        refresh_token="x",
    )
    assert twice.status == 401
    other = secretive.ask(
        "token",
        headers=basic(str(secretive.id), good),
        client_id=str(client.id),
        grant_type="refresh_token",
        refresh_token="x",
    )
    assert other.status == 401
    assert secretive.redeem(code).status == 200


def test_a_public_client_can_not_have_a_secret(client: Client, site: Site) -> None:
    code = client.code(site.member)

    client.secret = "anything"

    assert client.redeem(code).status == 401


def test_a_public_client_learns_nothing_of_tokens(client: Client, site: Site) -> None:
    made = client.tokens(site.member)

    assert client.ask("introspect", token=made["access_token"]).json() == {"active": False}


def test_one_client_learns_nothing_of_the_tokens_of_another(
    secretive: Client, client: Client, site: Site
) -> None:
    made = client.tokens(site.member)

    assert secretive.ask("introspect", token=made["access_token"]).json() == {"active": False}


def test_the_secret_of_a_sites_client_is_none_of_an_application(
    make: Factory, secretive: Client
) -> None:
    tx = make.database.read()

    with pytest.raises(Unauthorized):
        OperatorApplication.check_secret(tx, secretive.secret)
    tx.end()


@pytest.mark.parametrize(
    "header", ["Basic", "Basic %%%", "Basic eA==", "Bearer x", "Basic //8=", "Digest x"]
)
def test_a_broken_header_is_a_refusal(client: Client, header: str) -> None:
    answer = client.ask("token", headers={"Authorization": header}, grant_type="refresh_token")

    assert (answer.status, answer.json()["error"]) in (
        (401, "invalid_client"),
        (400, "invalid_request"),
    )


# ---------------------------------------------------------------- people and clients that go


@pytest.mark.parametrize("by_domain", [False, True])
def test_a_banned_person_grants_nothing_and_what_they_granted_ends(
    make: Factory, secretive: Client, site: Site, by_domain: bool
) -> None:
    made = secretive.tokens(site.member)
    code = secretive.code(site.member)
    cookie = page_cookie(make, site.member)
    domain = f"{site.key}.example" if by_domain else ""
    if by_domain:
        make.sql(
            "UPDATE users SET email = %(email)s WHERE user_id = %(id)s",
            email=f"Member@mail.{domain}",
            id=site.member.user_id,
        )
    with make.database.write() as tx:
        banned = 0 if by_domain else site.member.user_id
        Ban.insert(tx, banned, domain=domain, site_id=site.id, display_reason="Enough")

    page = secretive.open(secretive.address(), cookie)
    assert (page.status, "Enough" in text_of(page)) == (403, True)
    pressed = secretive.submit(secretive.address(), cookie, csrf="x", step="allow")
    assert pressed.status in (400, 403)
    assert secretive.redeem(code).json()["error"] == "invalid_grant"
    assert not secretive.works(made["access_token"])
    assert secretive.ask("introspect", token=made["access_token"]).json() == {"active": False}
    assert secretive.refresh(made["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_deleted_client_takes_its_tokens_along(api: Api, client: Client, site: Site) -> None:
    made = client.tokens(site.member)
    code = client.code(site.member)

    assert api.delete(f"/api/v1/oauth/clients/{client.id}", by=site.owner).status == 200

    assert not client.works(made["access_token"])
    assert client.refresh(made["refresh_token"]).json()["error"] == "invalid_client"
    assert client.redeem(code).json()["error"] == "invalid_client"
    assert client.open(client.address()).status == 400


def test_a_client_that_may_less_now_loses_what_went_beyond(
    api: Api, client: Client, site: Site
) -> None:
    wide = client.tokens(site.member)
    narrow = client.redeem(client.code(site.member, scope="conversations:read")).json()
    code = client.code(site.newcomer)

    changed = api.put(
        f"/api/v1/oauth/clients/{client.id}",
        {"scopes": ["conversations:read"]},
        by=site.owner,
    )

    assert changed.status == 302
    assert not client.works(wide["access_token"])
    assert client.works(narrow["access_token"])
    assert client.redeem(code).json()["scope"] == "conversations:read"


# ---------------------------------------------------------------- forgery at the page


def test_a_form_without_the_key_of_this_page_does_nothing(
    make: Factory, client: Client, site: Site
) -> None:
    cookie = page_cookie(make, site.member)
    key = form_key(client.open(client.address(), cookie))
    others = form_key(client.open(client.address(), page_cookie(make, site.newcomer)))
    wider = client.address(scope="conversations:read", state="x")

    for address, given in (
        (client.address(), ""),
        (client.address(), "x"),
        (client.address(), others),
        (wider, key),
    ):
        answer = client.submit(address, cookie, csrf=given, step="allow")
        assert answer.status == 400
        assert "too old" in text_of(answer)
    # Without the cookie the key is worth nothing.
    answer = client.submit(client.address(), "", csrf=key, step="allow")
    assert answer.status == 400


def test_a_session_or_key_is_no_cookie(make: Factory, client: Client, site: Site) -> None:
    page = client.open(client.address(), site.member.token)

    assert "Sign in to" in text_of(page)


def test_signing_in_changes_the_cookie(make: Factory, client: Client, site: Site) -> None:
    """One that somebody else planted before is worth nothing after."""
    planted = "A" * 43
    page = client.open(client.address(), planted)
    client.submit(
        client.address(),
        planted,
        csrf=form_key(page),
        step="email",
        email=site.newcomer.email,
    )
    ((subject,),) = make.sql(
        "SELECT subject FROM mail_outbox WHERE recipient = %(to)s", to=site.newcomer.email
    )

    into = client.submit(
        client.address(),
        planted,
        csrf=form_key(page),
        step="code",
        email=site.newcomer.email,
        code=subject[:8],
    )

    assert into.status == 303
    assert planted not in into.headers["Set-Cookie"]
    assert "Sign in to" in text_of(client.open(client.address(), planted))


def test_names_can_not_carry_markup_onto_the_page(api: Api, make: Factory, site: Site) -> None:
    client = Client.registered(
        api, make, site, name="<script>x</script><b>Bold</b>", scopes=("comments:read",)
    )
    page = client.open(
        client.address(state='"><script>alert(1)</script>'), page_cookie(make, site.member)
    )

    assert page.status == 200
    assert b"<script" not in page.body and b"<b>" not in page.body


@pytest.mark.parametrize("step", ["find", "allow", "deny"])
def test_device_codes_can_not_be_guessed_at(api: Api, make: Factory, site: Site, step: str) -> None:
    device = Client.registered(api, make, site, deviceFlow=True, redirectUris=[])
    code = device.ask("device").json()["user_code"]
    guesser = make.person(site)
    cookie = page_cookie(make, guesser)
    page = device.open("/oauth/device", cookie)
    make.sql(
        """INSERT INTO attempt_counters (kind, subject, window_start, attempts)
           SELECT %(k)s, %(s)s, to_timestamp((floor(extract(epoch FROM now()) / 3600) + h) * 3600), %(n)s
             FROM generate_series(0, 1) AS h""",
        k=oauth_pages.CODES_PER_PERSON.kind,
        s=str(guesser.user_id),
        n=oauth_pages.CODES_PER_PERSON.most - 1,
    )

    wrong, right = (
        device.submit("/oauth/device", cookie, csrf=form_key(page), step=step, user_code=typed)
        for typed in ("BCDF-GHJK", code)
    )

    assert "no device with this code" in text_of(wrong)
    assert "Too many attempts" in text_of(right)
    with make.database.write() as tx:
        waiting = DeviceCode.find(tx, site.id, code)
    assert waiting is not None and waiting.state == PENDING


def test_a_device_code_of_another_client_is_none(api: Api, make: Factory, site: Site) -> None:
    mine, thief = (
        Client.registered(api, make, site, deviceFlow=True, redirectUris=[]) for _ in range(2)
    )
    asked = mine.ask("device").json()

    answer = thief.ask(
        "token",
        grant_type="urn:ietf:params:oauth:grant-type:device_code",
        device_code=asked["device_code"],
    )

    assert answer.json()["error"] == "invalid_grant"
