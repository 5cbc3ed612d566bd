"""Base classes of the forms by which the owner of a site sets it up: one for a document of settings, one for a list."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit


class FormField(NamedTuple):
    """Field of a form: name, label, and kind: text (one line), area (several lines), lines (several lines of code),
    check (a box), choice (one of `choices`, (value, label) each), secret (typed unseen) or picture (a file, which the
    class's `store` takes from the visit; its class has `takes_files`). `hint`: sentence below the field, "" for none;
    `limit`: most characters of a text, 0 for no limit. Labels and hint are English; the template translates them.
    """

    name: str
    label: str
    kind: str = "text"
    hint: str = ""
    limit: int = 0
    choices: tuple[tuple[str, str], ...] = ()


class SettingsView(View):
    """Base class of forms for one document of settings. A subclass says what is special: `fields`, `load` and `store`,
    and where needed `reset`, `heading` and `notes`.

    `title` is English. `resets`: True shows a button that calls `reset`. `url_values`, of all methods: variable parts
    of the form's URL by name, {} for most forms.
    """

    title: ClassVar[str] = ""
    resets: ClassVar[bool] = False

    def fields(self, visit: Visit, url_values: dict[str, Any]) -> list[FormField]:
        """Return the fields of the form, in their order. `url_values`: variable parts of the form's URL by name."""
        raise NotImplementedError

    def load(self, visit: Visit, url_values: dict[str, Any]) -> dict[str, Any]:
        """Return the stored values by the fields' names, perhaps with others that the form has no field for: bool for
        the kind "check", else str. Raises Failure if the API refuses to show them. `url_values`: variable parts of the
        form's URL by name.
        """
        raise NotImplementedError

    def store(self, visit: Visit, url_values: dict[str, Any], typed: dict[str, Any]) -> None:
        """Store `typed`, the sent values by the fields' names, without those of the kind "picture": bool for the kind
        "check", else str. Raises Failure if the API refuses them. `url_values`: variable parts of the form's URL by
        name.
        """
        raise NotImplementedError

    def reset(self, visit: Visit, url_values: dict[str, Any]) -> None:
        """Delete the site's own settings, so that the platform's are in force. Raises Failure if the API refuses that;
        Refused with 400 in a class that does not override this. `url_values`: variable parts of the form's URL by name.
        """
        raise Refused(400)

    def heading(self, visit: Visit, url_values: dict[str, Any]) -> str:
        """Return the translated title of the page. `url_values`: variable parts of the form's URL by name."""
        return visit.language.gettext(self.title)

    def notes(self, visit: Visit, typed: dict[str, Any]) -> list[str]:
        """Return translated sentences about `typed`, the values that the form shows, stored or sent, to stand above the
        form; [] for none.
        """
        return []

    def get(self, visit: Visit, **url_values: Any) -> Answer:
        """Show the form with the stored values. Raises Refused for members who do not own the site, SignInFirst for
        guests and for a sign-in older than 30 minutes, and what `load` raises.
        """
        owner(visit)
        return self._show(visit, url_values, self.load(visit, url_values))

    def post(self, visit: Visit, **url_values: Any) -> Answer:
        """Store the sent values, or with `do` = "reset" in a class with `resets` call `reset`, and lead to the form; a
        refusal to store whose status is in FORM_REFUSALS (400, 403 and others) shows the form as it was filled in, with
        that status. Raises Refused for members who do not own the site, SignInFirst for guests and for a sign-in older
        than 30 minutes, Failure for other refusals.
        """
        owner(visit)
        if visit.field("do") == "reset" and self.resets:
            self.reset(visit, url_values)
            return visit.redirect(f"{visit.path}?saved=1")
        typed = {
            one.name: bool(visit.field(one.name)) if one.kind == "check" else visit.field(one.name)
            for one in self.fields(visit, url_values)
            if one.kind != "picture"
        }
        try:
            self.store(visit, url_values, typed)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, url_values, typed, failure)
        return visit.redirect(f"{visit.path}?saved=1")

    def _show(
        self,
        visit: Visit,
        url_values: dict[str, Any],
        values: dict[str, Any],
        failure: Failure | None = None,
    ) -> Answer:
        return visit.page(
            "admin_form.html",
            status=failure.status if failure else 200,
            heading=self.heading(visit, url_values),
            fields=self.fields(visit, url_values),
            values=values,
            failure=failure,
            resets=self.resets,
            notes=self.notes(visit, values),
            is_saved="saved" in visit.query and failure is None,
        )


class RowsView(View):
    """Base class of forms for the list at `path` of the API, which is replaced as a whole; each entry is a row of the
    fields `names`, (name, English label) each. `most`: entries that the list can have, beyond which no empty rows are
    shown. `title`: the page's, in English.
    """

    title: ClassVar[str] = ""
    names: ClassVar[tuple[tuple[str, str], ...]] = ()
    path: ClassVar[str] = ""
    most: ClassVar[int] = 10

    def get(self, visit: Visit) -> Answer:
        """Show the stored entries, and up to two empty rows for new ones. Raises Refused for members who do not own the
        site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(visit, visit.api.get(self.path))

    def post(self, visit: Visit) -> Answer:
        """Store the sent rows as the whole list, without those whose first field is empty; with `do` = "reset" delete
        the site's own list, so that the platform's is in force, or, for the menu, none; lead to the form. A refusal to
        store whose status is in FORM_REFUSALS (400, 403 and others) shows the sent rows again, with that status. Raises
        Refused for members who do not own the site, SignInFirst for guests and for a sign-in older than 30 minutes,
        Failure for other refusals.
        """
        owner(visit)
        if visit.field("do") == "reset":
            visit.api.delete(self.path)
            return visit.redirect(f"{visit.path}?saved=1")
        columns = [
            visit.form.getlist(name) if visit.form is not None else [] for name, _ in self.names
        ]
        rows = [
            {name: value for (name, _), value in zip(self.names, row, strict=True)}
            for row in zip(*columns, strict=False)
            if row[0].strip()
        ]
        try:
            visit.api.put(self.path, rows)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, rows, failure)
        return visit.redirect(f"{visit.path}?saved=1")

    def _show(
        self, visit: Visit, rows: list[dict[str, Any]], failure: Failure | None = None
    ) -> Answer:
        empty: list[dict[str, Any]] = [{} for _ in range(min(2, max(0, self.most - len(rows))))]
        return visit.page(
            "admin_rows.html",
            status=failure.status if failure else 200,
            heading=visit.language.gettext(self.title),
            names=self.names,
            rows=[*rows, *empty],
            failure=failure,
            is_saved="saved" in visit.query and failure is None,
        )
