"""Import of another product's forum into a site, by its owner: a dump is uploaded, planned, loaded, compared and
undone, and the old addresses are switched to it. Wire: docs/api/import.md.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.errors import FILE_TOO_LARGE, OUT_OF_RANGE, Conflict, Invalid, TooLarge, known
from forumapi.files.thumbnails import scratch
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.mail import outbox
from forumapi.models.access import rate_counters
from forumapi.models.access.fresh_sign_in import FreshSignIn
from forumapi.models.access.rate_counters import DAY_S, Limit
from forumapi.models.access.totp import Totp, count_try
from forumapi.models.content import file
from forumapi.models.content.file import Quota
from forumapi.models.sites import site_import
from forumapi.models.sites.site_import import (
    FAILED,
    RUN,
    RUNNING,
    UNDO,
    VERIFY,
    ImportRequest,
    SiteImport,
)
from forumapi.models.usage.site_plan import IMPORTS
from forumapi.permissions.evaluator import Target
from forumapi.porting import readers
from forumapi.porting.loading.imported_ids import Origin
from forumapi.request import multipart, permission
from forumapi.request.context import Context, Located
from forumapi.request.handler import OWNER, needs
from forumapi.request.handler_results import Accepted, Data, Done, Result
from forumapi.request.multipart import UploadLimits
from forumapi.wire import json_fragments, paging
from forumapi.wire.body import given
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import sites as schemas

_IMPORT: Final = "/api/v1/site/import"
_SWITCH: Final = "switch"
_TASKS: Final = (RUN, VERIFY, UNDO, _SWITCH)
# Uploads for a site within a day.
PER_DAY: Final = Limit("site-import", 20, DAY_S)
# Bytes of the body beside the file.
_FORM: Final = 256 * 1024
_MAX_TITLE: Final = 100
_MAX_NAME: Final = 64
_MAX_ADDRESS: Final = 500
_MAX_LISTED: Final = 50


class ImportTaskBody(Struct):
    """Body of PUT /site/import. `task`: run, verify, undo or switch; `untouched`, for undo: true removes only what
    nobody has used since the import, false or absent all that was loaded; `on`, for switch: true or absent lets the
    forum's old addresses lead here, false ends that.
    """

    task: Annotated[str, closed(_TASKS)] | UnsetType = UNSET
    untouched: bool | UnsetType = UNSET
    on: bool | UnsetType = UNSET


class SiteImportHandler(SiteSettingHandler):
    """The import of a forum into this site, the latest that its owner began."""

    takes_idempotency_key = False
    receives_files = True
    closed_in_sandboxes = ("POST", "PUT")
    also_answers: ClassVar = {"POST": (409, 429), "PUT": (409,)}
    form_fields: ClassVar = {
        "product": "The software that the forum ran on; detected if absent.",
        "title": "A name for this import, if the site has several; `import` if absent.",
        "granted[]": "A field of people that counts for roles' criteria, since the owner vouches for it.",
        "address[]": "An address that the forum had, as https://forum.example.org/board.",
        "prefix": "What the names of the dump's tables begin with, where it holds several forums.",
        "encoding": "The character set of a dump that names a wrong one.",
        "secondFactor": "A code of the app or a recovery code, of owners who have one.",
    }

    @contextlib.contextmanager
    def take_files(self, ctx: Context) -> Iterator[None]:
        """Receive the dump, and put it into the store; `ctx.body` is then an `ImportRequest`, whose row is inserted
        inside the block.

        What can be refused without the body is refused before any of it is read, the rest before the dump goes into the
        store. Each request whose body is read counts towards PER_DAY and the plan's imports, and each code of the
        second factor as a try. Raises Forbidden for all but the owner, and for an owner without a sign-in within the
        last ten minutes; Conflict while a task is under way; PlanLimit and TooMany beyond the number of imports or
        tries; TooLarge beyond the limit of a dump or the site's quota; Invalid for a bad form, field or code.
        """
        ctx.located = Located(Target(itemtypes.SITE, ctx.site.id))
        permission.permit(ctx, OWNER)
        session = FreshSignIn.find(ctx.reader, ctx.identity)
        session.check()
        multipart.boundary(ctx.environ.get("CONTENT_TYPE", ""))
        app, config = ctx.app, ctx.app.config
        if not config.import_file_limit:
            raise TooLarge("Owners import nothing on this platform", code=FILE_TOO_LARGE)
        length = ctx.environ.get("CONTENT_LENGTH") or ""
        _check_room(ctx, ctx.reader, int(length) - _FORM if length.isdigit() else 0)
        app.plans.check(ctx.reader, ctx.site, IMPORTS)
        ctx.reader.end()
        with app.database.write() as tx:
            rate_counters.take(tx, PER_DAY, str(ctx.site.id))
        app.plans.add(ctx.site.id, IMPORTS)
        limits = UploadLimits(config.import_file_limit + _FORM, config.import_file_limit)
        with scratch(app.storage) as folder:
            fields: dict[str, list[str]] = {}
            parts = multipart.receive(ctx.environ, folder, limits, fields)
            if len(parts) != 1:
                raise Invalid("file", "must be one file")
            object = secrets.token_hex(20)
            request = _request(fields, object, parts[0].size)
            if session.has_factor:
                # A transaction of its own, so that a wrong code counts too.
                with app.database.write() as tx:
                    count_try(tx, session.user_id)
            with app.database.write() as tx:
                code = fields.get("secondFactor", [""])[-1]
                if session.has_factor and not Totp.use_code(tx, session.user_id, code):
                    raise Invalid("secondFactor", "is required, and is wrong, used or expired")
                # Another upload may have come while this one was received.
                _check_room(ctx, tx, request.bytes)
                file.announce(tx, [object])
            app.storage.put(object, parts[0].path, "application/octet-stream")
            ctx.raw_body = b""
            ctx.body = request
            yield

    @needs(OWNER, answer=schemas.SiteImport)
    def get(self, ctx: Context) -> Result:
        """The latest task with its progress, and the results of the tasks before; 404 if there is no import."""
        found = known(SiteImport.find(ctx.reader, ctx.site.id), "import")
        return Data(json_fragments.dumps(_document(found)))

    @needs(OWNER, status=202)
    def post(self, ctx: Context) -> Result:
        """Upload a dump as a form, and begin in the background the plan, which tells what would be loaded; nothing is
        loaded by that.

        The request needs a sign-in within the last ten minutes, else 403 with code 26, and a code of the second factor
        of owners who have one, else 400. The dump replaces the dump before; an import with the same title continues
        with the new dump. 409 while a task is under way, 413 beyond the limit or the site's quota, 429 after 20 within
        a day, or as many as the site's plan allows. The owner gets a mail. The answer is 202.
        """
        request: ImportRequest = ctx.body_as(ImportRequest)
        session = FreshSignIn.find(ctx.reader, ctx.identity)
        database, author = ctx.app.database, ctx.author
        ctx.end_writer()
        with database.write() as tx:
            used = request.insert(tx, author, session.user_id, ctx.identity.token_id)
            if used is None:
                raise _underway()
            _quota(ctx).check(used, 0)
            _notify(ctx, session, tx)
            site_import.audit(tx, author)
        return Accepted(_IMPORT)

    @needs(OWNER, body=ImportTaskBody, status=202)
    def put(self, ctx: Context, sent: ImportTaskBody) -> Result:
        """Begin the next task in the background: `run` loads the dump, `verify` compares what was loaded with the dump,
        `undo` removes what was loaded. `switch` lets the old forum's addresses lead to what was loaded, at once; with
        `on` false they lead nowhere.

        The request needs the session that uploaded the dump, or one with a sign-in within the last ten minutes, else
        403 with code 26; `undo` needs such a sign-in in any case. 404 if there is no import; 409 while a task is under
        way; for `run` without a plan, `verify` and `undo` while nothing is loaded, and `switch` before the whole dump
        is loaded; and for `run` and `verify` once the upload is gone. Else 202.
        """
        task = given(sent.task, "")
        if task not in _TASKS:
            raise Invalid("task", f"must be one of {', '.join(_TASKS)}", code=OUT_OF_RANGE)
        found = known(SiteImport.find(ctx.writer, ctx.site.id), "import")
        session = FreshSignIn.find(ctx.writer, ctx.identity)
        if task == UNDO or ctx.identity.token_id != found.token_id:
            session.check()
        if found.is_underway:
            raise _underway()
        if task in (RUN, VERIFY) and not found.has_upload:
            raise Conflict("The upload is gone: upload the dump again")
        if task == RUN and found.plan is None:
            raise Conflict("There is no plan of this dump")
        if task in (VERIFY, UNDO) and not found.stage:
            raise Conflict("Nothing of it was loaded")
        if task == _SWITCH:
            self._switch(ctx, found, on=given(sent.on, True))
        else:
            untouched = given(sent.untouched, False)
            if not SiteImport.queue(ctx.writer, ctx.site.id, task, untouched=untouched):
                raise _underway()
        site_import.audit(ctx.writer, ctx.author)
        return Accepted(_IMPORT)

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Stop the task that is under way, and delete the upload; 200 also if there is no task or upload. What was
        loaded stays.
        """
        SiteImport.cancel(ctx.writer, ctx.site.id)
        SiteImport.drop(ctx.writer, ctx.site.id)
        return Done()

    @staticmethod
    def _switch(ctx: Context, found: SiteImport, *, on: bool) -> None:
        origin = Origin.find(ctx.writer, ctx.site.id, found.title)
        if origin is None or (on and origin.stage != "done"):
            raise Conflict("Nothing is loaded whole")
        origin.switch(ctx.writer, on=on)


