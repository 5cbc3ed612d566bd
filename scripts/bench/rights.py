"""Benchmark of changes of rights on a large site, and of sign-ins: their time, and how long others wait meanwhile.

Uses a site of its own with 20,000 profiles, 200 microcosms and 50 roles, made once in a data set.
"""

from __future__ import annotations

import itertools
import json
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import psycopg

from forumapi.database.connections import Database
from forumapi.database.query import Query
from forumapi.models.access.access_token import AccessToken
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms.microcosm import Microcosm, MicrocosmColumns
from forumapi.models.people.profile import Profile
from forumapi.models.people.user import User
from forumapi.models.sites.site import Site
from forumapi.models.sites.site_validation import SiteBody
from scripts.bench.exchange import Answer, Request
from scripts.bench.services import DOMAIN, Server

KEY: Final = "rights"
PEOPLE: Final = 20_000
MICROCOSMS: Final = 200
ROLES: Final = 50

WAIT_MS: Final = 100.0
CHANGE_MS: Final = 200.0
SIGN_IN_MS: Final = 50.0
MOVES: Final = 6
CHANGES: Final = 50
SIGN_INS: Final = 100
GAINED_S: Final = 60.0

ADD_PEOPLE: Final = """
    WITH people AS (
        INSERT INTO users (email, canonical_email, person_key, email_verified)
        SELECT a.email, a.email, a.email, true
          FROM (SELECT 'crowd' || n || '@rights.test' AS email FROM generate_series(1, %(people)s) AS n) a
     RETURNING user_id),
    made AS (
        INSERT INTO profiles (site_id, user_id, profile_name)
        SELECT %(site_id)s, p.user_id, 'crowd' || p.user_id FROM people p
     RETURNING site_id, profile_id, profile_name),
    options AS (INSERT INTO profile_options (site_id, profile_id) SELECT m.site_id, m.profile_id FROM made m)
    INSERT INTO profile_counters (site_id, profile_id, name_key)
    SELECT m.site_id, m.profile_id, m.profile_name FROM made m"""

ROOT: Final = Query(
    "bench.rights_site",
    """
    SELECT m.microcosm_id, s.owned_by
      FROM microcosms m
      JOIN sites s ON s.site_id = m.site_id
     WHERE m.site_id = %(site_id)s AND m.parent_id IS NULL""",
)


