"""Pages of one's own account: sessions, API keys, address, second factor, passkeys, programs of others, agents,
options.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec
from markupsafe import Markup

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.access.sign_in import json_object, passkey_flow, passkey_options
from forumapi.webclient.handlers.sites.site_settings import AGENT_LEVELS
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Refusals that a form shows with what was typed.
SHOWN: Final = (400, 401, 403, 409, 412, 413, 429, 502, 503)
# Days that a key may be good for.
KEY_DAYS: Final = (7, 30, 90, 365)
MOST_KEYS: Final = 50


def with_no_store(answer: Answer) -> Answer:
    """Return `answer` with the header `Cache-Control: no-store` added, for a page that shows a secret."""
    return answer._replace(headers=[*answer.headers, ("Cache-Control", "no-store")])


def id_field(visit: Visit, name: str = "id") -> int:
    """Return the form's field `name` as an id. Raises Refused with 400 unless the field is a number of at most 18
    digits.
    """
    id = typed_number(visit.field(name))
    if id is None:
        raise Refused(400)
    return id


def days_field(visit: Visit) -> int:
    """Return the form's field `days` as a number; 0, which the API refuses, for anything else."""
    return typed_number(visit.field("days"), 0, most_digits=5)


def described_scopes(
    visit: Visit, only: Collection[str] | None = None
) -> dict[str, dict[str, str]]:
    """Return the API's descriptions of scopes as a dict of dicts, in the API's order: by the two parts of a scope's
    name, thing and kind, such as `comments` and `read`. `only`: names of the scopes to return, of which the API may
    lack some; None for all.
    """
    found: dict[str, dict[str, str]] = {}
    for one in visit.api.get("/oauth/scopes"):
        thing, _, kind = one["scope"].partition(":")
        if only is None or one["scope"] in only:
            found.setdefault(thing, {})[kind] = one["description"]
    return found


class AccountView(View):
    """Overview of the pages about a member's own account. Guests are led to sign in, here and on all of these pages."""

    def get(self, visit: Visit) -> Answer:
        """Show links to the account's pages. Raises SignInFirst for guests."""
        visit.member()
        return visit.page("account.html")


class SessionsView(View):
    """Page of a member's sessions: the devices on which they are signed in."""

    def get(self, visit: Visit) -> Answer:
        """List the member's sessions, newest first, a page of them from the query's `offset` on. Raises SignInFirst for
        guests.
        """
        visit.member()
        found = visit.api.get("/sessions", offset=visit.query.get("offset"))
        return visit.page("sessions.html", list=found["sessions"])

    def post(self, visit: Visit) -> Answer:
        """End the session with the id in the field `id`; with `do` = "others" all sessions but this browser's. Lead
        back to the list. Raises SignInFirst for guests, Refused with 400 for an `id` that is no number, Failure if the
        API refuses to end the session.
        """
        visit.member()
        if visit.field("do") == "others":
            visit.api.delete("/sessions", others="true")
        else:
            visit.api.delete(f"/sessions/{id_field(visit)}")
        return visit.redirect("/account/sessions/")


class KeysView(View):
    """Page of a member's API keys; asks for a sign-in of the last 30 minutes."""

    def get(self, visit: Visit) -> Answer:
        """List the member's API keys, newest first, at most MOST_KEYS (50), with the form for a new one. Raises
        SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        visit.fresh_member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Create an API key of the fields `name`, `scope` (one for each scope) and `days`, for an agent with the box
        `forAgents`, and show its secret, which is shown this once; with `do` = "revoke" revoke the key with the id in
        the field `id`, and lead back to the list. For the new key, a refusal whose status is in SHOWN (400, 401, 403
        and others) shows the form again with that status. Raises SignInFirst for guests and for a sign-in older than 30
        minutes, Refused with 400 for an `id` that is no number, Failure for other refusals.
        """
        visit.fresh_member()
        if visit.field("do") == "revoke":
            visit.api.delete(f"/keys/{id_field(visit)}")
            return visit.redirect("/account/keys/")
        chosen = visit.form.getlist("scope") if visit.form is not None else []
        body = {
            "name": visit.field("name"),
            "scopes": chosen,
            "days": days_field(visit),
            "forAgents": bool(visit.field("forAgents")),
        }
        try:
            made = visit.api.call("POST", "/keys", body).data
        except Failure as failure:
            if failure.status not in SHOWN:
                raise
            return self._show(visit, failure=failure, chosen=chosen)
        page = visit.page("key.html", key=made, name=made["name"], place="/account/keys/")
        return with_no_store(page)

    def _show(
        self, visit: Visit, *, failure: Failure | None = None, chosen: list[str] | None = None
    ) -> Answer:
        keys = visit.api.get("/keys", limit=MOST_KEYS)["keys"]
        return visit.page(
            "keys.html",
            status=failure.status if failure else 200,
            list=keys,
            scopes=described_scopes(visit),
            chosen=chosen or [],
            days=KEY_DAYS,
            failure=failure,
        )


