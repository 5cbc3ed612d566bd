"""HTML pages on which a person signs in and consents to what an OAuth client or a device may do. Wire:
docs/api/oauth.md.

A person at these pages is identified by a cookie alone (`auth.engine_page_session`), never by a bearer token. The
request of the client is in the page's URL, which the forms' CSRF key covers; it is validated anew with every form.
"""

from __future__ import annotations

import hmac
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from markupsafe import Markup
from msgspec import UNSET, Struct, UnsetType
from werkzeug.http import dump_cookie, parse_cookie

from forumapi.agents import tools
from forumapi.auth import backends, client_metadata, email_code, engine_page_session, sign_in
from forumapi.auth.backends import Browser, SignIn, Verified
from forumapi.auth.client_metadata import ClientDocument, RefusedClientError
from forumapi.auth.oauth_provider import AuthorizationRequest
from forumapi.auth.sign_in import SecondFactorNeeded
from forumapi.errors import ApiError, TooMany
from forumapi.handlers.access.oauth import provider
from forumapi.models.access import rate_counters
from forumapi.models.access.access_token import AGENTS
from forumapi.models.access.device_code import DeviceCode
from forumapi.models.access.identity import Identity
from forumapi.models.access.oauth_client import OAuthClient
from forumapi.models.access.oauth_grant import active_profile
from forumapi.models.access.rate_counters import Limit
from forumapi.request.answers import html_answers
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, Param, needs
from forumapi.request.handler_results import RawResponse, Result
from forumapi.wire import html_pages, scopes
from forumapi.wire.body import given

# Typing other people's codes is not for guessing at. Whoever lets a device in names its code twice.
CODES_PER_PERSON: Final = Limit("oauth-device-person", 60, 3600)


class Form(Struct):
    """Body of every form of this module's pages; a form sends the fields that it has. `step`: the button that was
    pressed; `code`: the mailed code, or a code of the second factor for the sign-in `flow` that waits for it; `scopes`:
    the scopes that the page showed, with spaces between, beyond which consent grants nothing; `huddles`: `yes` if the
    box for reading huddles is ticked.
    """

    csrf: str | UnsetType = UNSET
    step: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    flow: str | UnsetType = UNSET
    user_code: str | UnsetType = UNSET
    scopes: str | UnsetType = UNSET
    huddles: str | UnsetType = UNSET