@dataclass(frozen=True)
class Rights:
    """Result in milliseconds. `waited`: the longest that a comment took beside such changes; `undisturbed`: without
    them.
    """

    waited_ms: float
    undisturbed_ms: float
    moved_ms: float
    """From the request that moves 20,000 profiles to its answer, the median."""
    changed_ms: tuple[float, float]
    """From a change of a role's rights until a member of it was answered by them: median and longest."""
    signed_in_ms: tuple[float, float]
    """A sign-in by a code that was mailed: median and 99th of a hundred."""
    wrong: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Return True if the targets are met."""
        return (
            not self.wrong
            and self.waited_ms <= WAIT_MS
            and self.changed_ms[1] <= CHANGE_MS
            and self.signed_in_ms[1] <= SIGN_IN_MS
        )

    def words(self) -> str:
        """Return the figures as text for people."""
        changed, longest = self.changed_ms
        signed_in, slow = self.signed_in_ms
        return (
            f"A criterion that moves {PEOPLE:,} profiles ({self.moved_ms:,.0f} ms): comments meanwhile took "
            f"{self.waited_ms:.0f} ms at most, {self.undisturbed_ms:.0f} without it (≤ {WAIT_MS:.0f}). "
            f"A change of rights of one of {ROLES} roles: median {changed:.0f} ms, longest {longest:.0f} "
            f"(≤ {CHANGE_MS:.0f}). Sign-in: median {signed_in:.0f} ms, p99 {slow:.0f} (≤ {SIGN_IN_MS:.0f})"
        )


class Bench:
    """The site that is used, and the tokens of those who act on it."""

    def __init__(self, url: str, web: Server) -> None:
        self.web = web
        self.wrong: list[str] = []
        self.host = f"{KEY}.{DOMAIN}"
        self._texts = itertools.count(time.time_ns())
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("SET statement_timeout = 0")
        database = Database(url, size=2)
        try:
            self._provide(database)
            with database.write() as tx:
                owner = User.find_or_create(tx, "owner@rights.test", is_verified=True).id
                writer = User.find_or_create(tx, "writer@rights.test", is_verified=True).id
                self.owner = AccessToken.insert_session(tx, owner)
                self.writer = AccessToken.insert_session(tx, writer)
        finally:
            database.close()

    def _provide(self, database: Database) -> None:
        found = self._one("SELECT site_id FROM sites WHERE subdomain_key = %s", [KEY])
        if found is None:
            with database.write() as tx:
                owner = User.find_or_create(tx, "owner@rights.test", is_verified=True).id
                body = SiteBody(subdomainKey=KEY, title="Rights", description="A large one")
                site_id = Site.insert(tx, body, user_id=owner, platform_domain=DOMAIN)
                root_id, owned_by = tx.rows(ROOT, site_id=site_id)[0]
                writer = User.find_or_create(tx, "writer@rights.test", is_verified=True)
                Profile.insert(tx, site_id, writer.id, "writer")
                Microcosm.lock_tree(tx, site_id)
                for number in range(MICROCOSMS):
                    columns = MicrocosmColumns(
                        f"Place {number}", "A place", "", "public", (2, 6, 7, 9)
                    )
                    Microcosm.insert(tx, Author(site_id, owned_by, ""), root_id, columns)
        self.site_id, self.root_id = self._row(
            """SELECT m.site_id, m.microcosm_id FROM microcosms m JOIN sites s ON s.site_id = m.site_id
                WHERE s.subdomain_key = %s AND m.parent_id IS NULL""",
            [KEY],
        )
        (people,) = self._row("SELECT count(*) FROM profiles WHERE site_id = %s", [self.site_id])
        if people < PEOPLE:
            self._connection.execute(ADD_PEOPLE, {"site_id": self.site_id, "people": PEOPLE})
            self._connection.execute("ANALYZE profiles, profile_counters")
        self.places = [
            row[0]
            for row in self._connection.execute(
                "SELECT microcosm_id FROM microcosms WHERE site_id = %s AND parent_id IS NOT NULL ORDER BY 1",
                [self.site_id],
            )
        ]

    def _one(self, statement: str, params: list[Any]) -> tuple[Any, ...] | None:
        return self._connection.execute(statement.encode(), params).fetchone()

    def _row(self, statement: str, params: list[Any]) -> tuple[Any, ...]:
        row = self._one(statement, params)
        assert row is not None, statement
        return row

    def ask(
        self, method: str, path: str, sent: Any = None, token: str = "", status: int = 302
    ) -> Answer:
        """Send one request and return its answer; one with another status than `status` is noted as wrong."""
        body = b"" if sent is None else json.dumps(sent).encode()
        answer = self.web.ask(Request(method, path, self.host, token or self.owner, body))
        if answer.status != status:
            self.wrong.append(f"{method} {path} answered {answer.status}: {answer.body[:200]!r}")
        return answer

    # ---------------------------------------------------------------- parts

    def roles(self) -> list[str]:
        """Return the addresses of 50 roles with a criterion each; those that are missing are made."""
        found = self._connection.execute(
            """SELECT microcosm_id, role_id FROM roles WHERE site_id = %s AND title LIKE 'Bench%%' ORDER BY role_id""",
            [self.site_id],
        ).fetchall()
        made = [f"/api/v1/microcosms/{place}/roles/{id}" for place, id in found]
        for number in range(len(made), ROLES):
            sent = {
                "title": f"Bench {number}",
                "read": True,
                "create": True,
                "includeUsers": number == 0,
            }
            address = f"/api/v1/microcosms/{self.places[number]}/roles"
            path = self.ask("POST", address, sent).headers.get("location", "")
            column = {
                "profileColumn": "commentCount",
                "predicate": "ge",
                "value": 1_000_000 + number,
            }
            self.ask("POST", f"{path}/criteria", column)
            made.append(path)
        return made

    def moves(self, path: str) -> tuple[float, float, float]:
        """Change criteria so that all members enter and leave a role; return the longest comment beside that, the
        longest without, and the median answer.
        """
        chat = self.ask(
            "POST",
            "/api/v1/conversations",
            {"microcosmId": self.places[-1], "title": f"Beside {next(self._texts)}"},
        ).headers.get("location", "/0")
        role_id = int(path.rsplit("/", 1)[1])
        # The writer's own count is what the criterion asks for, so that each comment settles roles too.
        everybody = {"orGroup": 9, "profileColumn": "commentCount", "predicate": "ge", "value": 0}
        over, took = threading.Event(), []

        def write() -> None:
            while not over.is_set():
                began = time.perf_counter()
                self.comment(int(chat.rsplit("/", 1)[1]))
                took.append((time.perf_counter() - began) * 1000)

        def beside(work: Callable[[], None]) -> float:
            over.clear()
            took.clear()
            writer = threading.Thread(target=write)
            writer.start()
            work()
            over.set()
            writer.join()
            return max(took)

        undisturbed = beside(lambda: time.sleep(2.0))
        answered: list[float] = []

        def move() -> None:
            for _ in range(MOVES // 2):
                for method, address, sent, members in (
                    ("POST", f"{path}/criteria", everybody, PEOPLE),
                    ("DELETE", f"{path}/criteria", [], 0),
                ):
                    began = time.perf_counter()
                    self.ask(method, address, sent, status=302 if method == "POST" else 200)
                    answered.append((time.perf_counter() - began) * 1000)
                    self._until(role_id, members)

        waited = beside(move)
        return waited, undisturbed, statistics.median(answered)

    def _until(self, role_id: int, members: int) -> None:
        """Wait until `members` or more are in the role, or for 0 check that none is in it now; a failure is noted as
        wrong.
        """
        count = "SELECT count(*) FROM profiles WHERE site_id = %s AND %s = ANY(role_ids)"
        end = time.monotonic() + (GAINED_S if members else 0.0)
        while True:
            found = self._row(count, [self.site_id, role_id])[0]
            if found >= members if members else found == 0:
                return
            if time.monotonic() >= end:
                self.wrong.append(f"{found} in the role instead of {members}")
                return
            time.sleep(0.05)

    def comment(self, chat: int) -> None:
        """Post one comment in the conversation `chat`, as a member."""
        text = f"Beside a change of rights, number {next(self._texts)}"
        sent = {"itemType": "conversation", "itemId": chat, "markdown": text}
        self.ask("POST", "/api/v1/comments", sent, self.writer)

    def changes(self, path: str) -> list[float]:
        """Return for many changes of a role the milliseconds until a member reads by it."""
        place = path.rsplit("/roles/", 1)[0]
        found = []
        for number in range(CHANGES):
            reads = number % 2 == 1
            began = time.perf_counter()
            self.ask(
                "PATCH", path, [{"op": "replace", "path": "/read", "value": reads}], status=200
            )
            wanted = HTTPStatus.OK if reads else HTTPStatus.FORBIDDEN
            self.ask("GET", place, token=self.writer, status=wanted)
            found.append((time.perf_counter() - began) * 1000)
        return found

    def sign_ins(self) -> list[float]:
        """Return for a hundred members the milliseconds of the second step of signing in by mail."""
        found = []
        for number in range(1, SIGN_INS + 1):
            address = f"crowd{number}@rights.test"
            begin = {"method": "email-code", "email": address}
            self.ask("POST", "/api/v1/auth", begin, status=200)
            (subject,) = self._row(
                "SELECT subject FROM mail_outbox WHERE recipient = %s ORDER BY mail_id DESC LIMIT 1",
                [address],
            )
            began = time.perf_counter()
            self.ask("POST", "/api/v1/auth", begin | {"code": subject.split()[0]}, status=200)
            found.append((time.perf_counter() - began) * 1000)
        return found

    def run(self) -> Rights:
        """Measure everything, after a round to warm up."""
        paths = self.roles()
        self.changes(paths[0])
        changed = self.changes(paths[0])
        waited, undisturbed, moved = self.moves(paths[-1])
        signed_in = sorted(self.sign_ins())
        self._connection.close()
        return Rights(
            waited,
            undisturbed,
            moved,
            (statistics.median(changed), max(changed)),
            (statistics.median(signed_in), signed_in[int(0.99 * len(signed_in)) - 1]),
            tuple(dict.fromkeys(self.wrong))[:3],
        )


SETTINGS: Final = {
    # Codes are read from the outbox; nobody takes mail there.
    "smtp_url": "smtp://127.0.0.1:9",
    "sign_in_codes_per_client_address": "100000",
    "sign_in_codes_per_email": "100000",
    "sign_in_tries_per_client_address": "100000",
    "sign_in_tries_per_email": "100000",
}