class AddressView(View):
    """Page of the e-mail address that a member signs in with; asks for a sign-in of the last 30 minutes."""

    def get(self, visit: Visit) -> Answer:
        """Show the address, with the form for a new one. Raises SignInFirst for guests and for a sign-in older than 30
        minutes.
        """
        visit.fresh_member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Send a code to the new address, and show the form that asks for the code; with `step` = "code" change the
        address by that code, and by one of the second factor (field `factor`) where the member has one, and lead to the
        page anew. A refusal whose status is in SHOWN (400, 401, 403 and others) shows the form again with that status.
        Raises SignInFirst for guests and for a sign-in older than 30 minutes, Failure for other refusals.
        """
        visit.fresh_member()
        email, code = visit.field("email").strip(), visit.field("code")
        step = visit.field("step")
        try:
            if step == "code":
                body = {"code": "".join(code.split())}
                if visit.field("factor"):
                    body["secondFactor"] = visit.field("factor").strip()
                visit.api.call("PUT", "/auth/email", body)
                return visit.redirect("/account/address/")
            visit.api.call("POST", "/auth/email", {"email": email})
        except Failure as failure:
            if failure.status not in SHOWN:
                raise
            return self._show(visit, step=step, email=email, failure=failure)
        return self._show(visit, step="code", email=email)

    def _show(
        self, visit: Visit, *, step: str = "", email: str = "", failure: Failure | None = None
    ) -> Answer:
        has_factor = step == "code" and visit.api.get("/auth/totp")["enabled"]
        return visit.page(
            "address.html",
            status=failure.status if failure else 200,
            step=step,
            email=email,
            has_factor=has_factor,
            failure=failure,
        )


def _drawn(address: str) -> Markup:
    """Return an `otpauth:` address as a QR code: an SVG element, black on white in light and in dark mode."""
    import segno  # by this page alone

    code = segno.make(address, error="m", micro=False)
    return Markup(code.svg_inline(scale=4, border=4, light="#fff"))


class FactorView(View):
    """Page of a member's second factor, codes of an authenticator app (TOTP); asks for a sign-in of the last 30
    minutes.
    """

    def get(self, visit: Visit) -> Answer:
        """Show if the second factor is switched on, with the buttons that switch it. Raises SignInFirst for guests and
        for a sign-in older than 30 minutes.
        """
        visit.fresh_member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Do what `do` says: "begin" shows a new secret, "on" switches the factor on by a code of that secret, renews
        the session cookie and shows recovery codes, "recovery" makes and shows new recovery codes, and "off" switches
        the factor off and leads to the page anew, both by a code of the app. A refusal whose status is in SHOWN (400,
        401, 403 and others) shows the page again with that status; another `do` raises Refused with 400. Raises
        SignInFirst for guests and for a sign-in older than 30 minutes, Failure for other refusals.
        """
        visit.fresh_member()
        step, code = visit.field("do"), visit.field("code").strip()
        secret = json_object((visit.unseal(visit.field("secret")) or b"").decode())
        try:
            match step:
                case "begin":
                    return self._show(visit, secret=visit.api.call("POST", "/auth/totp").data)
                case "on":
                    body = {"code": "".join(code.split())}
                    codes = visit.api.call("PUT", "/auth/totp", body).data
                    # A new cookie, which an older copy of the former one does not equal.
                    visit.begin_session(visit.session.token)
                    return self._codes(visit, codes)
                case "recovery":
                    codes = visit.api.call("POST", "/auth/totp/recovery", {"code": code}).data
                    return self._codes(visit, codes)
                case "off":
                    visit.api.call("DELETE", "/auth/totp", {"code": code})
                    return visit.redirect("/account/factor/")
                case _:
                    raise Refused(400)
        except Failure as failure:
            if failure.status not in SHOWN or not visit.session.token:
                raise
            return self._show(visit, secret=secret or None, step=step, failure=failure)

    def _codes(self, visit: Visit, codes: Any) -> Answer:
        return with_no_store(visit.page("recovery_codes.html", codes=codes["recoveryCodes"]))

    def _show(
        self,
        visit: Visit,
        *,
        secret: dict[str, Any] | None = None,
        step: str = "",
        failure: Failure | None = None,
    ) -> Answer:
        sealed = visit.seal(msgspec.json.encode(secret)) if secret else ""
        page = visit.page(
            "factor.html",
            status=failure.status if failure else 200,
            state=visit.api.get("/auth/totp"),
            secret=secret,
            drawn=_drawn(secret["uri"]) if secret else "",
            sealed=sealed,
            step=step,
            failure=failure,
        )
        return with_no_store(page) if secret else page