class PageHandler(Handler):
    """Base class of pages with forms, which lets people sign in before they see the page itself.

    A subclass defines `shown`, the page for a signed-in person, and `done`, the effect of the page's buttons.
    `purpose`: sentence that the first form of signing in shows.
    """

    ignores_token = True
    signs_in = True
    closed_in_sandboxes = ("GET", "POST")
    counts_as_call = False
    takes_idempotency_key = False
    error_form = "Page"
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {
        "GET": (303, 403),
        "POST": (303, 401, 403, 501),
    }

    purpose: ClassVar[str] = ""

    def targets(self, ctx: Context) -> str:
        """Return the origins, beside the page's own, that forms of this page may lead to (`form-action` of the page's
        Content-Security-Policy), with spaces between; "" for none.
        """
        return ""

    def shown(self, ctx: Context, me: Identity, cookie: str) -> Result:
        """Answer with the page itself, for the signed-in person `me`, who is not banned. `cookie`: value of the page
        session's cookie, by which the person is signed in.
        """
        raise NotImplementedError

    def done(self, ctx: Context, me: Identity, cookie: str, form: Form) -> Result:
        """Act on `form`, by which the signed-in person `me`, who is not banned, pressed a button of the page; answer
        with what comes next. `cookie`: value of the page session's cookie, by which the person is signed in.
        """
        raise NotImplementedError

    def look(self, ctx: Context) -> Result:
        """Answer to GET: with `shown` for a signed-in person, a form to sign in for others, 403 for the banned."""
        cookie = _cookie(ctx)
        me = engine_page_session.find(ctx.reader, ctx.site.id, cookie) if cookie else None
        if me is None:
            return self._step(ctx, cookie or engine_page_session.new_value(), "email", Form())
        if me.ban_reason is not None:
            return html_answers.message(ctx, "You can't do this", me.ban_reason, status=403)
        return self.shown(ctx, me, cookie)

    def act(self, ctx: Context, form: Form) -> Result:
        """Answer to a posted form: with the next step of signing in (the same form again, with the refusal's status, if
        a step is refused) or, for a signed-in person, with `done`; 403 for the banned. A person who is not signed in
        gets the first form of signing in.

        400 without the page session's cookie, and if the form's CSRF key does not fit it. The step `leave` signs the
        person out of the page and redirects to it, `again` shows the first form of signing in.
        """
        cookie = _cookie(ctx)
        if not cookie or not engine_page_session.is_form_key(form.csrf, cookie, _own_url(ctx)):
            return html_answers.message(
                ctx,
                "This page is too old",
                "Your browser has to keep a cookie for it. Go back to where you came from and begin again.",
                status=400,
            )
        if form.step in _STEPS:
            return self._sign_in(ctx, cookie, form)
        if form.step == "again":
            return self._step(ctx, cookie, "email", form)
        if form.step == "leave":
            engine_page_session.end(ctx.writer, ctx.site.id, cookie)
            return _go(_own_url(ctx), _set_cookie(ctx, ""))
        me = engine_page_session.find(ctx.reader, ctx.site.id, cookie)
        if me is None:
            text = "You were signed out meanwhile."
            return self._step(ctx, cookie, "email", form, text=text)
        if me.ban_reason is not None:
            return html_answers.message(ctx, "You can't do this", me.ban_reason, status=403)
        return self.done(ctx, me, cookie, form)

    # ---------------------------------------------------------------- signing in

    def _sign_in(self, ctx: Context, cookie: str, form: Form) -> Result:
        # As with POST /auth: nothing is held meanwhile, each step is a transaction of its own.
        ctx.end_writer()
        app, site = ctx.app, ctx.site
        try:
            browser = Browser(engine_page_session.mark(cookie), _own_url(ctx))
            verified = backends.verify(
                _proof(form), site, ctx.ip, app.config, app.database, browser=browser
            )
            if verified is None:
                app.mail.wake()
                return self._step(ctx, cookie, "code", form)
            return self._enter(ctx, cookie, form, verified, _own_url(ctx))
        except ApiError as error:
            if error.status >= 500 and error.status != 501:
                raise
            return self._step(ctx, cookie, str(form.step), form, error)

    def _enter(self, ctx: Context, cookie: str, form: Form, verified: Verified, url: str) -> Result:
        """Sign in the person whose e-mail address was `verified`, and redirect to `url`.

        A person with a second factor gets the form for its code instead, which posts to `url`. `cookie`: value of the
        page session's cookie as sent; the secret of the person's token takes its place. `form`: as posted, to be shown
        again. Raises an ApiError if the sign-in is refused, such as that of a newcomer where none is let in.
        """
        app, site = ctx.app, ctx.site
        agent = ctx.environ.get("HTTP_USER_AGENT", "")
        try:
            secret = sign_in.complete(
                app.database,
                app.config,
                site,
                verified,
                ctx.ip,
                agent,
                take_member=app.plans.taking_member(site),
            )
        except SecondFactorNeeded as needed:
            form.flow = needed.flow
            return self._step(ctx, cookie, "factor", form, url=url)
        with app.database.write() as tx:
            engine_page_session.confine(tx, site.id, secret)
        return _go(url, _set_cookie(ctx, secret))

    def _step(
        self,
        ctx: Context,
        cookie: str,
        template: str,
        form: Form,
        error: ApiError | None = None,
        text: str = "",
        url: str = "",
    ) -> Result:
        """Answer with a form of signing in, made of `template` (email, code or factor), which is filled from `form`,
        the one posted before. `error`: refusal of the step before, shown as a notice and as the status; `text`: notice
        where there is no error.

        `cookie`: value of the page session's cookie, which the answer sets again. `url`: address that the form posts
        to; "": the page's own.
        """
        values = {"email": given(form.email, "")[:254]}
        if template == "email":
            values["purpose"] = self.purpose
        elif template == "factor":
            values["flow"] = given(form.flow, "")[:300]
        return _page(
            ctx,
            template,
            cookie,
            status=error.status if error else 200,
            more=error.headers if error else (),
            url=url,
            notice=error.message if error else text,
            **values,
        )


# Steps of signing in, each on the page of its name, which is shown again when the step fails.
_STEPS: Final = ("email", "code", "factor")


