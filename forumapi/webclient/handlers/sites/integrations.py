"""Pages on which the site's owner sets up programs that work with it: webhooks and OAuth clients."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

KINDS: Final = ("created", "replaced", "patched", "deleted", "reminded", "decided")
TYPES: Final = (
    *("microcosm", "conversation", "event", "poll", "comment"),
    *("profile", "huddle", "report", "case", "appeal"),
)


def _secret(visit: Visit, made: dict[str, Any], back: str) -> Answer:
    """Show the new secret of a webhook or client, with `Cache-Control: no-store`. `made`: the API's answer with the
    secret; `back`: path that the page leads on to.
    """
    name = made["name"] or made.get("url", "")
    shown = visit.page("admin_secret.html", name=name, secret=made["secret"], back=back)
    return shown._replace(headers=[*shown.headers, ("Cache-Control", "no-store")])


def _chosen(visit: Visit, name: str) -> list[str]:
    return visit.form.getlist(name) if visit.form is not None else []


class WebhooksView(View):
    """List of the site's webhooks, and the form for a new one; for the owner."""

    def get(self, visit: Visit) -> Answer:
        """List the site's webhooks, oldest first, 25 at most, with the form. Raises Refused for members who do not own
        the site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(
            visit, {"enabled": True, "documents": True, "kinds": KINDS, "itemTypes": TYPES[:5]}
        )

    def post(self, visit: Visit) -> Answer:
        """Register a webhook and show its secret, which is shown this once; a refusal whose status is in FORM_REFUSALS
        (400, 403 and others) shows the form again with that status. Raises Refused for members who do not own the site,
        SignInFirst for guests and for a sign-in older than 30 minutes, Failure for other refusals.
        """
        owner(visit)
        body = _webhook(visit)
        try:
            made = visit.api.post("/webhooks", body)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, body, failure)
        return _secret(visit, made.data, "/admin/webhooks/")

    def _show(self, visit: Visit, typed: dict[str, Any], failure: Failure | None = None) -> Answer:
        found = visit.api.get("/webhooks")["webhooks"]
        return visit.page(
            "admin_webhooks.html",
            status=failure.status if failure else 200,
            webhooks=found["items"] if isinstance(found, dict) else found,
            typed=typed,
            failure=failure,
            kinds=KINDS,
            types=TYPES,
        )


class WebhookView(View):
    """Page of a webhook: its settings, deliveries that wait or were given up, and buttons; for the owner."""

    def get(self, visit: Visit, webhook: int) -> Answer:
        """Show the webhook with the id `webhook`, and the first page each of its deliveries that wait and of those that
        were given up. Raises Refused for members who do not own the site, SignInFirst for guests and for a sign-in
        older than 30 minutes, Failure for an unknown webhook.
        """
        owner(visit)
        return self._show(visit, webhook)

    def post(self, visit: Visit, webhook: int) -> Answer:
        """Do what `do` says with the webhook with the id `webhook`: "save" stores the settings, "ping" sends a test
        delivery, "secret" makes and shows a new secret, "delete" deletes the webhook; after the first two, show the
        page anew by a redirect, after the last lead to the list. A refusal whose status is in FORM_REFUSALS (400, 403
        and others) shows the page again with that status. Raises Refused with 400 for another `do`, with 403 for
        members who do not own the site; SignInFirst for guests and for a sign-in older than 30 minutes, Failure for
        other refusals.
        """
        owner(visit)
        path = f"/webhooks/{webhook}"
        do = visit.field("do")
        try:
            if do == "save":
                visit.api.put(path, _webhook(visit))
            elif do == "ping":
                visit.api.post(f"{path}/ping")
            elif do == "secret":
                made = visit.api.post(f"{path}/secret")
                return _secret(visit, made.data, f"/admin/webhooks/{webhook}/")
            elif do == "delete":
                visit.api.delete(path)
                return visit.redirect("/admin/webhooks/")
            else:
                raise Refused(400)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, webhook, failure)
        return visit.redirect(f"/admin/webhooks/{webhook}/")

    def _show(self, visit: Visit, webhook: int, failure: Failure | None = None) -> Answer:
        found = visit.api.get(f"/webhooks/{webhook}")
        sent = {
            state: visit.api.get(f"/webhooks/{webhook}/deliveries", state=state)["deliveries"]
            for state in ("queued", "dead")
        }
        return visit.page(
            "admin_webhook.html",
            status=failure.status if failure else 200,
            webhook=found,
            sent=sent,
            failure=failure,
            kinds=KINDS,
            types=TYPES,
        )


def _webhook(visit: Visit) -> dict[str, Any]:
    return {
        "name": visit.field("name"),
        "url": visit.field("url"),
        "kinds": _chosen(visit, "kinds"),
        "itemTypes": _chosen(visit, "itemTypes"),
        "documents": bool(visit.field("documents")),
        "enabled": bool(visit.field("enabled")),
    }


class ClientsView(View):
    """List of the site's OAuth clients, and the form for a new one; for the owner."""

    def get(self, visit: Visit) -> Answer:
        """List the site's OAuth clients, oldest first, 25 a page from `offset` in the query, with the form. Raises
        Refused for members who do not own the site, SignInFirst for guests and for a sign-in older than 30 minutes,
        Failure for an `offset` that the API refuses.
        """
        owner(visit)
        return self._show(visit, {"confidential": True})

    def post(self, visit: Visit) -> Answer:
        """Register an OAuth client; show the secret of a confidential one, which is shown this once; for another one
        lead to the list. A refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the form again with
        that status. Raises Refused for members who do not own the site, SignInFirst for guests and for a sign-in older
        than 30 minutes, Failure for other refusals.
        """
        owner(visit)
        body = {**_client(visit), "confidential": bool(visit.field("confidential"))}
        try:
            made = visit.api.post("/oauth/clients", body)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, body, failure)
        if made.data.get("secret"):
            return _secret(visit, made.data, "/admin/clients/")
        return visit.redirect("/admin/clients/")

    def _show(self, visit: Visit, typed: dict[str, Any], failure: Failure | None = None) -> Answer:
        found = visit.api.get("/oauth/clients", offset=visit.query.get("offset"))
        return visit.page(
            "admin_clients.html",
            status=failure.status if failure else 200,
            clients=found["clients"],
            scopes=visit.api.get("/oauth/scopes"),
            typed=typed,
            failure=failure,
        )


