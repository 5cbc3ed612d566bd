"""WSGI application of the website: finds the view for an address, serves kept pages, and makes pages about errors."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from werkzeug.exceptions import (
    ClientDisconnected,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)
from werkzeug.formparser import FormDataParser
from werkzeug.routing import RequestRedirect

from forumapi.observability.log import logger
from forumapi.webclient import routes, template_environment
from forumapi.webclient.api import AgreeFirst, Failure, Moved
from forumapi.webclient.guest_page_cache import MOST_AGE_S, KeptPage, KeptPages, Key
from forumapi.webclient.session import Seal
from forumapi.webclient.visit import HTML, Answer, Refused, SignInFirst, Visit

if TYPE_CHECKING:
    from forumapi.webclient.transport import ApiTransport

CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self';"
    " manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    ("Content-Security-Policy", CONTENT_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    # A form's Origin is not sent under `no-referrer`.
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
)
# Templates leave the position in the live stream out, so that a page can be kept without it.
NO_CURSOR: Final = b'data-cursor=""'
PRIVATE: Final = "private, no-cache"
PUBLIC: Final = "public, max-age=0, s-maxage=60"
# Largest body of a form without files; in a form with files, the largest of its other fields.
FORM_BYTES: Final = 1024 * 1024
# Codes of refusals that are no page.
CRAWLER_REFUSALS: Final = ("crawl_budget", "crawler_refused")
# Environ key of the visit under way, for `overdue`.
_VISIT: Final = "forumapi.webclient.visit"


class Website:
    """WSGI application: the website of every site that the API behind `transport` serves.

    `secrets`: the operator's, for `Seal`, one at least; the first one encrypts. `is_secure`: the sites are reached by
    https, so that cookies have the prefix `__Host-`. `address_of` finds a visitor's IP address in a WSGI environ. A
    request with files may hold `upload_limit` bytes and take `upload_timeout_s` seconds.
    """

    def __init__(
        self,
        transport: ApiTransport,
        secrets: Sequence[str],
        *,
        is_secure: bool,
        address_of: Callable[[dict[str, Any]], str],
        upload_limit: int,
        upload_timeout_s: float,
    ) -> None:
        self.transport = transport
        self.seal = Seal(secrets)
        self.is_secure = is_secure
        self.address_of = address_of
        self.kept = KeptPages()
        self.upload_limit = upload_limit
        self._upload_timeout_s = upload_timeout_s
        prefix = "__Host-" if is_secure else ""
        self.session_cookie = f"{prefix}session"
        self.visitor_cookie = f"{prefix}visitor"
        self.sign_in_cookie = f"{prefix}sign-in"
        self.mail_cookie = f"{prefix}mail-link"

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        answer = self.respond(environ)
        phrase = HTTPStatus(answer.status).phrase
        start_response(f"{answer.status} {phrase}", answer.headers)
        if answer.pieces is not None and environ["REQUEST_METHOD"] != "HEAD":
            return answer.pieces
        return (b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body,)

    def overdue(
        self, environ: dict[str, Any], start_response: Callable[..., Any], status: int
    ) -> Iterable[bytes]:
        """Answer a request whose time limit has passed with an error page of this status, without another call of the
        API: call `start_response` and return the body, as a WSGI application does.
        """
        visit: Visit = environ.get(_VISIT) or Visit(self, environ)
        visit.forget_site()
        answer = self._sealed(visit, self._refuse(visit, status))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers)
        return (b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body,)

    def respond(self, environ: dict[str, Any]) -> Answer:
        """Return the answer to one request. Raises no Exception: an unexpected one is logged with its traceback and
        answered with 500. The server's time limit, a BaseException, passes (`overdue`).
        """
        visit = environ[_VISIT] = Visit(self, environ)
        try:
            try:
                answer = self._attempt(visit)
            except Failure as failure:
                # The page that was to say so needed the API too.
                answer = self._refuse(visit, failure.status, failure=failure)
            except Moved as moved:
                # The page of a refusal asks the API too, which redirects all calls of a site that has moved away.
                answer = self._moved(visit, moved)
        except Exception:  # noqa: BLE001 - the edge: whatever it is, the visitor gets a page
            logger.exception("page failed: %s %s", visit.method, visit.path)
            visit.forget_site()
            answer = self._refuse(visit, 500)
        return self._sealed(visit, answer)

    def _attempt(self, visit: Visit) -> Answer:
        """Return a kept page or the view's answer; for a refusal, the page or redirect that it leads to. Raises Failure
        or Moved if such a page can't be made either, for want of the API.
        """
        try:
            answer = self._kept(visit) or self._answer(visit)
            self._keep(visit, answer)
            return answer
        except SignInFirst as need:
            return self._sign_in_first(visit, need)
        except AgreeFirst as need:
            return self._agree_first(visit, need)
        except Refused as refusal:
            return self._refuse(visit, refusal.status, text=refusal.text)
        except RequestEntityTooLarge:
            text = visit.language.gettext(
                "At most %(num)d MB can be sent at a time, and 1 MB without files."
            )
            limit = {"num": self.upload_limit // 1_000_000}
            return self._refuse(visit, 413, text=text % limit)
        except Moved as moved:
            return self._moved(visit, moved)
        except Failure as failure:
            return self._failed(visit, failure)

    def _answer(self, visit: Visit) -> Answer:
        if visit.is_malformed:
            raise Refused(400)
        adapter = routes.MAP.bind(visit.host or "localhost", path_info=visit.path)
        try:
            handler, args = adapter.match(method="GET")
        except RequestRedirect:
            # The only one: the same path with the slash that pages end with.
            query = f"?{visit.query_string}" if visit.query_string else ""
            return visit.redirect(f"{visit.path}/{query}", status=308)
        except (NotFound, MethodNotAllowed, HTTPException):
            return self._unknown(visit)
        if visit.method == "POST":
            if handler.takes_files and (clock := visit.environ.get("forumapi.time_limit")):
                clock(self._upload_timeout_s)
            self._read_form(visit, FORM_BYTES if not handler.takes_files else self.upload_limit)
        answer: Answer = handler().answer(visit, args)
        return answer

    def show_again(self, visit: Visit, address: str, status: int) -> Answer:
        """Answer a refused form with another page of the site, the one at `address`, which shows `visit.writing`;
        `status` replaces the page's 200. `visit` becomes a GET of that address. Raises what the page's view raises.
        """
        visit.turn_to(address)
        answer = self._answer(visit)
        return answer._replace(status=status) if answer.status == 200 else answer

    # ------------------------------------------------------------ pages that are kept

    def _key(self, visit: Visit) -> Key:
        kind = "json" if visit.wants_json else visit.language.code
        return (visit.host, visit.path, visit.query_string, kind)

    def _kept(self, visit: Visit) -> Answer | None:
        """Return the kept page for a guest's GET or HEAD once the API has confirmed that it is unchanged; else None.
        Raises Failure for 429 and from 500 on, Moved for 301.
        """
        if visit.method not in ("GET", "HEAD") or visit.session.token:
            return None
        found = self.kept.find(self._key(visit))
        if found is None or not visit.api.still_holds(found.calls):
            return None
        visit.is_kept = True
        return Answer(200, found.headers, found.body)

    def _keep(self, visit: Visit, answer: Answer) -> None:
        if (
            visit.is_kept
            # A form's page may be shown as though it had been opened.
            or visit.environ["REQUEST_METHOD"] not in ("GET", "HEAD")
            or visit.session.token
            or visit.is_personal
            or answer.status != 200
            or not visit.api.asked
            or any(name in ("Set-Cookie", "Vary") for name, _ in answer.headers)
        ):
            return
        good_until = time.monotonic() + min(visit.now.good_for_s, MOST_AGE_S)
        page = KeptPage.of(answer.headers, answer.body, tuple(visit.api.asked), good_until)
        self.kept.add(self._key(visit), page)

    def _read_form(self, visit: Visit, limit: int) -> None:
        """Set the visit's form and files. Raises Refused with 400 for a form that is cut off or malformed."""
        environ = dict(visit.environ)
        if environ.get("CONTENT_LENGTH"):
            # Only of an input that may not end by itself, the parser misses what did not come.
            environ.pop("wsgi.input_terminated", None)
        parser = FormDataParser(
            max_content_length=limit,
            max_form_memory_size=FORM_BYTES,
            max_form_parts=1000,
            silent=False,
        )
        try:
            _, visit.form, visit.files = parser.parse_from_environ(environ)
        except (ClientDisconnected, ValueError):
            raise Refused(400) from None

    def _unknown(self, visit: Visit) -> Answer:
        """Redirect a GET or HEAD of an address that no view has to the one that the API knows for it, such as an old
        forum's; without one, and for other methods, answer with a page of 404. Raises Failure for 429, from status 500
        on, and for a host that is no site of the platform; Moved for a site that has moved.
        """
        if visit.method in ("GET", "HEAD"):
            whole = f"{visit.path}?{visit.query_string}" if visit.query_string else visit.path
            try:
                found = visit.api.get("/resolve", url=whole)
            except Failure as failure:
                if failure.status == 429 or failure.status >= 500 or failure.code == 14:
                    raise
            else:
                if href := ((found or {}).get("redirect") or {}).get("href"):
                    if found["itemType"] == "attachment":
                        # The whole address of a file of this site, which no page shows.
                        address = urlsplit(href).path
                    else:
                        address = template_environment.page_address(href)
                    return visit.redirect(address, status=301)
        return self._refuse(visit, 404)

    # ------------------------------------------------------------ refusals

    def _moved(self, visit: Visit, moved: Moved) -> Answer:
        """Redirect to the site's new address (a form gets a page of 410), or from a page of a merged conversation to
        the one that holds it now; answer any other page that needs a merged conversation with a page of 404.
        """
        if "://" in moved.location:
            return self._moved_away(visit, moved.location)
        if not visit.path.startswith("/conversations/"):
            return self._refuse(visit, 404)
        path = template_environment.page_address(moved.location.partition("?")[0])
        return visit.redirect(path, status=301 if visit.method in ("GET", "HEAD") else 303)

    def _moved_away(self, visit: Visit, location: str) -> Answer:
        """Redirect to the same page of the site on the platform to which the site has moved; answer a form, or any
        other request but GET and HEAD, with a page of 410. `location`: any whole address of the site on that platform.
        """
        # Of a form that needs a sign-in, `visit` has become a GET.
        if visit.environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            visit.forget_site()
            return self._refuse(visit, 410)
        there = urlsplit(location)
        # Encoded, since browsers take a backslash for a slash.
        path = quote(visit.path) + (f"?{visit.query_string}" if visit.query_string else "")
        return Answer(301, [("Location", f"{there.scheme}://{there.netloc}{path}")], b"")

    def _sign_in_first(self, visit: Visit, need: SignInFirst) -> Answer:
        if visit.sent_to:
            visit.method, visit.path = "POST", visit.sent_to
        if visit.method in ("GET", "HEAD"):
            whole = f"{visit.path}?{visit.query_string}" if visit.query_string else visit.path
            asked = {"next": whole, **({"again": "1"} if need.is_stale else {})}
            return visit.redirect(f"/login/?{urlencode(asked, quote_via=quote)}")
        from forumapi.webclient.handlers.access.sign_in import SignInView

        # What was typed goes with the visitor through the sign-in.
        return SignInView().interrupted(visit, is_stale=need.is_stale)

    def _agree_first(self, visit: Visit, need: AgreeFirst) -> Answer:
        """Answer a write that needs the visitor's consent with the page on which they agree, 403, which carries what
        was typed. Raises Failure or Moved if that page can't be made for want of the API.
        """
        from forumapi.webclient.handlers.people.consents import AgreeView

        return AgreeView().interrupted(visit, need.text)

    def _failed(self, visit: Visit, failure: Failure) -> Answer:
        if failure.status == 401 and visit.session.token:
            visit.forget_session()
            if not visit.sent_to:
                return self._as_guest(visit)
            return self._sign_in_first(visit, SignInFirst())
        if failure.data.get("code") in CRAWLER_REFUSALS:
            # As cheap as can be: there are many of these at a time.
            fields = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
            if failure.retry_after:
                fields.append(("Retry-After", str(failure.retry_after)))
            return Answer(failure.status, fields, f"{failure.detail}\n".encode())
        is_guest = not visit.session.token
        if failure.status == 403 and is_guest and visit.sent_to and failure.code != 13:
            return self._sign_in_first(visit, SignInFirst())
        return self._refuse(visit, failure.status, failure=failure)

    def _as_guest(self, visit: Visit) -> Answer:
        """Answer again, as to a guest, a visitor whose session the API no longer knows: public pages stay readable, and
        others lead to the sign-in page or an error page. Raises Failure or Moved if such a page can't be made for want
        of the API.
        """
        visit.is_personal = True
        visit.__dict__.pop("site", None)
        try:
            return self._answer(visit)
        except SignInFirst as need:
            return self._sign_in_first(visit, need)
        except Refused as refusal:
            return self._refuse(visit, refusal.status, text=refusal.text)
        except Moved as moved:
            return self._moved(visit, moved)
        except Failure as failure:
            return self._failed(visit, failure)

    def _refuse(
        self, visit: Visit, status: int, *, text: str = "", failure: Failure | None = None
    ) -> Answer:
        """Return an error page with this status. `text`: translated reason of the website; `failure`: the API's
        refusal, whose reason is shown; without either ("" and None) the page has a text for the status.

        On a host that is no site of the platform the status becomes 404. There, and wherever else the API does not show
        the site, the page is made without it. Raises neither Failure nor Moved.
        """
        # An API that did not answer is not asked again.
        if failure is not None and failure.is_unreachable:
            visit.forget_site()
        site: dict[str, Any] | None = None
        me: dict[str, Any] | None = None
        try:
            site, me = visit.site, visit.me
        except Failure as again:
            if again.code == 14:
                status, failure = 404, again
        except Moved:
            # The site has moved to another platform; a page about it is made without it.
            visit.forget_site()
        made = template_environment.environment(visit.language.code).get_template("error.html")
        page = made.render(
            visit=visit,
            site=site,
            me=me,
            now=visit.now,
            status=status,
            text=text,
            failure=failure,
            typed=self._typed(visit, failure, status),
        )
        seconds = failure.retry_after if failure is not None else 0
        if status == 503:
            seconds = seconds or 5
        headers = {"Retry-After": str(seconds)} if seconds else {}
        return visit.send(page.encode(), HTML, status=status, headers=headers)

    def _typed(self, visit: Visit, failure: Failure | None, status: int) -> list[tuple[str, str]]:
        """Return (name, value) of each field of the sent form but `proof`, with which the error page offers to send the
        form again; [] without a form, for the one of sign-out, and if the website itself refused the form (`failure`
        None) with another status than 429, 502 and 503, such as a form of another host's page.
        """
        if failure is None and status not in (429, 502, 503):
            return []
        if visit.sent_to == "/login/" and visit.form is not None:
            # A sign-in carries what was typed before it.
            return [one for one in visit.form.items(multi=True) if one[0] != "proof"]
        return visit.kept_fields()

    # ------------------------------------------------------------ what every answer has

    def _sealed(self, visit: Visit, answer: Answer) -> Answer:
        headers = dict(answer.headers)
        fields = [*answer.headers, *HEADERS]
        if visit.api.robots:
            fields.append(("X-Robots-Tag", visit.api.robots))
        if answer.pieces is not None:
            if self.is_secure:
                fields.append(("Strict-Transport-Security", "max-age=31536000"))
            return Answer(answer.status, fields, b"", answer.pieces)
        body = followed = answer.body
        status = answer.status
        # A form may have been answered with the page that it was sent from.
        method = visit.environ["REQUEST_METHOD"]
        # Nothing is followed on a page that says why there is none.
        if status < 400 or method == "POST":
            cursor = f'data-cursor="{visit.api.live_cursor}"'.encode()
            followed = body.replace(NO_CURSOR, cursor, 1)
        sets_cookies = "Set-Cookie" in headers
        if self.is_secure:
            fields.append(("Strict-Transport-Security", "max-age=31536000"))
        if "Cache-Control" not in headers:
            is_public = (
                status == 200
                and not visit.session.token
                and not sets_cookies
                and not visit.is_personal
                and not visit.api.failed
                and method != "POST"
            )
            fields.append(("Cache-Control", PUBLIC if is_public else PRIVATE))
            fields.append(("Vary", "Cookie, Accept-Language"))
        if status == 200 and method in ("GET", "HEAD") and not sets_cookies:
            etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            # The position in the live stream is another text each time: a page with an older one is as good.
            fields.append(("ETag", etag if followed == body else f"W/{etag}"))
            if etag in visit.environ.get("HTTP_IF_NONE_MATCH", ""):
                return Answer(304, [one for one in fields if one[0] != "Content-Type"], b"")
        if status not in (204, 304):
            fields.append(("Content-Length", str(len(followed))))
        return Answer(status, fields, followed)

    def cookies(self, environ: dict[str, Any]) -> dict[str, str]:
        """Return the cookies of a request by name; {} for a header that can't be parsed."""
        text = environ.get("HTTP_COOKIE", "")
        if not text:
            return {}
        try:
            return {name: morsel.value for name, morsel in SimpleCookie(text).items()}
        except CookieError:
            return {}

    def call_headers(self, environ: dict[str, Any]) -> dict[str, str]:
        """Return the headers of a visitor's request that all calls of the API pass on, by name: User-Agent and
        X-Request-Id, each unless it is empty or holds anything but printable ASCII.
        """
        known = (("User-Agent", "HTTP_USER_AGENT"), ("X-Request-Id", "HTTP_X_REQUEST_ID"))
        found = {name: environ.get(key, "") for name, key in known}
        return {
            name: text
            for name, text in found.items()
            if text and text.isascii() and text.isprintable()
        }