def _proof(form: Form) -> SignIn:
    """Return the body of POST /auth with which a client of the API would take the step that `form` takes: `factor`,
    `code`, or for any other step the mailing of a code.
    """
    code = given(form.code, "")
    if form.step == "factor":
        return SignIn(method="second-factor", flow=given(form.flow, ""), code=code)
    email = given(form.email, "")
    if form.step == "code":
        return SignIn(method="email-code", email=email, code=code)
    return SignIn(method="email-code", email=email)


# ---------------------------------------------------------------- parts of a page


def _name(ctx: Context) -> str:
    """Return the name of the page session's cookie; under TLS with the prefix `__Host-`, so that no other host can set
    the cookie.
    """
    return "__Host-oauth" if ctx.site.origin.startswith("https:") else "oauth"


def _cookie(ctx: Context) -> str:
    value = parse_cookie(ctx.environ.get("HTTP_COOKIE", "")).get(_name(ctx), "")
    return value if engine_page_session.is_value(value) else ""


def _set_cookie(ctx: Context, value: str) -> tuple[str, str]:
    """Return the header Set-Cookie, as (name, value), that sets the page session's cookie to `value`; "" deletes the
    cookie.
    """
    name = _name(ctx)
    secure = name.startswith("__Host-")
    text = dump_cookie(
        name,
        value,
        max_age=engine_page_session.LIFE_S if value else 0,
        path="/" if secure else "/oauth",
        secure=secure,
        httponly=True,
        # Strict would leave it out on the way here from the client.
        samesite="Lax",
    )
    return "Set-Cookie", text


def _own_url(ctx: Context) -> str:
    return f"{ctx.path}?{ctx.query_string}" if ctx.query_string else ctx.path


def _go(location: str, *headers: tuple[str, str]) -> RawResponse:
    return RawResponse(
        b"",
        html_pages.TYPE,
        (("Location", location), ("Referrer-Policy", "no-referrer"), *headers),
        303,
    )


def _page(
    ctx: Context,
    template: str,
    cookie: str,
    *,
    status: int = 200,
    more: tuple[tuple[str, str], ...] = (),
    targets: str = "",
    url: str = "",
    **values: Any,
) -> RawResponse:
    """Answer with a page made of the template named `template` and of `values`, its variables. Its forms post to `url`;
    "": the page's own address.

    `cookie`: value of the page session's cookie, which the answer sets again. `more`: further headers. `targets`:
    origins, beside the page's own, that its forms may lead to, with spaces between.
    """
    action = url or _own_url(ctx)
    return html_answers.page(
        ctx,
        template,
        status=status,
        headers=(_set_cookie(ctx, cookie), *more),
        targets=targets,
        csrf=engine_page_session.form_key(cookie, action),
        action=action,
        **values,
    )


def _consent(
    ctx: Context,
    me: Identity,
    cookie: str,
    client: OAuthClient,
    granted: list[str],
    *,
    where: str,
    targets: str = "",
    user_code: str = "",
    for_agents: bool = False,
) -> Result:
    """Answer with the page that asks the signed-in person `me` to let `client` have the scopes `granted`; where the
    tokens are `for_agents`, reading huddles, if it is among these, has a box of its own.

    `where`: sentence on what happens after the answer; `user_code`: code of the device, "" if no device asks; `cookie`:
    value of the page session's cookie, which the answer sets again; `targets`: origins, beside the page's own, that its
    form may lead to, with spaces between.
    """
    asks_huddles = for_agents and tools.HUDDLES in granted
    listed = [scope for scope in granted if not (for_agents and scope.startswith("huddles:"))]
    profile = active_profile(ctx.reader, ctx.site.id, me.user_id)
    return _page(
        ctx,
        "consent",
        cookie,
        targets=targets,
        client_name=Markup(client.name),
        client_host=client.host,
        profile_name=Markup(profile[1] if profile else ""),
        scopes=[scopes.words(scope) for scope in listed],
        for_agents=for_agents,
        asks_huddles=asks_huddles,
        publishes=not tools.PUBLISHING.isdisjoint(granted),
        shown=" ".join(granted),
        user_code=user_code,
        where=where,
    )


# ---------------------------------------------------------------- the pages


