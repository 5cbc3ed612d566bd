"""Pages of signing in, by a code, a passkey or a provider, and of signing out."""

from __future__ import annotations

import secrets
import zlib
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from forumapi.webclient import carried_form
from forumapi.webclient.api import Document, Failure
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit, is_own_path

# What a form sent that a provider's sign-in interrupts travels in a cookie: so many characters at most, sealed.
_MOST_IN_COOKIE: Final = 3500
_FLOW_S: Final = 600
# Refusals that the sign-in page itself shows.
_SHOWN: Final = (400, 401, 403, 404, 409, 429, 501, 502, 503)


class SignInView(View):
    """Sign-in by a code sent to an e-mail address, by a provider or by a passkey; then the second factor of those who
    have one.

    `next`, a field or query parameter: page to go on to. `pending`, hidden fields: those of a form that was sent
    without a session or with one too old; they are carried through the steps, and stand at the end in a form that the
    visitor sends again.
    """

    def get(self, visit: Visit) -> Answer:
        """Show the ways to sign in. With the query parameters `state` and `code` or `error`, with which a provider
        sends visitors back, finish the sign-in by that provider, or show the page again with the reason why it failed;
        else with `key`, which the link in a mail has, ask the visitor to confirm the sign-in by that link, or, in
        another browser than the one that asked for the mail, redirect to the API's page that shows the mail's code.
        Without these parameters a member is redirected to `next` at once unless the query parameter `again` is set.
        """
        if "state" in visit.query and ("code" in visit.query or "error" in visit.query):
            return self._returned(visit)
        if "key" in visit.query:
            return self._link(visit)
        if visit.me is not None and not visit.query.get("again"):
            return visit.redirect(self._next(visit))
        return self._show(visit, email=visit.me["email"] if visit.me else "")

    def post(self, visit: Visit) -> Answer:
        """Take the step of the field `step`. "code", "link" (of the mail), "passkey", "factor" (second factor) and
        "development" (by the address alone, in the embedded mode) sign in, or ask for the second factor; "provider"
        leads to a provider; "email", the default, and anything else send a code by mail. A refusal whose status is in
        _SHOWN (400, 401, 403 and others) shows the page again with that status; raises Failure for any other.
        """
        step = visit.field("step") or "email"
        if step == "provider":
            return self._begin(visit)
        email, flow = visit.field("email").strip(), visit.field("flow")
        try:
            found = self._call(visit, "/auth", self._body(visit, step)).data
        except Failure as failure:
            if failure.status not in _SHOWN:
                raise
            step = "email" if step in ("development", "passkey", "link") else step
            return self._show(visit, step=step, email=email, flow=flow, failure=failure)
        if found is None:
            return self._show(visit, step="code", email=email)
        return self._finish(visit, found)

    def interrupted(self, visit: Visit, *, is_stale: bool) -> Answer:
        """Answer a form that needs a sign-in with the sign-in page, 401, which carries the form's fields on. `visit`
        becomes a GET. `is_stale`: the sender is signed in, but too long ago.
        """
        visit.method = "GET"
        email = visit.me["email"] if is_stale and visit.me else ""
        return self._show(visit, status=401, email=email, is_stale=is_stale, next_page=visit.path)

    # ------------------------------------------------------------ steps

    def _body(self, visit: Visit, step: str) -> dict[str, Any]:
        email, code = visit.field("email").strip(), visit.field("code")
        match step:
            case "factor":
                return {
                    "method": "second-factor",
                    "flow": _opened(visit, "factor").get("flow", ""),
                    "code": code.strip(),
                }
            case "passkey":
                return {
                    "method": "passkey",
                    "flow": _opened(visit, "passkey").get("flow", ""),
                    "credential": json_object(visit.field("credential")),
                }
            case "development":
                return {"method": "development", "email": email}
            case "link":
                kept = _unsealed(visit, "mail", visit.cookies.get(visit.website.mail_cookie, ""))
                return {
                    "method": "email-code",
                    "link": visit.field("link"),
                    "browser": kept.get("browser", ""),
                }
            case "code":
                return {"method": "email-code", "email": email, "code": "".join(code.split())}
            case _:
                return {"method": "email-code", "email": email, "browser": self._mark(visit)}

    def _mark(self, visit: Visit) -> str:
        """Set a cookie that holds a new secret, `next` and `pending`, and return the secret, which the API is told when
        it sends the mail: by the mail's link this browser, and no other, signs in without typing the code. `pending` is
        left out if the cookie would be longer than 3,500 characters.
        """
        kept: dict[str, Any] = {"browser": secrets.token_urlsafe(24), "next": self._next(visit)}
        sealed = _sealed(visit, "mail", {**kept, "pending": carried_form.carried(visit)})
        if len(sealed) > _MOST_IN_COOKIE:
            sealed = _sealed(visit, "mail", {**kept, "pending": []})
        visit.set_cookie(visit.website.mail_cookie, sealed, _FLOW_S)
        return str(kept["browser"])

    def _link(self, visit: Visit) -> Answer:
        """Show a page that asks for a click before the link of a mail signs in, as mail scanners open links too; in a
        browser without the cookie of `_mark`, redirect to the API's page that shows the mail's code.
        """
        kept = _unsealed(visit, "mail", visit.cookies.get(visit.website.mail_cookie, ""))
        if not kept:
            return visit.redirect(f"/oauth/link?{urlencode({'key': visit.query['key']})}")
        pending = [(str(name), str(value)) for name, value in kept["pending"]]
        return self._show(visit, step="link", next_page=kept["next"], pending=pending)

    def _call(self, visit: Visit, path: str, body: dict[str, Any]) -> Document:
        """POST `body` to `path` of the API as a guest, even if the visitor is signed in, and return the answer. Raises
        Failure if the API refuses the call.
        """
        visit.api.token = ""
        try:
            return visit.api.call("POST", path, body)
        finally:
            visit.api.token = visit.session.token

    def _finish(
        self,
        visit: Visit,
        found: Any,
        *,
        next_page: str = "",
        pending: list[tuple[str, str]] | None = None,
    ) -> Answer:
        """Go on after a step of the sign-in that the API answered with `found`. For an access token begin a session
        with it and lead to the next page, or, if there are pending fields, to the form that holds them; the token of
        the browser's former session is revoked. For an object, the API's demand for a second factor, show the page that
        asks for its code. Raises Failure if the API fails to revoke a valid former token.

        `next_page`, `pending`: "" and None for those of the sent form.
        """
        pending = carried_form.carried(visit) if pending is None else pending
        next_page = next_page or self._next(visit)
        if isinstance(found, dict):
            flow = _sealed(visit, "factor", {"flow": found["flow"]})
            return self._show(visit, step="factor", flow=flow, next_page=next_page, pending=pending)
        former = visit.session.token
        if former:
            _sign_out(visit)
        visit.begin_session(found)
        if visit.website.mail_cookie in visit.cookies:
            visit.set_cookie(visit.website.mail_cookie, "", 0)
        if pending:
            heading = visit.language.gettext("You are signed in")
            return carried_form.page(visit, heading, next_page, pending)
        return visit.redirect(next_page)

    def _begin(self, visit: Visit) -> Answer:
        """Begin the sign-in by the provider in the field `method`, and show the page that leads on to it. `flow`, the
        API's state of this sign-in, is kept in a cookie, so that only this browser can finish it. A refusal whose
        status is in _SHOWN shows the sign-in page with the reason and that status; pending fields too long for the
        cookie do so with 400. Raises Failure for another refusal.
        """
        method = visit.field("method")
        scheme = "https" if visit.website.is_secure else "http"
        back = f"{scheme}://{visit.host}/login/"
        try:
            asked = {"method": method, "redirectUri": back}
            begun = self._call(visit, "/auth/begin", asked).data
        except Failure as failure:
            if failure.status not in _SHOWN:
                raise
            return self._show(visit, failure=failure)
        kept: dict[str, Any] = {
            "flow": begun["flow"],
            "method": method,
            "next": self._next(visit),
            "pending": carried_form.carried(visit),
        }
        sealed = _sealed(visit, "provider", kept)
        if len(sealed) > _MOST_IN_COOKIE:
            too_long = visit.language.gettext(
                "What you wrote is too long to go with you to another site: sign in by e-mail to keep it."
            )
            return self._show(visit, status=400, text=too_long)
        visit.set_cookie(visit.website.sign_in_cookie, sealed, _FLOW_S)
        # A form may lead to this site alone (form-action), so that a page leads on.
        return visit.page("provider.html", location=begun["location"])

    def _returned(self, visit: Visit) -> Answer:
        kept = _unsealed(visit, "provider", visit.cookies.get(visit.website.sign_in_cookie, ""))
        if not kept:
            text = visit.language.gettext(
                "This sign-in began in another browser, or too long ago. Begin again."
            )
            return self._show(visit, status=400, text=text)
        visit.set_cookie(visit.website.sign_in_cookie, "", 0)
        pending = [(str(name), str(value)) for name, value in kept["pending"]]
        if "code" not in visit.query:
            text = visit.language.gettext("You were not signed in there. You can try once more.")
            return self._show(visit, status=400, text=text, next_page=kept["next"], pending=pending)
        names = ("code", "state", "iss")
        brought: dict[str, Any] = {name: visit.query[name] for name in names if name in visit.query}
        body: dict[str, Any] = {"method": kept["method"], "flow": kept["flow"], **brought}
        try:
            found = self._call(visit, "/auth", body).data
        except Failure as failure:
            if failure.status not in _SHOWN:
                raise
            return self._show(visit, failure=failure, next_page=kept["next"], pending=pending)
        return self._finish(visit, found, next_page=kept["next"], pending=pending)

    # ------------------------------------------------------------ the page

    def _next(self, visit: Visit) -> str:
        wanted = visit.field("next") or visit.query.get("next", "/")
        return wanted if is_own_path(wanted) and not wanted.startswith("/login/") else "/"

    def _show(
        self,
        visit: Visit,
        *,
        step: str = "email",
        email: str = "",
        flow: str = "",
        failure: Failure | None = None,
        text: str = "",
        status: int = 0,
        is_stale: bool = False,
        next_page: str = "",
        pending: list[tuple[str, str]] | None = None,
    ) -> Answer:
        methods = visit.api.get("/auth/methods")["methods"] if step == "email" else []
        if pending is None:
            pending = carried_form.begun(visit) if next_page else carried_form.carried(visit)
        return visit.page(
            "sign_in.html",
            status=status or (failure.status if failure else 200),
            methods=methods,
            step=step,
            email=email,
            flow=flow,
            failure=failure,
            text=text,
            is_stale=is_stale or bool(visit.query.get("again") or visit.field("again")),
            next_page=next_page or self._next(visit),
            pending=pending,
        )