class ImportLeftoversHandler(SiteSettingHandler):
    """Documents that the latest import left out."""

    @needs(OWNER, answer=schemas.ImportLeftovers, paged=True)
    def get(self, ctx: Context) -> Result:
        """Each document that was left out, with its reason, sorted by kind and old id; 404 if there is no import."""
        found = known(SiteImport.find(ctx.reader, ctx.site.id), "import")
        at = ctx.paging
        paging.check(found.left_out, at)
        rows = site_import.left_out(ctx.reader, ctx.site.id, at.limit, at.offset)
        items = json_fragments.dumps(rows)
        return Data(ctx.listed("leftovers", items, found.left_out))


def _quota(ctx: Context) -> Quota:
    plans, site = ctx.app.plans, ctx.site
    return Quota(ctx.app.config.file_quota_site_mb, 0, lambda size: plans.check_stored(site, size))


def _check_room(ctx: Context, tx: Reader, size: int) -> None:
    """Check, by what `tx` reads, that an upload of `size` bytes (0 or less: not known) may take the place of the site's
    earlier one. Raises Conflict while a task is under way, TooLarge beyond the site's quota.
    """
    found = SiteImport.find(tx, ctx.site.id)
    if found is not None and found.is_underway:
        raise _underway()
    freed = found.size if found is not None and found.has_upload else 0
    used, _ = file.usage(tx, ctx.site.id, 0)
    _quota(ctx).check(used - freed + max(0, size), 0)