_QUERY: Final = tuple(
    Param(name, str, text, tuple(values))
    for name, text, *values in (
        ("response_type", "Always `code`.", "code"),
        ("client_id", "The client's id: a number, or the URL of a document about the client."),
        ("redirect_uri", "Where the answer goes: one that is registered, to the letter."),
        ("scope", "Scopes with spaces between; all that the client may ask for when left out."),
        ("state", "Comes back with the answer."),
        (
            "resource",
            "The address of the site's MCP endpoint, for tokens that are good there alone.",
        ),
        ("code_challenge", "The SHA-256 of the verifier in base64url (RFC 7636)."),
        ("code_challenge_method", "Always `S256`.", "S256"),
    )
)


class AuthorizeHandler(PageHandler):
    """Authorization endpoint of OAuth: the consent page, to which a client sends a person's browser."""

    purpose = "A program asks to act for you here. Sign in to see what it asks for."

    @needs(ANYONE, media_type=html_pages.TYPE, params=_QUERY)
    def get(self, ctx: Context) -> Result:
        """Show the consent page, after the form to sign in for people who are not signed in; to banned people a page
        with status 403.

        A faulty request redirects to the client with an error; if its client or redirect URI is wrong, a page with
        status 400 says so. A client whose id is a URL is described by the document there, which is fetched once the
        person has signed in; if too many documents are fetched, a page with status 429 says so.
        """
        return self._refusal(ctx) or self.look(ctx)

    @needs(ANYONE, body=Form, media_type=html_pages.TYPE, params=_QUERY)
    def post(self, ctx: Context, sent: Form) -> Result:
        """Act on a form of the consent page: sign in, consent or refuse.

        Consent and refusal redirect to the client; the page is shown again instead if, for a request without `scope`,
        the client may ask for more scopes by now than the page showed. A faulty request redirects to the client with an
        error; if its client or redirect URI is wrong, a page with status 400 says so; if too many clients' documents
        are fetched, a page with status 429.
        """
        return self._refusal(ctx) or self.act(ctx, sent)

    def _refusal(self, ctx: Context) -> Result | None:
        """Return the answer that refuses the client's request, None for a valid request. Of a client whose id is a URL
        only the form of that URL is checked: its document is fetched, and its request validated, after the sign-in.
        """
        client_id = ctx.query.get("client_id", "")
        if not client_metadata.is_url(client_id):
            asked = self._asked(ctx)
            return None if isinstance(asked, AuthorizationRequest) else asked
        try:
            client_metadata.check_url(ctx.app.config, client_id)
        except RefusedClientError as error:
            return _mistake(ctx, str(error))
        return None

    def _asked(self, ctx: Context) -> AuthorizationRequest | RawResponse:
        """Return the client's request, or the answer that refuses it. Fetches the client's document if its id is a URL,
        unless the document is cached; before the fetch, the request's transaction ends and its connection is given
        back.
        """
        client_id = ctx.query.get("client_id", "")
        described = None
        if client_metadata.is_url(client_id):
            try:
                found = self._document(ctx, client_id)
                described = found.client(ctx.site.id, client_id, ctx.app.scopes)
            except RefusedClientError as error:
                return _mistake(ctx, str(error))
            except TooMany as error:
                return html_answers.page(
                    ctx,
                    "message",
                    status=error.status,
                    headers=error.headers,
                    heading="This can't be answered now",
                    text=f"{error.message}.",
                )
        asked = provider(ctx, described).validate(ctx.pairs)
        if isinstance(asked, AuthorizationRequest):
            return asked
        return _go(asked.location) if asked.location else _mistake(ctx, asked.text)

    @staticmethod
    def _document(ctx: Context, url: str) -> ClientDocument:
        """Return the document at `url`, from the cache or else fetched. Raises RefusedClientError for an unsuitable URL
        or document, and TooMany beyond the number of fetches for one client address or one site.
        """
        client_metadata.check_url(ctx.app.config, url)
        if found := client_metadata.cached.get(url):
            return found
        if ctx.is_write:
            ctx.end_writer()
        else:
            ctx.reader.end()
        # Counted in a transaction of its own; nothing is held meanwhile.
        with ctx.app.database.write() as tx:
            rate_counters.take_client_address(tx, client_metadata.PER_ADDRESS, ctx.ip)
            rate_counters.take(tx, client_metadata.PER_SITE, str(ctx.site.id))
        return client_metadata.fetch(ctx.app.config, url)

    def shown(self, ctx: Context, me: Identity, cookie: str) -> Result:
        asked = self._asked(ctx)
        if not isinstance(asked, AuthorizationRequest):
            return asked
        parts = urlsplit(asked.redirect_uri)
        origin = f"{parts.scheme}://{parts.netloc}"
        return _consent(
            ctx,
            me,
            cookie,
            asked.client,
            asked.scopes,
            where=f"Either way you are sent back to {origin}.",
            targets=origin,
            for_agents=asked.audience == AGENTS,
        )

    def done(self, ctx: Context, me: Identity, cookie: str, form: Form) -> Result:
        asked = self._asked(ctx)
        if not isinstance(asked, AuthorizationRequest):
            return asked
        if form.step == "allow":
            if not set(asked.scopes) <= set(given(form.scopes, "").split()):
                # Without a scope in the URL it is all that the client may ask for, more by now than was shown.
                return self.shown(ctx, me, cookie)
            if asked.audience == AGENTS:
                reads = form.huddles == "yes" and tools.HUDDLES in asked.scopes
                asked = asked._replace(scopes=tools.consented(asked.scopes, reads_huddles=reads))
            location = self._granted(ctx, asked, me.user_id)
        elif form.step == "deny":
            location = provider(ctx).deny(ctx.pairs, asked)
        else:
            return self.shown(ctx, me, cookie)
        engine_page_session.end(ctx.writer, ctx.site.id, cookie)
        return _go(location, _set_cookie(ctx, ""))

    @staticmethod
    def _granted(ctx: Context, asked: AuthorizationRequest, user_id: int) -> str:
        """Return the redirect URI with an authorization code for the client of `asked`. A described client is stored
        before; if the site has too many described clients, the URI has the error `temporarily_unavailable` instead.
        """
        if not asked.client.metadata_url:
            return provider(ctx).grant(ctx.pairs, asked, user_id)
        stored = asked.client.stored(ctx.writer)
        if stored is None:
            return provider(ctx).deny(ctx.pairs, asked, "temporarily_unavailable")
        return provider(ctx, stored).grant(ctx.pairs, asked, user_id)


