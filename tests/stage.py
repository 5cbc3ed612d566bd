"""An application in this process on a real database, and requests through its whole WSGI stack.

Unlike the client of `tests.api` it can be asked from any address, and its parts can be looked at between requests.
"""

from __future__ import annotations

import io
import itertools
import json as jsonlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from forumapi import itemtypes, routes
from forumapi.app import App
from forumapi.config import Config
from forumapi.request.processor import respond
from tests import recorded_examples, schema_check
from tests.api import Headers, Response
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import PROJECT
from tests.services import mailed

ADDRESS = "192.0.2.1"
_hosts = itertools.count(1)


def new_address() -> str:
    """An address that nobody has called from."""
    number = next(_hosts)
    return f"198.51.{number // 250}.{number % 250 + 1}"


@contextmanager
def staged(url: str, folder: Path, **settings: Any) -> Iterator[Stage]:
    """A stage for the length of a with statement."""
    made = Stage(url, folder, **settings)
    try:
        yield made
    finally:
        made.close()


def forumapi(url: str, *words: str) -> str:
    """Return what a command says that an operator calls on this database."""
    done = subprocess.run(
        [sys.executable, "-m", "forumapi", *words],
        env=os.environ | {"FORUMAPI_DATABASE_URL": url},
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


class Stage:
    """One application. `site` has the usual cast; `settings` are laid over those of a test."""

    def __init__(self, url: str, folder: Path, **settings: Any) -> None:
        given: dict[str, Any] = {
            "environment": "embedded",
            "webclient": False,
            "data_dir": str(folder),
            "server_timing_header": True,
            "rate_limit_token_per_minute": 0,
            "rate_limit_address_per_minute": 0,
            "crawl_budget_per_minute": 0,
            **settings,
        }
        self.config = Config(**given)
        self.url = url
        self.app = App(self.config, routes.ROOT, routes.SITE, url)
        self.make = Factory(self.app.database, self.config.platform_domain)
        self.site = self.make.site()
        # What the tests of other files tried from the same address counts in this database, too.
        self.sql("DELETE FROM attempt_counters RETURNING 1")

    def close(self) -> None:
        """End what was started."""
        self.app.database.close()

    # ---------------------------------------------------------------- what the factories have no call for

    def sql(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return self.make.sql(statement, **params)

    def huddle(self, *people: Person) -> Thing:
        """A huddle that the first of `people` made, with all of them in it."""
        site = people[0].site
        ((id,),) = self.sql(
            """INSERT INTO items (site_id, item_type_id, title, created_by)
               VALUES (%(site)s, 5, 'Between us', %(by)s) RETURNING item_id""",
            site=site.id,
            by=people[0].id,
        )
        self.sql("INSERT INTO huddles (site_id, item_id) VALUES (%(s)s, %(h)s)", s=site.id, h=id)
        for person in people:
            self.sql(
                """INSERT INTO huddle_participants (site_id, item_id, profile_id)
                   VALUES (%(s)s, %(h)s, %(p)s)""",
                s=site.id,
                h=id,
                p=person.id,
            )
        return Thing(site, itemtypes.HUDDLE, id)

    def watch(self, person: Person, item_type: int, item_id: int, *, email: bool = False) -> int:
        """The id of a new watcher."""
        ((id,),) = self.sql(
            """INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
               VALUES (%(s)s, %(p)s, %(t)s, %(i)s, %(e)s) RETURNING watcher_id""",
            s=person.site.id,
            p=person.id,
            t=item_type,
            i=item_id,
            e=email,
        )
        return int(id)

    # ---------------------------------------------------------------- requests

    def request(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        site: Site | None = None,
        host: str = "",
        by: Person | None = None,
        token: str = "",
        form: Mapping[str, str] | None = None,
        raw: tuple[bytes, str] | None = None,
        headers: Mapping[str, str] | None = None,
        ip: str = ADDRESS,
        below: str = "/api/v1",
    ) -> Response:
        """One request; `path` is below `below`. On `site`, else on the site of `by`, else on the stage's own."""
        where = site or (by.site if by else self.site)
        # `raw`: a body, and its Content-Type.
        address, _, query = f"{below}{path}".partition("?")
        body = b"" if json is None else jsonlib.dumps(json).encode()
        kind = "application/json"
        if form is not None:
            body, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
        if raw is not None:
            body, kind = raw
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": address,
            "QUERY_STRING": query,
            "HTTP_HOST": host or where.host,
            "REMOTE_ADDR": ip,
            "CONTENT_TYPE": kind,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        secret = token or (by.token if by else "")
        if secret:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
        for name, value in (headers or {}).items():
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        line, given, data = respond(self.app, environ)
        whole = data if isinstance(data, bytes) else b"".join(data)
        answer = Response(int(line[:3]), Headers(given), whole)
        schema_check.check(answer, method, f"{below}{path}", headers=headers or {})
        if recorded_examples.FOLDER:
            sent = {"Host": host or where.host, "Content-Type": kind, **(headers or {})}
            recorded_examples.record(method, f"{below}{path}", sent, body or None, answer)
        return answer

    def get(self, path: str, **how: Any) -> Response:
        """A GET."""
        return self.request("GET", path, **how)

    def post(self, path: str, json: Any = None, **how: Any) -> Response:
        """A POST."""
        return self.request("POST", path, json, **how)

    def put(self, path: str, json: Any = None, **how: Any) -> Response:
        """A PUT."""
        return self.request("PUT", path, json, **how)

    def page(self, method: str, path: str, site: Site) -> Response:
        """A request for one of the engine's own pages."""
        return self.request(method, path, site=site, below="")

    def member_flag(self, person: Person, value: Any, **how: Any) -> Response:
        """A PATCH of `/member`."""
        change = [{"op": "replace", "path": "/member", "value": value}]
        return self.request("PATCH", f"/profiles/{person.id}", change, **how)

    def can(self, by: Person | None = None, *, site: Site | None = None, **query: Any) -> str:
        """The permissions that are true, in wire order: `read guest`."""
        answer = self.get(f"/permission?{urlencode(query)}", by=by, site=site)
        assert answer.status == 200, answer.body
        return " ".join(name for name, value in answer.data.items() if value)

    def can_on(self, by: Person | None, thing: Thing) -> str:
        """The permissions on an item, as `can`."""
        kind = itemtypes.name_of(thing.type)
        return self.can(by, site=thing.site, itemType=kind, itemId=thing.id)

    # ---------------------------------------------------------------- mail

    def mails(self) -> list[str]:
        """Sends what is due; all mails of the database, oldest first, also those that other processes on it sent."""
        self.app.mail.flush()
        return [path.read_text() for path in mailed(self.config.data_path)]
