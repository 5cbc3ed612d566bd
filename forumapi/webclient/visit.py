"""One request to the website: its visitor, what was sent, calls of the API, and the answer with a page."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from forumapi.webclient import languages, site_colours, template_environment
from forumapi.webclient.api import Api, Failure
from forumapi.webclient.session import GUEST, SESSION_DAYS, WebSession
from forumapi.webclient.text_form import Writing, comment_form
from forumapi.webclient.transport import Visitor

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage, MultiDict

    from forumapi.webclient.website import Website

# Header that names whose page an answer is: the id of their profile, 0 for a guest. The service worker reads it.
PERSON: Final = "Forumapi-Profile"
HTML: Final = "text/html; charset=utf-8"
# Purpose of sealed values, and seconds that they are good for.
FLOW: Final = ("flow", 900)


class Answer(NamedTuple):
    """Answer to a visitor. `pieces`: a body that is sent piece by piece, in place of `body`."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    pieces: Iterable[bytes] | None = None


class Refused(Exception):
    """Refusal by the website itself: status, and a text for people (translated)."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class SignInFirst(Exception):
    """Refusal of what only members may do; the visitor signs in and comes back. `is_stale`: once more."""

    def __init__(self, *, is_stale: bool = False) -> None:
        super().__init__(is_stale)
        self.is_stale = is_stale


class Visit:
    """One request of a visitor. Handlers read it, call `api`, and return what `page`, `redirect` or `send` make."""

    def __init__(self, website: Website, environ: dict[str, Any]) -> None:
        self.website = website
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.host: str = environ.get("HTTP_HOST", "").lower()
        self.path: str = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        # The address can't be read.
        self.is_malformed = False
        self._ask(environ.get("QUERY_STRING", ""))
        self.language = languages.language(
            languages.choose(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        )
        self._cookies = website.cookies(environ)
        self.form: MultiDict[str, str] | None = None
        self.files: MultiDict[str, FileStorage] | None = None
        self.now = languages.now()
        # The page holds what is for this visitor alone, so that no cache may keep it.
        self.is_personal = False
        # Address that a form was sent to, and what stands in it when its page is shown again.
        self.sent_to: str = self.path if self.method == "POST" else ""
        self.writing: Writing | None = None
        # The page was made before, for another guest.
        self.is_kept = False
        self._set: list[tuple[str, str]] = []
        self.session: WebSession = website.seal.open_session(
            self.host, self._cookies.get(website.session_cookie, "")
        )
        self.api = Api(
            website.transport,
            Visitor(self.host, environ, website.address_of(environ)),
            self.session.token,
            website.call_headers(environ),
        )

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies of the request. A page that looks at them is for this visitor alone."""
        self.is_personal = True
        return self._cookies

    # ------------------------------------------------------------ what the API says

    @cached_property
    def site(self) -> dict[str, Any]:
        """Site of this host."""
        if self.session.token and "me" not in self.__dict__ and self.me is not None:
            known: dict[str, Any] = self.__dict__["site"]
            return known
        found: dict[str, Any] = self.api.get("/site")
        return found

    @cached_property
    def me(self) -> dict[str, Any] | None:
        """Own profile with the user; None for guests. A session that has ended is forgotten.

        The site comes with it.
        """
        if not self.session.token:
            return None
        try:
            found: dict[str, Any] = self.api.get("/whoami", site="true")
        except Failure as failure:
            if failure.status != 401:
                raise
            self.forget_session()
            return None
        self.__dict__["site"] = found.pop("site")
        return found

    def listed(self, path: str, **asked: Any) -> dict[str, Any]:
        """Return the document at `path` with the page of its list that the address names by `offset`.

        A list may have become shorter since the address was made: beyond its end, its first page is shown.
        """
        try:
            found: dict[str, Any] = self.api.get(path, offset=self.query.get("offset"), **asked)
        except Failure as failure:
            if failure.status != 400 or not self.query.get("offset"):
                raise
            found = self.api.get(path, **asked)
        return found

    @property
    def reactions(self) -> list[dict[str, Any]]:
        """Reactions that the site has, in its order: the name and text of each."""
        found: list[dict[str, Any]] = self.site["reactions"]
        return found

    def member(self) -> dict[str, Any]:
        """Return the own profile. Raises SignInFirst."""
        if self.me is None:
            raise SignInFirst
        return self.me

    def fresh_member(self) -> dict[str, Any]:
        """Return the own profile of a person who signed in within half an hour. Raises SignInFirst."""
        found = self.member()
        if not self.session.is_fresh:
            raise SignInFirst(is_stale=True)
        return found

    @property
    def base_url(self) -> str:
        """Return the one address of the site's pages, without a trailing slash: the API's word, else this host's."""
        scheme = "https" if self.website.is_secure else "http"
        found: str = self.site.get("webUrl") or f"{scheme}://{self.host}"
        return found

    def be_guest(self) -> None:
        """Ask the API as a guest from here on, whoever visits: the answer is for everybody."""
        self.session = GUEST
        self.api.token = ""
        self.__dict__["me"] = None

    def forget_site(self) -> None:
        """Show what is known of the site and no more, so that nothing is asked of an API that does not answer."""
        for name in ("site", "me"):
            self.__dict__.setdefault(name, None)

    # ------------------------------------------------------------ session and forms

    def begin_session(self, token: str) -> None:
        """Sign in: a new cookie with this token."""
        self.session = WebSession(token, int(time.time()))
        self.api.token = token
        self.__dict__.pop("me", None)
        value = self.website.seal.seal_session(self.host, self.session)
        self.set_cookie(self.website.session_cookie, value, SESSION_DAYS * 86_400)

    def forget_session(self) -> None:
        """Forget the session in the browser."""
        self.session = GUEST
        self.api.token = ""
        self.__dict__["me"] = None
        self.set_cookie(self.website.session_cookie, "", 0)
        # Pages that the browser keeps for its own sake go; those that the service worker keeps it drops itself.
        self._set.append(("Clear-Site-Data", '"cache"'))

    def set_cookie(self, name: str, value: str, age_s: int) -> None:
        """Set a cookie of this host alone, which no script can read."""
        secure = "; Secure" if self.website.is_secure else ""
        self._set.append(
            (
                "Set-Cookie",
                f"{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age_s}{secure}",
            )
        )

    @property
    def proof(self) -> str:
        """Token of the forms of this session; for guests of the visitor cookie, which is set here."""
        self.is_personal = True
        if self.session.token:
            return self.website.seal.proof(self.host, self.session.token)
        return self.website.seal.proof(self.host, self._visitor())

    def _visitor(self) -> str:
        name = self.website.visitor_cookie
        value = self.cookies.get(name, "")
        if len(value) != 32:
            value = self.cookies[name] = secrets.token_hex(16)
            self.set_cookie(name, value, 86_400)
        return value

    def check_origin(self) -> None:
        """Check that an unsafe request comes from a page of this host. Raises Refused."""
        origin = self.environ.get("HTTP_ORIGIN", "")
        if origin:
            if urlsplit(origin).netloc.lower() == self.host:
                return
        else:
            bound = self.session.token or self.cookies.get(self.website.visitor_cookie, "")
            sent = "" if self.form is None else self.form.get("proof", "")
            if bound and secrets.compare_digest(
                sent.encode(), self.website.seal.proof(self.host, bound).encode()
            ):
                return
        raise Refused(403, self.language.gettext("This form was not sent by a page of this site."))

    def field(self, name: str, default: str = "") -> str:
        """Return a field of the form that was sent, with line ends as the API has them."""
        value: str = default if self.form is None else self.form.get(name, default)
        return value.replace("\r\n", "\n")

    @property
    def address(self) -> str:
        """Path and query of the page, by which a form leads back to it."""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    def back(self, default: str = "/") -> str:
        """Return the page that a form was sent from, by its field `back`."""
        wanted = self.field("back")
        return wanted if is_own_path(wanted) else default

    def turn_to(self, address: str) -> None:
        """Go on as though another page of this site had been asked for."""
        path, _, query = address.partition("#")[0].partition("?")
        self.method, self.path = "GET", unquote(path)
        self._ask(query)

    def _ask(self, query: str) -> None:
        self.query_string = query
        self.query: dict[str, str] = {}
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
            self.query.update(reversed(pairs))
        except ValueError:
            self.is_malformed = True

    def comment_form(self, kind: str, item: int, *, has_draft: bool = True) -> Writing:
        """Return what stands in the form of a comment on something. Raises Failure.

        `has_draft` False: the API has said that there is none.
        """
        return comment_form(self, kind, item, has_draft=has_draft)

    @property
    def wants_json(self) -> bool:
        """Return True for a request of a script of ours, which reads JSON."""
        return "application/json" in str(self.environ.get("HTTP_ACCEPT", ""))

    def kept_fields(self) -> list[tuple[str, str]]:
        """Return the fields of the form that was sent, for a form that sends them again."""
        if not self.sent_to or self.form is None or self.sent_to in ("/login/", "/logout/"):
            return []
        return [one for one in self.form.items(multi=True) if one[0] != "proof"]

    def lost_files(self) -> list[str]:
        """Return the names of the files that came with the form: they have to be chosen again."""
        found = self.files.values() if self.files is not None else ()
        return [one.filename for one in found if one.filename]

    def number(self, name: str) -> int:
        """Return a field of the form that was sent as a whole number, 0 for none or what is none."""
        text = self.field(name)
        return int(text) if text.isdecimal() and len(text) < 19 else 0

    @cached_property
    def new_key(self) -> str:
        """Idempotency key for a form of this page, so that sending it twice does it once, also after a refusal."""
        self.is_personal = True
        sent = self.field("key")
        if sent.isascii() and sent.isprintable() and 0 < len(sent) <= 64:
            return sent
        return secrets.token_urlsafe(18)

    def seal(self, data: bytes) -> str:
        """Seal what a later step of a flow needs, good for a quarter of an hour on this host."""
        return self.website.seal.close(FLOW[0], self.host, data)

    def unseal(self, text: str) -> bytes | None:
        """Return what was sealed; None when it is forged or too old."""
        return self.website.seal.open(FLOW[0], self.host, text, FLOW[1])

    # ------------------------------------------------------------ answers

    def page(
        self, template: str, *, status: int = 200, retry_after: int = 0, **values: Any
    ) -> Answer:
        """Answer with a template, which knows `visit`, `site` and `me`. `retry_after`: seconds, told in a header."""
        text = self.render(template, **values)
        headers = {PERSON: str(self.me["id"]) if self.me is not None else "0"}
        if retry_after:
            headers["Retry-After"] = str(retry_after)
        return self.send(text.encode(), HTML, status=status, headers=headers)

    def render(self, template: str, **values: Any) -> str:
        """Render a template."""
        made = template_environment.environment(self.language.code).get_template(template)
        return made.render(
            visit=self,
            site=self.site,
            me=self.me,
            theme=site_colours.address(self.site),
            now=self.now,
            **values,
        )

    def send(
        self, data: bytes, kind: str, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Answer with bytes."""
        fields = [("Content-Type", kind), *(headers or {}).items(), *self._set]
        return Answer(status, fields, data)

    def json(self, value: Any, *, status: int = 200) -> Answer:
        """Answer a script of ours."""
        data = msgspec.json.encode(value)
        return self.send(
            data, "application/json", status=status, headers={"Cache-Control": "no-store"}
        )

    def redirect(self, path: str, *, status: int = 303) -> Answer:
        """Lead on to a page of this site. Raises ValueError for an address that may lead elsewhere."""
        return Answer(status, [("Location", own_path(path)), *self._set], b"")


def own_path(path: str) -> str:
    """Check that an address is a path of this host, quoted. Raises ValueError."""
    if not is_own_path(path):
        raise ValueError(f"{path!r} may lead elsewhere")
    return quote(path, safe="/?&=#%+:,;@!$'()*~-._[]")


def is_own_path(path: str) -> bool:
    """Return True for a path of the same host: one slash first, no backslash, no control characters."""
    return (
        path.startswith("/")
        and not path.startswith("//")
        and "\\" not in path
        and all(character > " " and character != "\x7f" for character in path)
    )