def _mistake(ctx: Context, text: str) -> RawResponse:
    """Answer with a page, status 400, that says by `text` what is wrong with a client's request; for requests whose
    client or redirect URI is wrong, so that no redirect can carry the error.
    """
    said = f"The program that sent you here made a mistake: {text}."
    return html_answers.message(ctx, "This can't be answered", said, status=400)


class EmailLinkHandler(PageHandler):
    """Page that the mail with a sign-in code links to; the query's `key` is the link's secret.

    In the browser that asked for the mail it has a button to sign in; in any other it shows the code, to be typed in
    the browser that asked.
    """

    @needs(
        ANYONE,
        media_type=html_pages.TYPE,
        params=(Param("key", str, "What the mail's link carries."),),
    )
    def get(self, ctx: Context) -> Result:
        """Show a button to sign in, in the browser that asked for the mail; in any other the code, to be typed in the
        browser that asked.

        Changes nothing, since programs that scan mail follow links too. 400, as a page, for a link that is used or
        expired.
        """
        cookie, link = _cookie(ctx), self._link(ctx)
        if link is None:
            return self._old(ctx)
        if not _is_asker(link, cookie):
            code = email_code.code_of(ctx.query.get("key", ""))
            here = cookie or engine_page_session.new_value()
            return _page(ctx, "shown", here, shown_code=email_code.shown(code))
        return _page(ctx, "link", cookie, email=link.email)

    @needs(
        ANYONE,
        body=Form,
        media_type=html_pages.TYPE,
        params=(Param("key", str, "What the mail's link carries."),),
    )
    def post(self, ctx: Context, form: Form) -> Result:
        """Sign in by the link, which is good once, and redirect to the page that asked for the code; a person with a
        second factor gets the form for its code first.

        400, as a page, for a link that is used or expired, in another browser than the one that asked for the mail, and
        for a CSRF key that does not fit. If the sign-in is refused, a page says why, with the status of the refusal.
        """
        cookie, link = _cookie(ctx), self._link(ctx)
        if link is None or not _is_asker(link, cookie):
            return self._old(ctx)
        if not engine_page_session.is_form_key(form.csrf, cookie, _own_url(ctx)):
            return self._old(ctx)
        # As with POST /auth: nothing is held meanwhile, each step is a transaction of its own.
        ctx.end_writer()
        app, site = ctx.app, ctx.site
        browser = Browser(engine_page_session.mark(cookie), link.next, ctx.query.get("key", ""))
        try:
            verified = backends.verify(
                SignIn(method=email_code.KIND),
                site,
                ctx.ip,
                app.config,
                app.database,
                browser=browser,
            )
            assert verified is not None, "a link is the last step"
            form.email = link.email
            return self._enter(ctx, cookie, form, verified, link.next)
        except ApiError as error:
            if error.status >= 500 and error.status != 501:
                raise
            return html_answers.message(
                ctx, "You are not signed in", error.message, status=error.status
            )

    def _link(self, ctx: Context) -> email_code.Link | None:
        return email_code.find_link(ctx.reader, ctx.site.id, ctx.query.get("key", ""))

    def _old(self, ctx: Context) -> Result:
        return html_answers.message(
            ctx, "Nothing has happened", f"{email_code.LINK_REFUSED}.", status=400
        )


