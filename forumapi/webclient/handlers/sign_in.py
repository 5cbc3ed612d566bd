"""Pages of signing in and out."""

from __future__ import annotations

from typing import Any

from forumapi.webclient.api import Failure
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit, is_own_path


class SignInView(View):
    """Sign-in: an address, then the code that was sent there, then perhaps the code of a second factor.

    `next` is the page to go on to. `pending` is a form that was sent with a session that had ended: its fields travel
    through the steps, and at the end stand in a form again for the visitor to send.
    """

    def get(self, visit: Visit) -> Answer:
        """Show the ways to sign in."""
        if visit.me is not None and not visit.query.get("again"):
            return visit.redirect(self._next(visit))
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Take a step."""
        step = visit.field("step")
        email, code, flow = visit.field("email"), visit.field("code"), visit.field("flow")
        body: dict[str, Any]
        if step == "factor":
            opened = visit.unseal(flow) or b""
            body = {"method": "second-factor", "flow": opened.decode(), "code": code}
        elif step == "development":
            body = {"method": "development", "email": email}
        else:
            body = {"method": "email-code", "email": email}
            if step == "code":
                body["code"] = code.replace(" ", "")
        visit.api.token = ""
        try:
            found = visit.api.call("POST", "/auth", body).data
        except Failure as failure:
            if failure.status not in (400, 401, 403, 429, 501):
                raise
            return self._show(visit, step=step or "email", email=email, flow=flow, failure=failure)
        if isinstance(found, dict):
            sealed = visit.seal(found["flow"].encode())
            return self._show(visit, step="factor", email=email, flow=sealed)
        if found is None:
            return self._show(visit, step="code", email=email)
        visit.begin_session(found)
        pending = self._pending(visit)
        if pending:
            return visit.page("resend.html", action=self._next(visit), fields=pending)
        return visit.redirect(self._next(visit))

    def interrupted(self, visit: Visit, *, is_stale: bool) -> Answer:
        """Show the sign-in in place of a form's answer, and keep what was typed."""
        visit.method = "GET"
        return self._show(visit, status=401, is_stale=is_stale, next_page=visit.path)

    def _next(self, visit: Visit) -> str:
        wanted = visit.field("next") or visit.query.get("next", "/")
        return wanted if is_own_path(wanted) and not wanted.startswith("/login/") else "/"

    def _pending(self, visit: Visit) -> list[tuple[str, str]]:
        fields = visit.form.items(multi=True) if visit.form is not None else ()
        return [
            (name.removeprefix("pending."), value)
            for name, value in fields
            if name.startswith("pending.")
        ]

    def _show(
        self,
        visit: Visit,
        *,
        step: str = "email",
        email: str = "",
        flow: str = "",
        failure: Failure | None = None,
        status: int = 0,
        is_stale: bool = False,
        next_page: str = "",
    ) -> Answer:
        methods = visit.api.get("/auth/methods")["methods"]
        fields = self._pending(visit)
        if next_page:
            sent = visit.form.items(multi=True) if visit.form is not None else ()
            fields = [(name, value) for name, value in sent if name not in ("proof", "key")]
        return visit.page(
            "sign_in.html",
            status=status or (failure.status if failure else 200),
            methods=methods,
            step=step,
            email=email,
            flow=flow,
            failure=failure,
            is_stale=is_stale or bool(visit.query.get("again")),
            next_page=next_page or self._next(visit),
            pending=fields,
        )


class SignOutView(View):
    """Sign-out."""

    def post(self, visit: Visit) -> Answer:
        """End the session on the server and in the browser."""
        if visit.session.token:
            try:
                visit.api.call("DELETE", "/auth")
            except Failure as failure:
                if failure.status not in (401, 404):
                    raise
        visit.forget_session()
        return visit.redirect("/")
