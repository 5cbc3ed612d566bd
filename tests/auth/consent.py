"""A client of a site, and the person who is asked about it: requests as both send them, over a socket."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from forumapi.models.access.access_token import PAGE, AccessToken
from tests.api import Api, Response
from tests.factories import Factory, Person, Site

CALLBACK = "https://client.example/back"
SCOPES = ("comments:read", "conversations:read", "conversations:write")


def verifier() -> str:
    """A PKCE verifier."""
    return secrets.token_urlsafe(48)


def challenge(text: str) -> str:
    """Return what S256 makes of a verifier."""
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def basic(name: str, password: str) -> dict[str, str]:
    """An HTTP Basic header."""
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def query_of(location: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def page_cookie(make: Factory, person: Person, site: Site | None = None) -> str:
    """The cookie of somebody who has signed in on a page."""
    with make.database.write() as tx:
        made = AccessToken.insert(
            tx,
            person.user_id,
            kind=PAGE,
            life_s=600,
            site_id=(site or person.site).id,
            scopes=[],
        )
    return made.secret


def form_key(page: Response) -> str:
    """The hidden text of a page's forms."""
    found = re.search(r'name="csrf" value="(\w+)"', page.body.decode())
    assert found, page.body[-1500:]
    return found[1]


def text_of(page: Response) -> str:
    """Return what a page says, without its tags."""
    body = page.body.decode().partition("<main>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@dataclass
class Client:
    """A registered client and its last PKCE verifier."""

    api: Api
    make: Factory
    site: Site
    id: int
    secret: str = ""
    scope: str = " ".join(SCOPES)
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=verifier)

    @classmethod
    def registered(
        cls,
        api: Api,
        make: Factory,
        site: Site,
        *,
        confidential: bool = False,
        scopes: Iterable[str] = SCOPES,
        **more: Any,
    ) -> Client:
        """A new client of a site."""
        body = {
            "name": "Reader & Co",
            "confidential": confidential,
            "redirectUris": [CALLBACK],
            "scopes": list(scopes),
            **more,
        }
        made = api.post("/api/v1/oauth/clients", body, by=site.owner)
        assert made.status == 200, made.body
        scope = " ".join(scopes)
        return cls(api, make, site, made.data["id"], made.data.get("secret", ""), scope)

    # ---------------------------------------------------------------- at the page

    def address(self, **changes: str | None) -> str:
        """The address that a person is sent to; None leaves a parameter out."""
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": str(self.id),
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": "st&te",
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        given = {name: value for name, value in asked.items() if value is not None}
        return f"/oauth/authorize?{urlencode(given)}"

    def open(self, address: str, cookie: str = "", site: Site | None = None) -> Response:
        """GET a page."""
        headers = {"Cookie": f"oauth={cookie}"} if cookie else {}
        return self.api.get(address, site=site or self.site, headers=headers)

    def submit(self, address: str, cookie: str, site: Site | None = None, **form: str) -> Response:
        """POST a form of a page; that of consent names the scopes that were shown."""
        if form.get("step") == "allow":
            form = {"scopes": self.scope, **form}
        return self.api.request(
            "POST",
            address,
            site=site or self.site,
            form=form,
            headers={"Cookie": f"oauth={cookie}"},
        )

    def decided(self, person: Person, step: str = "allow", **changes: str | None) -> str:
        """Return where somebody who has signed in is sent back to."""
        cookie = page_cookie(self.make, person, self.site)
        address = self.address(**changes)
        page = self.open(address, cookie)
        assert page.status == 200, page.body
        sent = self.submit(address, cookie, csrf=form_key(page), step=step)
        assert sent.status == 303, text_of(sent)
        return sent.location

    def code(self, person: Person, **changes: Any) -> str:
        """A code that somebody gave."""
        return query_of(self.decided(person, **changes))["code"]

    # ---------------------------------------------------------------- at the API

    def ask(
        self,
        what: str,
        headers: Any = None,
        site: Any = None,
        **form: str,
    ) -> Response:
        """POST to one of the client's addresses, by its own credentials unless a header is given."""
        if headers is None:
            form = {"client_id": str(self.id), **form}
            if self.secret:
                form = {"client_secret": self.secret, **form}
        return self.api.request(
            "POST",
            f"/api/v1/oauth/{what}",
            site=site or self.site,
            form={name: value for name, value in form.items() if value},
            headers=headers or {},
        )

    def redeem(self, code: str, **changes: str) -> Response:
        """Exchange a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            **changes,
        }
        return self.ask("token", **form)

    def tokens(self, person: Person) -> dict[str, Any]:
        """The tokens that somebody's leave gives."""
        answer = self.redeem(self.code(person))
        assert answer.status == 200, answer.body
        made: dict[str, Any] = answer.json()
        return made

    def refresh(self, token: str, **more: str) -> Response:
        """Exchange a refresh token."""
        return self.ask("token", grant_type="refresh_token", refresh_token=token, **more)

    def works(self, access: str, path: str = "/api/v1/conversations") -> bool:
        """Return whether an access token is good."""
        return self.api.get(path, site=self.site, token=access).status == 200