def _underway() -> Conflict:
    return Conflict("An import into this site is under way")


def _request(fields: dict[str, list[str]], object: str, size: int) -> ImportRequest:
    """Return the import that the fields of a form ask for; `fields`: the values sent, by name. `object`, `size`: name
    in the store and bytes of the uploaded dump. Raises Invalid for an unknown product, a bad address or a text that is
    too long.
    """

    def one(name: str, most: int) -> str:
        value = fields.get(name, [""])[-1].strip()
        if len(value) > most or not (value.isprintable() or not value):
            raise Invalid(name, f"must be at most {most} printable characters", code=OUT_OF_RANGE)
        return value

    product = one("product", _MAX_NAME)
    if product and product not in readers.NAMES:
        raise Invalid("product", f"must be one of {', '.join(readers.NAMES)}", code=OUT_OF_RANGE)
    addresses = _listed(fields, "address", _MAX_ADDRESS)
    for address in addresses:
        if not address.startswith(("http://", "https://")) or not _host(address):
            raise Invalid("address", "must be an address such as https://forum.example.org/board")
    return ImportRequest(
        one("title", _MAX_TITLE) or "import",
        product,
        one("prefix", _MAX_NAME) or None,
        one("encoding", _MAX_NAME),
        addresses,
        _listed(fields, "granted", _MAX_TITLE),
        object,
        size,
    )


def _listed(fields: dict[str, list[str]], name: str, most: int) -> Sequence[str]:
    """Return the values in `fields` of the form's field `name`, which may be there several times, without empty ones,
    in the order sent. Raises Invalid for more than _MAX_LISTED, and for one of more than `most` characters or with
    unprintable ones.
    """
    values = [value for sent in fields.get(name, []) if (value := sent.strip())]
    if len(values) > _MAX_LISTED:
        raise Invalid(name, f"may be there at most {_MAX_LISTED} times", code=OUT_OF_RANGE)
    if any(len(value) > most or not value.isprintable() for value in values):
        raise Invalid(name, f"must be at most {most} printable characters", code=OUT_OF_RANGE)
    return values


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _document(found: SiteImport) -> dict[str, Any]:
    shown: dict[str, Any] = {"state": found.state, "task": found.task, "title": found.title}
    if found.product:
        shown["product"] = found.product
    shown["created"] = json_fragments.format_time(found.created)
    for name, time in (("started", found.started), ("finished", found.finished)):
        if time is not None:
            shown[name] = json_fragments.format_time(time)
    if found.state == FAILED:
        shown["reason"] = found.reason
    if found.phase:
        shown["phase"] = found.phase
    shown |= {"done": found.done, "total": found.total}
    if found.state == RUNNING:
        if found.whole:
            shown["percent"] = min(99, found.documents * 100 // found.whole)
        if found.seconds_left is not None:
            shown["secondsLeft"] = found.seconds_left
    if found.has_upload:
        shown["size"] = found.size
    if found.expires is not None:
        shown["expires"] = json_fragments.format_time(found.expires)
    for name in ("plan", "verification", "undoing"):
        if (result := getattr(found, name)) is not None:
            shown[name] = json_fragments.raw(result.encode())
    return shown | {
        "isLoaded": found.stage == "done",
        "isResolved": found.is_resolved,
        "leftOut": found.left_out,
    }


def _notify(ctx: Context, session: FreshSignIn, tx: Any) -> None:
    if not outbox.is_possible(ctx.app.config):
        return
    title = outbox.plain(ctx.site.title)
    for email in site_import.owners(tx, ctx.site.id, session.user_id):
        outbox.queue_notice(
            tx,
            "site_import",
            cause=f"site-import:{secrets.token_hex(16)}",
            site_id=ctx.site.id,
            recipient=email,
            subject=f"An import into {title} was begun",
            site_title=title,
            ip=ctx.ip,
        )
    tx.after_commit(ctx.app.mail.wake)