class PasskeysView(View):
    """Page of a member's passkeys; asks for a sign-in of the last 30 minutes."""

    def get(self, visit: Visit) -> Answer:
        """List the member's passkeys, oldest first. Raises SignInFirst for guests and for a sign-in older than 30
        minutes.
        """
        visit.fresh_member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Store a passkey that the browser has made; with `do` = "rename" or "remove" rename or delete the passkey with
        the id in the field `id`; then lead back to the list. A refusal whose status is in SHOWN (400, 401, 403 and
        others) shows the page again with that status. Raises SignInFirst for guests and for a sign-in older than 30
        minutes, Refused with 400 for an `id` that is no number, Failure for other refusals.
        """
        visit.fresh_member()
        step, name = visit.field("do"), visit.field("name")
        try:
            if step == "remove":
                visit.api.delete(f"/auth/passkeys/{id_field(visit)}")
            elif step == "rename":
                visit.api.put(f"/auth/passkeys/{id_field(visit)}", {"name": name})
            else:
                body = {
                    "flow": passkey_flow(visit),
                    "name": name,
                    "credential": json_object(visit.field("credential")),
                }
                visit.api.call("POST", "/auth/passkeys", body)
        except Failure as failure:
            if failure.status not in SHOWN:
                raise
            return self._show(visit, failure=failure)
        return visit.redirect("/account/passkeys/")

    def _show(self, visit: Visit, *, failure: Failure | None = None) -> Answer:
        return visit.page(
            "passkeys.html",
            status=failure.status if failure else 200,
            passkeys=visit.api.get("/auth/passkeys")["passkeys"],
            failure=failure,
        )


class BeginNewPasskeyView(View):
    """First step of adding a passkey, called by the script of the passkeys' page."""

    def post(self, visit: Visit) -> Answer:
        """Answer with JSON: `publicKey`, the argument of `navigator.credentials.create`, and `flow`, the API's state of
        this ceremony, encrypted, which the second step sends back. Raises SignInFirst for guests and for a sign-in
        older than 30 minutes, Failure if the API refuses.
        """
        visit.fresh_member()
        return passkey_options(visit, visit.api.call("POST", "/auth/passkeys/begin").data)


class GrantsView(View):
    """Page of the grants that a member has given to OAuth clients, programs that act in the member's name."""

    def get(self, visit: Visit) -> Answer:
        """List the programs that may act for the member, newest grant first, a page from the query's `offset` on.
        Raises SignInFirst for guests.
        """
        visit.member()
        found = visit.api.get("/oauth/grants", offset=visit.query.get("offset"))
        return visit.page("grants.html", list=found["grants"])

    def post(self, visit: Visit) -> Answer:
        """Revoke the grant with the id in the field `id`, and lead back to the list. Raises SignInFirst for guests,
        Refused with 400 for an `id` that is no number, Failure if the API refuses to revoke the grant.
        """
        visit.member()
        visit.api.delete(f"/oauth/grants/{id_field(visit)}")
        return visit.redirect("/account/programs/")


class OwnAgentLevelView(View):
    """Page of what agents, programs that a model drives, may do in a member's name at most; asks for a sign-in of the
    last 30 minutes.
    """

    def get(self, visit: Visit) -> Answer:
        """Show the form with the member's level as it is, and the site's. Raises SignInFirst for guests and for a
        sign-in older than 30 minutes.
        """
        visit.fresh_member()
        return visit.page("agents.html", levels=visit.api.get("/agents"), all=AGENT_LEVELS)

    def post(self, visit: Visit) -> Answer:
        """Store the level in the field `own`, and lead back to the form, which says that it is saved. Raises
        SignInFirst for guests and for a sign-in older than 30 minutes, Failure if the API refuses the level.
        """
        visit.fresh_member()
        visit.api.put("/agents", {"own": visit.field("own")})
        return visit.redirect("/account/agents/?saved=1")


class OptionsView(View):
    """Page of the options of a member's profile on this site: the main switch for mail about updates, and the switch by
    which searches find the profile or not.
    """

    def get(self, visit: Visit) -> Answer:
        """Show the form with the options as they are. Raises SignInFirst for guests."""
        visit.member()
        return visit.page("options.html", options=visit.api.get("/profiles/options"))

    def post(self, visit: Visit) -> Answer:
        """Store both options, the boxes `sendEmail` (mail about updates) and `visible` (searches find the profile); an
        unchecked box is False. Lead back to the form, which says that they are saved. Raises SignInFirst for guests,
        Failure if the API refuses; `sendEmail` may be stored then.
        """
        me = visit.member()
        wanted = bool(visit.field("sendEmail"))
        is_visible = bool(visit.field("visible"))
        visit.api.put("/profiles/options", {"sendEmail": wanted})
        if is_visible != me["visible"]:
            visit.api.put(f"/profiles/{me['id']}", {"visible": is_visible})
        return visit.redirect("/account/options/?saved=1")