class BeginPasskeyView(View):
    """First step of a sign-in with a passkey, called by the script of the sign-in page."""

    def post(self, visit: Visit) -> Answer:
        """Answer with JSON: `publicKey`, the argument of `navigator.credentials.get`, and `flow`, the API's state of
        this sign-in, encrypted, which the second step sends back. Raises Failure if the API refuses.
        """
        visit.api.token = ""
        begun = visit.api.call("POST", "/auth/begin", {"method": "passkey"}).data
        return passkey_options(visit, begun)


class SignOutView(View):
    """Sign-out, by a button in the bar."""

    def post(self, visit: Visit) -> Answer:
        """Revoke the session's token, delete the cookie, and lead to the front page; a guest is led there too. Raises
        Failure if the API fails to revoke a valid token.
        """
        if visit.session.token:
            _sign_out(visit)
        visit.forget_session()
        return visit.redirect("/")


def _sign_out(visit: Visit) -> None:
    """Revoke the session's access token; do nothing if it is not valid any more. Raises Failure for other refusals."""
    try:
        visit.api.call("DELETE", "/auth")
    except Failure as failure:
        if failure.status not in (401, 404):
            raise


def passkey_options(visit: Visit, begun: Any) -> Answer:
    """Answer with JSON: `publicKey` and `flow` of `begun`, the API's answer to the first step with a passkey. `flow`,
    the API's state of the steps, is encrypted, so that the browser hands it back unread.
    """
    flow = _sealed(visit, "passkey", {"flow": begun["flow"]})
    data = msgspec.json.encode({"flow": flow, "publicKey": begun["publicKey"]})
    return visit.send(data, "application/json", headers={"Cache-Control": "no-store"})


def passkey_flow(visit: Visit) -> str:
    """Return the API's state that `passkey_options` has encrypted, from the form's field `flow`; "" if the field is
    missing, forged or older than 15 minutes.
    """
    return str(_opened(visit, "passkey").get("flow", ""))


def json_object(text: str) -> dict[str, Any]:
    """Return the object that the JSON `text` is; {} for any other text."""
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _sealed(visit: Visit, kind: str, kept: dict[str, Any]) -> str:
    return visit.seal(zlib.compress(msgspec.json.encode({"kind": kind, **kept}), 9))


def _unsealed(visit: Visit, kind: str, text: str) -> dict[str, Any]:
    data = visit.unseal(text) if text else None
    if data is None:
        return {}
    try:
        found = json_object(zlib.decompress(data).decode())
    except zlib.error:
        return {}
    return found if found.get("kind") == kind else {}


def _opened(visit: Visit, kind: str) -> dict[str, Any]:
    return _unsealed(visit, kind, visit.field("flow"))