def _is_asker(link: email_code.Link, cookie: str) -> bool:
    return bool(cookie) and hmac.compare_digest(link.browser, engine_page_session.mark(cookie))


class DevicePageHandler(PageHandler):
    """Page on which a person types the user code that a device shows, and consents (RFC 8628)."""

    purpose = "A device asks to act for you here. Sign in to type its code."

    @needs(ANYONE, media_type=html_pages.TYPE, params=(Param("user_code", str, "The code."),))
    def get(self, ctx: Context) -> Result:
        """Show the form for the user code, after the form to sign in for people who are not signed in; the parameter
        `user_code` fills it in.
        """
        return self.look(ctx)

    @needs(ANYONE, body=Form, media_type=html_pages.TYPE)
    def post(self, ctx: Context, sent: Form) -> Result:
        """Act on a form of the page: sign in, look the user code up, consent or refuse.

        A wrong or expired code shows the form again, with status 400, and so do more than 60 codes of one person in an
        hour.
        """
        return self.act(ctx, sent)

    def shown(
        self, ctx: Context, me: Identity, cookie: str, error: str = "", typed: str = ""
    ) -> Result:
        return _page(
            ctx,
            "device",
            cookie,
            status=400 if error else 200,
            notice=error,
            user_code=(typed or ctx.query.get("user_code", ""))[:12],
        )

    def done(self, ctx: Context, me: Identity, cookie: str, form: Form) -> Result:
        typed = given(form.user_code, "")
        site_id = ctx.site.id
        if form.step not in ("find", "allow", "deny"):
            return self.shown(ctx, me, cookie)
        ctx.end_writer()
        try:
            # A decision names a code too, and need not come from the page that was shown for it.
            with ctx.app.database.write() as tx:
                rate_counters.take(tx, CODES_PER_PERSON, str(me.user_id))
        except TooMany as error:
            return self.shown(ctx, me, cookie, error.message, typed)
        if form.step == "find":
            return self._found(ctx, me, cookie, typed)
        grant = form.step == "allow"
        if not DeviceCode.decide(ctx.writer, site_id, typed, me.user_id, grant=grant):
            return self.shown(ctx, me, cookie, _UNKNOWN, typed)
        engine_page_session.end(ctx.writer, site_id, cookie)
        text = "Your device goes on by itself." if grant else "Your device is told so."
        return html_answers.message(ctx, "Allowed" if grant else "Not allowed", text)

    def _found(self, ctx: Context, me: Identity, cookie: str, typed: str) -> Result:
        code = DeviceCode.find(ctx.reader, ctx.site.id, typed)
        client = code and OAuthClient.find(ctx.reader, ctx.site.id, code.client)
        if not code or not client:
            return self.shown(ctx, me, cookie, _UNKNOWN, typed)
        return _consent(
            ctx,
            me,
            cookie,
            client,
            code.scopes,
            where="Your device is told your answer.",
            user_code=typed,
        )


_UNKNOWN: Final = "There is no device with this code; it may be too old by now."
