"""One request to the website: its visitor, the form that was sent, the API in the visitor's name, and the answers."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from forumapi.webclient import dates_and_numbers, languages, site_colours, template_environment
from forumapi.webclient.api import Api, Failure
from forumapi.webclient.session import GUEST, SESSION_DAYS, WebSession
from forumapi.webclient.text_form import Writing, comment_form
from forumapi.webclient.transport import Visitor
from forumapi.webclient.typed_number import typed_number

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage, MultiDict

    from forumapi.webclient.website import Website

# Header that names whose page an answer is: the id of their profile, 0 for a guest. The service worker reads it.
PERSON: Final = "Forumapi-Profile"
HTML: Final = "text/html; charset=utf-8"
# Purpose of sealed values, and seconds that they are good for.
FLOW: Final = ("flow", 900)
# Names that the API gives to those who have chosen none.
_GIVEN_NAME: Final = re.compile(r"user\d+(?:x\d+)?")


class Answer(NamedTuple):
    """Answer to a visitor. `headers`: (name, value) of each. `pieces`: body that is sent piece by piece, in place of
    `body`; None: `body` is sent.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    pieces: Iterable[bytes] | None = None


class Refused(Exception):
    """Refusal by the website itself, not by the API: HTTP status, and a translated text for the error page, "" for the
    text that the page has for the status.
    """

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class SignInFirst(Exception):
    """Refusal that leads to the sign-in page and back. `is_stale`: the visitor is signed in, but too long ago, and must
    sign in again.
    """

    def __init__(self, *, is_stale: bool = False) -> None:
        super().__init__(is_stale)
        self.is_stale = is_stale