class ClientView(View):
    """Page of an OAuth client: its settings and buttons; for the owner."""

    def get(self, visit: Visit, client: int) -> Answer:
        """Show the settings of the OAuth client with the id `client`. Raises Refused for members who do not own the
        site, SignInFirst for guests and for a sign-in older than 30 minutes, Failure for an unknown client.
        """
        owner(visit)
        return self._show(visit, client)

    def post(self, visit: Visit, client: int) -> Answer:
        """Do what `do` says with the OAuth client with the id `client`: "save" stores the settings, "secret" makes and
        shows a new secret, "delete" deletes the client with all tokens given to it; after the first and the last, lead
        to the list. A refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the page again with that
        status. Raises Refused with 400 for another `do`, with 403 for members who do not own the site; SignInFirst for
        guests and for a sign-in older than 30 minutes, Failure for other refusals.
        """
        owner(visit)
        path = f"/oauth/clients/{client}"
        do = visit.field("do")
        try:
            if do == "save":
                visit.api.put(path, _client(visit))
            elif do == "secret":
                made = visit.api.post(f"{path}/secret")
                return _secret(visit, made.data, "/admin/clients/")
            elif do == "delete":
                visit.api.delete(path)
            else:
                raise Refused(400)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, client, failure)
        return visit.redirect("/admin/clients/")

    def _show(self, visit: Visit, client: int, failure: Failure | None = None) -> Answer:
        found = visit.api.get(f"/oauth/clients/{client}")
        return visit.page(
            "admin_client.html",
            status=failure.status if failure else 200,
            client=found,
            scopes=visit.api.get("/oauth/scopes"),
            failure=failure,
        )


def _client(visit: Visit) -> dict[str, Any]:
    return {
        "name": visit.field("name"),
        "redirectUris": visit.field("redirectUris").split(),
        "scopes": _chosen(visit, "scopes"),
        "deviceFlow": bool(visit.field("deviceFlow")),
    }
