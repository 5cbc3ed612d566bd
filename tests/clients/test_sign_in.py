"""Ways to a token on a real server: OAuth with PKCE, renewal in the middle of a list, and a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api import Api
from tests.auth.consent import CALLBACK, Client, form_key, page_cookie
from tests.clients.conftest import Local, Node
from tests.clients.stub import answer, stub
from tests.factories import Factory, Person, Site
from tests.fixtures import Server

pytestmark = [pytest.mark.wide, pytest.mark.slow]

SCOPES = ["comments:read", "conversations:read"]


def allow(registered: Client, person: Person, address: str) -> str:
    """Return where a person who allows it is sent back to, from the address that a client has made."""
    parts = urlsplit(address)
    path = f"{parts.path}?{parts.query}"
    cookie = page_cookie(registered.make, person)
    key = form_key(registered.open(path, cookie))
    sent = registered.submit(path, cookie, csrf=key, step="allow", scopes=" ".join(SCOPES))
    assert sent.status == 303, sent.body
    return sent.location


def let_in(registered: Client, person: Person, user_code: str) -> None:
    """Allow a device by its code."""
    cookie = page_cookie(registered.make, person)
    address = f"/oauth/device?user_code={user_code}"
    key = form_key(registered.open(address, cookie))
    form = {"csrf": key, "user_code": user_code}
    found = registered.submit(address, cookie, None, step="find", **form)
    form["csrf"] = form_key(found)
    done = registered.submit(
        address, cookie, None, step="allow", scopes="conversations:read", **form
    )
    assert done.status == 200, done.body


@pytest.fixture
def connect(package: Any, server: Server) -> Callable[[Site], Any]:
    """Makes clients that know the server's port, as its issuer has it."""

    def make(site: Site) -> Any:
        address = f"http://{site.host}:{server.address[1]}"
        return package.Client(address, transport=Local(server.address))

    return make


def test_pkce_gives_a_token_that_renews_itself(
    package: Any, connect: Any, api: Api, make: Factory
) -> None:
    site = make.site()
    for number in range(7):
        make.conversation(site, title=f"Number {number}")
    registered = Client.registered(api, make, site)
    client = connect(site)
    sign_in = package.PkceSignIn(client, registered.id, CALLBACK, SCOPES)
    back = allow(registered, site.member, sign_in.address)

    with pytest.raises(package.OAuthRefused, match="invalid_state"):
        package.PkceSignIn(client, registered.id, CALLBACK, SCOPES).finish(back)
    with pytest.raises(package.OAuthRefused, match="invalid_issuer"):
        sign_in.finish(back.replace("iss=http", "iss=gopher"))
    token = sign_in.finish(back)
    kept: list[str] = []
    token.changed = lambda changed: kept.append(changed.refresh_token)

    titles = []
    for place, one in enumerate(client.conversations.list(limit=5)):
        titles.append(one.title)
        if place == 0:
            make.sql(
                "UPDATE access_tokens SET expires = now() - interval '1 hour' WHERE site_id = %(id)s",
                id=site.id,
            )
    assert len(set(titles)) == 7
    assert kept == [token.refresh_token]

    # What the person did not grant is refused by its code.
    with pytest.raises(package.InsufficientScopeError):
        client.whoami.get()


def test_a_device_is_let_in_by_each_client(
    package: Any, connect: Any, node: Node, api: Api, make: Factory, server: Server
) -> None:
    site = make.site()
    registered = Client.registered(api, make, site, deviceFlow=True, redirectUris=[])
    client = connect(site)
    device = package.DeviceSignIn(client, registered.id, ["conversations:read"])
    assert device.user_code in device.verification_uri_complete
    let_in(registered, site.member, device.user_code)

    token = device.wait()

    assert client.token is token and list(client.conversations.list()) == []

    program = """
const site = new Client(given.address);
const device = await DeviceSignIn.begin(site, { clientId: given.id, scopes: ["conversations:read"] });
await fetch(`${given.let}?${device.userCode}`);
await device.wait();
return (await site.conversations.list()).conversations.total;
"""

    def script(request: Any) -> bytes:
        let_in(registered, site.member, request.target.partition("?")[2])
        return answer()

    with stub(script) as door:
        address = f"http://{site.host}:{server.address[1]}"
        total = node.run(program, address=address, id=registered.id, let=door.address)
    assert total == 0


def test_pkce_in_typescript(node: Node, api: Api, make: Factory, server: Server) -> None:
    site = make.site()
    chat = make.conversation(site)
    registered = Client.registered(api, make, site)

    def script(request: Any) -> bytes:
        back = allow(registered, site.member, request.body.decode())
        return answer(body=back.encode())

    program = """
const site = new Client(given.address);
const options = { clientId: given.id, redirectUri: given.callback, scopes: given.scopes };
const signIn = await PkceSignIn.begin(site, options);
const back = await (await fetch(given.person, { method: "POST", body: signIn.address })).text();
const later = await PkceSignIn.begin(site, options, { verifier: signIn.verifier, state: signIn.state });
let refused = "";
await (await PkceSignIn.begin(site, options)).finish(back).catch(error => { refused = error.error; });
const token = await later.finish(back);
const first = token.accessToken();
await Promise.all([token.renew(first), token.renew(first)]);
const found = await site.conversations.get(given.chat);
return [refused, found.id, token.accessToken() !== first];
"""
    with stub(script) as person:
        found = node.run(
            program,
            address=f"http://{site.host}:{server.address[1]}",
            id=registered.id,
            callback=CALLBACK,
            scopes=SCOPES,
            person=person.address,
            chat=chat.id,
        )
    assert found == ["invalid_state", chat.id, True]
