"""Pages of a member's personal data: its export, and the erasure of the member's own profile or account."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import Failure
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, SignInFirst, Visit

SIGN_IN_AGAIN: Final = 26
# A copy that the website hands on: it passes through the memory of its process.
MOST_BYTES: Final = 64 * 1024 * 1024
_HERE: Final = "/account/data/"
_SHOWN: Final = (400, 409, 429, 503)


def _asked(visit: Visit, method: str, path: str, **query: Any) -> None:
    """Send a request of the HTTP method `method` without a body to `path` of the API, with the query parameters
    `query`. Raises SignInFirst if the API refuses with error code 26, since the sign-in is too long ago; Failure for
    any other refusal.
    """
    try:
        visit.api.call(method, path, query=query)
    except Failure as failure:
        if failure.code == SIGN_IN_AGAIN:
            raise SignInFirst(is_stale=True) from None
        raise


class OwnDataView(View):
    """Page of a member's personal data: the export, and an erasure that has been asked for; asks for a sign-in of the
    last 30 minutes.
    """

    def get(self, visit: Visit) -> Answer:
        """Show the state of the member's export and erasure, the buttons for both, and the consents that the member has
        given and withdrawn. Raises SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        visit.fresh_member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Do what `do` says: "copy", and anything not listed here, asks for an export, "forget" deletes the export,
        "keep_profile" and "keep_account" cancel the erasure of the profile or account. Lead back to the page, also if
        the API answers 404, as what was to go is gone already; a refusal with 400, 409, 429 or 503 shows the page with
        its reason. Raises SignInFirst for guests and for a sign-in older than 30 minutes or than the API wants, Failure
        for other refusals.
        """
        me = visit.fresh_member()
        profile, user = f"/profiles/{me['id']}", f"/users/{me['userId']}"
        calls = {
            "copy": ("POST", f"{profile}/export"),
            "forget": ("DELETE", f"{profile}/export"),
            "keep_profile": ("DELETE", f"{profile}/erasure"),
            "keep_account": ("DELETE", f"{user}/erasure"),
        }
        method, path = calls.get(visit.field("do"), calls["copy"])
        try:
            _asked(visit, method, path)
        except Failure as failure:
            # What is gone already needs no second time.
            if failure.status != 404:
                if failure.status not in _SHOWN:
                    raise
                return self._show(visit, failure)
        return visit.redirect(_HERE)

    @staticmethod
    def _show(visit: Visit, failure: Failure | None = None) -> Answer:
        copy = visit.api.find(f"/profiles/{visit.member()['id']}/export")
        return visit.page(
            "own_data.html",
            status=failure.status if failure else 200,
            copy=copy,
            consents={"given": [], "withdrawn": []} | (visit.api.find("/consents") or {}),
            is_large=copy is not None and copy.get("bytes", 0) > MOST_BYTES,
            failure=failure,
        )


class OwnDataFileView(View):
    """Download of a member's export."""

    def get(self, visit: Visit) -> Answer:
        """Send the export as a ZIP file; one larger than MOST_BYTES (64 MiB) redirects to the page, which refers to the
        API. Raises SignInFirst for guests and for a sign-in older than 30 minutes, Failure if there is no export or its
        file is not ready.
        """
        me = visit.fresh_member()
        path = f"/profiles/{me['id']}/export"
        if visit.api.get(path).get("bytes", 0) > MOST_BYTES:
            return visit.redirect(_HERE)
        reply = visit.api.document(f"{path}/file")
        headers = {
            "Content-Disposition": 'attachment; filename="export.zip"',
            "Cache-Control": "private, no-store",
        }
        return visit.send(reply.body, "application/zip", headers=headers)


class DeleteOwnView(View):
    """Form by which members have their own profile or account erased."""

    def get(self, visit: Visit) -> Answer:
        """Show the form, which says what an erasure does, and lists comments of others that quote the member. Raises
        SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        visit.fresh_member()
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Ask the API to erase the profile, or with `what` = "account" the account, in 30 days; `words` = "remove"
        erases what the member has written too. Lead to the page of the member's data; a refusal with 400, 409, 429 or
        503 shows the form again with that status. Raises SignInFirst for guests and for a sign-in older than 30 minutes
        or than the API wants, Failure for other refusals.
        """
        me = visit.fresh_member()
        is_account = visit.field("what") == "account"
        path = f"/users/{me['userId']}" if is_account else f"/profiles/{me['id']}"
        words = "remove" if visit.field("words") == "remove" else "keep"
        try:
            _asked(visit, "DELETE", path, words=words)
        except Failure as failure:
            if failure.status not in _SHOWN:
                raise
            return self._show(visit, failure)
        return visit.redirect(_HERE)

    @staticmethod
    def _show(visit: Visit, failure: Failure | None = None) -> Answer:
        found = visit.api.get(f"/profiles/{visit.member()['id']}/quotations")
        return visit.page(
            "delete_own.html",
            status=failure.status if failure else 200,
            quotations=found["quotations"],
            failure=failure,
        )