class Visit:
    """One request of a visitor. Views read the Visit, call its `api`, and return the Answer of `page`, `redirect`,
    `send` or `json`.

    `query`: query parameters by name, the first value of each; `form` and `files`: fields and files of the sent form,
    None without one; `writing`: state of a refused form with a text, for the page that shows it again, None without
    one. `me` and `site` are read from the API when they are first asked for.
    """

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
        self.now = dates_and_numbers.now()
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
        self.api.is_for_script = self.wants_json

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies of the request by name. Reading them makes the page personal, so that no cache may share it."""
        self.is_personal = True
        return self._cookies

    # ------------------------------------------------------------ what the API says

    @cached_property
    def site(self) -> dict[str, Any]:
        """Site of this host as the API shows it, read once. Raises Failure if the API refuses the site, such as with
        404 on a host without a site, Moved for a site on another platform. None after `forget_site`, if it was not read
        before.
        """
        if self.session.token and "me" not in self.__dict__ and self.me is not None:
            known: dict[str, Any] = self.__dict__["site"]
            return known
        found: dict[str, Any] = self.api.get("/site")
        return found

    @cached_property
    def me(self) -> dict[str, Any] | None:
        """The visitor's own profile and account as `/whoami` shows them, read once together with `site`; None for
        guests. A session that the API no longer knows is ended as by `forget_session`; its visitor is a guest.

        Raises Failure for other refusals.
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
        """Return the document at `path` of the API with its list from the page's query parameter `offset` on. `asked`:
        further query parameters for the API.

        For an offset that the API refuses, as the list may have become shorter, the list's first page is returned.
        Raises Failure for other refusals.
        """
        try:
            found: dict[str, Any] = self.api.get(path, offset=self.query.get("offset"), **asked)
        except Failure as failure:
            if failure.status != 400 or not self.query.get("offset"):
                raise
            found = self.api.get(path, **asked)
        return found

    def named_moderators(self, microcosm: int) -> list[int]:
        """Return the ids of the profiles that own or moderate the microcosm with the id `microcosm`, ascending, 100 at
        most; [] for 0, on a site that names no moderators, and for a microcosm that the visitor may not read. Raises
        Failure for other refusals.
        """
        if not microcosm or not self.site.get("namesModerators"):
            return []
        try:
            found: list[int] = self.api.get(f"/microcosms/{microcosm}", limit=5)["moderators"]
        except Failure as failure:
            if failure.status not in (403, 404):
                raise
            return []
        return found

    @property
    def reactions(self) -> list[dict[str, Any]]:
        """Reactions that members can give on this site, in the site's order: `name`, by which the API knows it, and
        `text`, shown on pages, of each. Raises Failure as `site` does.
        """
        found: list[dict[str, Any]] = self.site["reactions"]
        return found

    def member(self) -> dict[str, Any]:
        """Return `me`, the visitor's own profile and account. Raises SignInFirst for guests, Failure if the API refuses
        to name the visitor.
        """
        if self.me is None:
            raise SignInFirst
        return self.me

    def fresh_member(self) -> dict[str, Any]:
        """Return `me`, the visitor's own profile and account. Raises SignInFirst for guests, and for people whose
        sign-in is 30 minutes ago or longer; Failure if the API refuses to name the visitor.
        """
        found = self.member()
        if not self.session.is_fresh:
            raise SignInFirst(is_stale=True)
        return found

    @property
    def is_unnamed(self) -> bool:
        """Return True if the visitor is a member who still has the name that the API gave to their profile. Raises
        Failure if the API refuses to name the visitor.
        """
        return self.me is not None and bool(_GIVEN_NAME.fullmatch(self.me["profileName"]))

    @property
    def base_url(self) -> str:
        """Scheme and host of the site's pages, without a trailing slash: `webUrl` of `site`; if the site has none, the
        host of this request, with https if the website is secure (`is_secure`), else http. Raises Failure as `site`
        does.
        """
        scheme = "https" if self.website.is_secure else "http"
        found: str = self.site.get("webUrl") or f"{scheme}://{self.host}"
        return found

    def be_guest(self) -> None:
        """Call the API as a guest from here on, even for a member, with `me` None, so that the answer is the same for
        everybody. The session's cookie stays in the browser.
        """
        self.session = GUEST
        self.api.token = ""
        self.__dict__["me"] = None

    def forget_site(self) -> None:
        """Set `site` and `me` to None unless they are known already, so that a page about an error asks the API for
        neither.
        """
        for name in ("site", "me"):
            self.__dict__.setdefault(name, None)

    # ------------------------------------------------------------ session and forms

    def begin_session(self, token: str) -> None:
        """Sign the visitor in: set a session cookie with this access token, and call the API with it from here on."""
        self.session = WebSession(token, int(time.time()))
        self.api.token = token
        self.__dict__.pop("me", None)
        value = self.website.seal.seal_session(self.host, self.session)
        self.set_cookie(self.website.session_cookie, value, SESSION_DAYS * 86_400)

    def forget_session(self) -> None:
        """Delete the session cookie and the browser's cached pages, and call the API as a guest from here on. The token
        stays valid.

        A request by a script deletes neither: its answer may come late, when the browser has a newer session.
        """
        self.be_guest()
        if self.environ.get("HTTP_SEC_FETCH_MODE", "navigate") != "navigate":
            return
        self.set_cookie(self.website.session_cookie, "", 0)
        # Pages that the browser keeps for its own sake go; those that the service worker keeps it drops itself.
        self._set.append(("Clear-Site-Data", '"cache"'))

    def set_cookie(self, name: str, value: str, age_s: int) -> None:
        """Set a cookie for this host, which no script can read, for `age_s` seconds; 0 deletes it. `value` is sent as
        it is, so that it must need no quoting.
        """
        secure = "; Secure" if self.website.is_secure else ""
        self._set.append(
            (
                "Set-Cookie",
                f"{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age_s}{secure}",
            )
        )

    @property
    def proof(self) -> str:
        """Token against forged requests (CSRF) for the page's forms: bound to the session, or to a guest's visitor
        cookie, which is set if it is missing. Reading it makes the page personal, so that no cache may share it.
        """
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
        """Check that a POST comes from a page of this host and port, by https if the website is secure (`is_secure`),
        by its header Origin, or without one by the form's field `proof`. Raises Refused with 403 if not.
        """
        origin = self.environ.get("HTTP_ORIGIN", "").lower()
        if origin:
            schemes = ("https",) if self.website.is_secure else ("http", "https")
            if origin in [f"{scheme}://{self.host}" for scheme in schemes]:
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
        r"""Return the first value of the field `name` of the sent form, its line ends as \n; `default` if the form
        lacks the field, and without a form.
        """
        value: str = default if self.form is None else self.form.get(name, default)
        return value.replace("\r\n", "\n")

    @property
    def address(self) -> str:
        """Path and query of this page, without what `done` reads, which its forms send as `back`."""
        asked = self.query_string.split("&")
        query = "&".join(one for one in asked if not one.startswith(("done=", "undo=")))
        return f"{self.path}?{query}" if query else self.path

    @property
    def done(self) -> tuple[str, str]:
        """Return what the form that led to this page has done, such as `hide`, and the path that undoes it, such as
        `/comments/7/moderate/`, "" for none, by the query parameters `done` and `undo`; ("", "") for a page that
        answers a form itself. A link that `undoing` did not make for this session, and for what was done, undoes
        nothing.
        """
        if self.form is not None:
            return "", ""
        do, sent = self.query.get("done", ""), self.query.get("undo", "")
        path = sent.partition(".")[0]
        is_own = secrets.compare_digest(sent.encode(), self.undoing(do, f"/{path}").encode())
        return do, f"/{path}/moderate/" if is_own else ""

    def undoing(self, do: str, path: str) -> str:
        """Return the value of the query parameter `undo` for a page that offers to undo what the visitor has just done,
        `do`, to the thing at `path`, such as `/comments/7`: good in this session alone.
        """
        proof = self.website.seal.proof(self.host, f"{self.session.token} {do} {path}")
        return f"{path.removeprefix('/')}.{proof}"

    def back(self, default: str = "/") -> str:
        """Return the address (path and query) of the page that a form was sent from, by the form's field `back`;
        `default` if the field is missing or no path of this host.
        """
        wanted = self.field("back")
        return wanted if is_own_path(wanted) else default

    def turn_to(self, address: str) -> None:
        """Turn this request into a GET of the page of the site at `address` (path and query): method, path and query
        change, the sent form stays.
        """
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
        """Return the contents of the form for a comment on the item or profile with the id `item`: the contents that
        were refused in this request, else the draft, else an empty form; in the latter two cases with the comment to
        answer or to quote that the query names as `reply` or `quote`. Raises Failure as `text_form.comment_form` does.

        `kind`: type of the item or profile, such as `conversation`. `has_draft` False: the API has said that there is
        no draft.
        """
        return comment_form(self, kind, item, has_draft=has_draft)

    @property
    def wants_json(self) -> bool:
        """Return True if the request accepts JSON, as those of the website's scripts do."""
        return "application/json" in str(self.environ.get("HTTP_ACCEPT", ""))

    def kept_fields(self) -> list[tuple[str, str]]:
        """Return (name, value) of each field of the sent form, without `proof`, for a form that sends them again; []
        for a form of sign-in or sign-out, and without a form.
        """
        if not self.sent_to or self.form is None or self.sent_to in ("/login/", "/logout/"):
            return []
        return [one for one in self.form.items(multi=True) if one[0] != "proof"]

    def lost_files(self) -> list[str]:
        """Return the names of the files that came with the form; a form that is sent again holds no files."""
        found = self.files.items(multi=True) if self.files is not None else ()
        return [one.filename for _, one in found if one.filename]

    def number(self, name: str) -> int:
        """Return the field `name` of the sent form as an integer from 0 on; 0 if the field is missing or holds anything
        else, also more than 18 digits.
        """
        return typed_number(self.field(name), 0)

    @cached_property
    def new_key(self) -> str:
        """Idempotency key for the forms of this page: the one that a refused form was sent with, else a new one. A form
        that is sent twice is carried out once. Reading it makes the page personal, so that no cache may share it.
        """
        self.is_personal = True
        sent = self.field("key")
        if sent.isascii() and sent.isprintable() and 0 < len(sent) <= 64:
            return sent
        return secrets.token_urlsafe(18)

    def seal(self, data: bytes) -> str:
        """Encrypt data that a later step of a flow (sign-in, second factor) needs; return a text that `unseal` reads
        for 15 minutes on this host.
        """
        return self.website.seal.close(FLOW[0], self.host, data)

    def unseal(self, text: str) -> bytes | None:
        """Return the data that `seal` has encrypted on this host, from the text that it returned; None for a forged
        text or one of another host, and 15 minutes after sealing.
        """
        return self.website.seal.open(FLOW[0], self.host, text, FLOW[1])

    # ------------------------------------------------------------ answers

    def page(
        self, template: str, *, status: int = 200, retry_after: int = 0, **values: Any
    ) -> Answer:
        """Answer with a rendered template, a file of webclient/templates, as an HTML page. `retry_after`: seconds for
        the header Retry-After, 0 for none; `values`: variables of the template besides those that `render` gives.
        Raises Failure as `render` does.
        """
        text = self.render(template, **values)
        headers = {PERSON: str(self.me["id"]) if self.me is not None else "0"}
        if retry_after:
            headers["Retry-After"] = str(retry_after)
        return self.send(text.encode(), HTML, status=status, headers=headers)

    def render(self, template: str, **values: Any) -> str:
        """Return the text of a template, a file of webclient/templates, rendered in the visitor's language, with
        `visit`, `site`, `me`, `theme` (address of the site's style sheet), `now` and `values`. Raises Failure, since
        `site` and `me` are read from the API.
        """
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
        """Answer with the body `data` of the Content-Type `kind`, and the cookies set so far. `headers`: further
        headers.
        """
        fields = [("Content-Type", kind), *(headers or {}).items(), *self._set]
        return Answer(status, fields, data)

    def json(self, value: Any, *, status: int = 200) -> Answer:
        """Answer a script of the website with `value` as JSON, which no cache keeps, and the cookies set so far."""
        data = msgspec.json.encode(value)
        return self.send(
            data, "application/json", status=status, headers={"Cache-Control": "no-store"}
        )

    def redirect(self, path: str, *, status: int = 303) -> Answer:
        """Answer with a redirect, 303 unless `status` says another, to `path` (with query and fragment) on this host,
        and the cookies set so far. Raises ValueError for a path that a browser could take for another host's.
        """
        return Answer(status, [("Location", own_path(path)), *self._set], b"")


def own_path(path: str) -> str:
    """Return a path of this host, with query, percent-encoded; what is encoded already stays. Raises ValueError for
    anything that `is_own_path` refuses.
    """
    if not is_own_path(path):
        raise ValueError(f"{path!r} may lead elsewhere")
    return quote(path, safe="/?&=#%+:,;@!$'()*~-._[]")


def is_own_path(path: str) -> bool:
    """Return True for a path, with or without a query, that every browser reads as one of the same host: one slash
    first, no backslash, no space or control character.
    """
    return (
        path.startswith("/")
        and not path.startswith("//")
        and "\\" not in path
        and all(character > " " and character != "\x7f" for character in path)
    )
