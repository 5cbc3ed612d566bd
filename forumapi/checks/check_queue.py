"""Queue of texts to be checked, filled by a reader of the event log; facts about a text; what a verdict leads to."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from html import unescape
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.checks.check import CheckedText
from forumapi.database import site_turns
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.events.event_log import LoggedEvent
from forumapi.itemtypes import ItemRef
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.trust import targets
from forumapi.wire.json_fragments import dumps, format_time, loads

WAITING: Final = "waiting"
PASSED: Final = "passed"
HELD: Final = "held"
GONE: Final = "gone"
# Seconds for which a process has a text to itself, tries until services count as failed, days that verdicts are kept.
LEASE_S: Final = 60
MOST_ATTEMPTS: Final = 5
KEPT_DAYS: Final = 90
DUE_DAYS: Final = 3
# Characters of a text that are enough to know it again elsewhere.
_SAYING: Final = 20

_LINK: Final = re.compile(r"(?:https?://|(?<![\w.@/])www\.)([^\s/<>\"'()\[\]?#:]+)", re.IGNORECASE)

BEHIND = Query(
    "check_queue.behind",
    """
    SELECT h.site_id
      FROM event_heads h
      JOIN site_settings s ON s.site_id = h.site_id AND s.key = 'checks'
      LEFT JOIN event_cursors c ON c.reader = %(reader)s AND c.site_id = h.site_id
     WHERE h.number > coalesce(c.number, 0)
     ORDER BY h.site_id""",
    scope=PLATFORM,
)
# What was held as it was written has its verdict: it is not judged again once a moderator has shown it. Such a row is
# done at the time at which it was made, that of its event.
INSERT = Query(
    "check_queue.insert",
    f"""
    INSERT INTO content_checks (site_id, item_type_id, item_id, author_id)
    SELECT %(site_id)s, n.item_type, n.item_id, coalesce(c.created_by, i.created_by)
      FROM unnest(%(item_types)s::smallint[], %(item_ids)s::bigint[], %(times)s::timestamptz[])
           AS n (item_type, item_id, written)
      LEFT JOIN comments c ON n.item_type = {itemtypes.COMMENT} AND c.site_id = %(site_id)s AND c.comment_id = n.item_id
      LEFT JOIN items i ON n.item_type <> {itemtypes.COMMENT} AND i.site_id = %(site_id)s AND i.item_id = n.item_id
     WHERE coalesce(c.created_by, i.created_by) IS NOT NULL
       AND NOT EXISTS (SELECT FROM content_checks k
                        WHERE k.site_id = %(site_id)s AND k.item_type_id = n.item_type AND k.item_id = n.item_id
                          AND k.state = 'held' AND k.done = k.created AND k.created >= n.written)""",
)
# The lease: no other process takes the row meanwhile.
CLAIM = Query(
    "check_queue.claim",
    f"""{
        site_turns.claim(
            "content_checks",
            "q.site_id, q.check_id",
            waits="q.state = 'waiting'",
            is_due="q.not_before <= now()",
            order="q.not_before, q.check_id",
        )
    }
    UPDATE content_checks k
       SET attempts = k.attempts + 1, not_before = now() + make_interval(secs => %(lease_s)s::int)
      FROM due
     WHERE k.site_id = due.site_id AND k.check_id = due.check_id
 RETURNING k.site_id, k.check_id, k.item_type_id, k.item_id, k.author_id, k.attempts""",
    scope=PLATFORM,
)
_OTHERS: Final = "c.site_id = %(site_id)s AND c.created_by = %(author_id)s"
# What is said in a huddle is shown to nobody else, and counts for nothing here.
_IN_NO_HUDDLE: Final = f"""NOT EXISTS (SELECT FROM items h
                                WHERE h.site_id = %(site_id)s AND h.item_id = c.item_id
                                  AND h.item_type_id = {itemtypes.HUDDLE})"""


def facts_sql(more: str = "") -> str:
    """Return the SQL of the statement of a thing and its author, whose rows `ContentCheck.checked_text` takes. `more`:
    SQL of further columns, "" or beginning with a comma.
    """
    return f"""
    SELECT coalesce(p.profile_name, ''), coalesce(u.email, ''), coalesce(p.role_ids, '{{}}'),
           coalesce((SELECT host(a.ip) FROM audit_log a
                      WHERE a.site_id = %(site_id)s AND a.profile_id = %(author_id)s
                        AND a.item_type_id = %(item_type)s AND a.item_id = %(item_id)s AND a.ip IS NOT NULL
                      ORDER BY a.created DESC LIMIT 1), ''),
           coalesce(said.markdown, i.title), coalesce(said.created, i.created),
           (SELECT count(*) FROM (SELECT FROM comments c
                                   WHERE {_OTHERS} AND NOT c.is_deleted AND NOT c.is_moderated AND {_IN_NO_HUDDLE}
                                     AND NOT (%(item_type)s = {itemtypes.COMMENT} AND c.comment_id = %(item_id)s)
                                   LIMIT 101) o)
               + (SELECT count(*) FROM (SELECT FROM items c
                                         WHERE {_OTHERS} AND NOT c.is_deleted AND NOT c.is_moderated
                                           AND c.item_type_id <> {itemtypes.HUDDLE}
                                           AND NOT (%(item_type)s <> {itemtypes.COMMENT} AND c.item_id = %(item_id)s)
                                         LIMIT 101) o),
           (SELECT count(*) FROM comments c
             WHERE {_OTHERS} AND c.created > now() - interval '1 hour' AND {_IN_NO_HUDDLE})
               + (SELECT count(*) FROM items c
                   WHERE {_OTHERS} AND c.created > now() - interval '1 hour'
                     AND c.item_type_id <> {itemtypes.HUDDLE}),
           coalesce(i.microcosm_id, 0), coalesce(said.is_deleted OR said.is_moderated, i.is_deleted OR i.is_moderated)
           {more}
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
      LEFT JOIN comments said ON %(item_type)s = {itemtypes.COMMENT} AND said.site_id = p.site_id
                             AND said.comment_id = %(item_id)s
      LEFT JOIN items i ON i.site_id = p.site_id
                       AND i.item_id = CASE %(item_type)s WHEN {itemtypes.COMMENT} THEN said.item_id
                                                          ELSE %(item_id)s END
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(author_id)s
       AND (said.comment_id IS NOT NULL OR (%(item_type)s <> {itemtypes.COMMENT} AND i.item_id IS NOT NULL))"""


# Other sites on which the same text was written, or tried, lately.
SITES_WITH_TEXT: Final = """
    SELECT count(DISTINCT k.site_id)
      FROM content_checks k
     WHERE k.text_hash = %(text_hash)s AND k.site_id <> %(site_id)s AND k.created > now() - interval '1 day'"""
UNRESTRICTED: Final = "one text and its author, for the checks of its site"
FACTS = Query("check_queue.facts", facts_sql(), unrestricted=UNRESTRICTED)
SAME_TEXT = Query(
    "check_queue.same_text",
    f"""
    WITH mine AS (
        UPDATE content_checks k
           SET text_hash = %(text_hash)s
         WHERE k.site_id = %(site_id)s AND k.check_id = %(id)s)
    {SITES_WITH_TEXT}""",
    scope=PLATFORM,
)
FINISH = Query(
    "check_queue.finish",
    """
    UPDATE content_checks k
       SET state = %(state)s, verdicts = %(verdicts)s::jsonb, done = now()
     WHERE k.site_id = %(site_id)s AND k.check_id = %(id)s AND k.state = 'waiting'
 RETURNING k.check_id""",
)
OPEN_CASE = Query(
    "check_queue.open_case",
    """
    INSERT INTO cases AS k (site_id, item_type_id, item_id, in_item_id, microcosm_id, author_id, priority, due, is_held)
    VALUES (%(site_id)s, %(item_type)s, %(item_id)s, %(in_item_id)s, %(microcosm_id)s, %(author_id)s, 1,
            now() + make_interval(days => %(days)s::int), true)
        ON CONFLICT (site_id, item_type_id, item_id) WHERE state = 'open' DO UPDATE SET is_held = true""",
)
VERDICTS = Query(
    "check_queue.verdicts",
    """
    SELECT k.created, k.state, k.verdicts::text
      FROM content_checks k
     WHERE k.site_id = %(site_id)s AND k.item_type_id = %(item_type)s AND k.item_id = %(item_id)s
       AND k.state IN ('passed', 'held')
     ORDER BY k.check_id DESC
     LIMIT 10""",
)
FORGET = Query(
    "check_queue.forget",
    "DELETE FROM content_checks k WHERE k.created < now() - make_interval(days => %(days)s::int)",
    scope=PLATFORM,
)


def queue(tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
    """Queue the comments and items that these events created or changed, to be checked; leave out huddles and the
    comments in them, events of an import, and things that `check_at_writing.hold` has held as they were written.
    """
    written = {
        ItemRef(event.item_type, event.item_id): event.created
        for event in events
        if event.kind in (journal.CREATED, journal.REPLACED)
        and not event.is_import
        and (
            event.item_type in targets.ITEMS
            or (event.item_type == itemtypes.COMMENT and event.parent_type != itemtypes.HUDDLE)
        )
    }
    if written:
        refs = sorted(written)
        tx.run(
            INSERT,
            site_id=site_id,
            item_types=[ref.type for ref in refs],
            item_ids=[ref.id for ref in refs],
            times=[written[ref] for ref in refs],
        )


class ContentCheck(NamedTuple):
    """Comment or item (`item_type`, `item_id`) that this process has taken from the queue to check it. `id`: of the
    queue's row, 0 for a thing that is judged as it is written, without a row; `author_id`: its author's profile;
    `attempts`: how often the row was leased, this time included.
    """

    site_id: int
    id: int
    item_type: int
    item_id: int
    author_id: int
    attempts: int

    @classmethod
    def claim(cls, tx: Transaction, *, after: int = 0) -> ContentCheck | None:
        """Lease for LEASE_S seconds, of the next site after the site `after` that has texts due, the one that has been
        due for longest, count an attempt, and return its check; None if no site has a text due. After the highest id
        the lowest follows. Texts that another transaction is leasing are skipped.
        """
        row = tx.row(CLAIM, lease_s=LEASE_S, batch=1, after=after)
        return cls(*row) if row else None

    def facts(self, tx: Transaction, site_url: str) -> tuple[CheckedText, int] | None:
        """Return the text and facts about its author as a CheckedText for the checks, and the id of its microcosm, 0
        for none; None for a text that is gone, deleted or hidden. `site_url`: address of the site, for the result.

        Stores the hash of the text in the queue's row, unless the text is gone or too short for a hash (`text_hash`).
        By that hash the text counts in `sites_with_text` of texts of other sites from then on, even if it is deleted or
        hidden.
        """
        row = tx.row(
            FACTS,
            site_id=self.site_id,
            item_type=self.item_type,
            item_id=self.item_id,
            author_id=self.author_id,
        )
        if row is None:
            return None
        elsewhere = 0
        said = text_hash(unescape(row[4]))
        if said is not None:
            elsewhere = tx.value(SAME_TEXT, site_id=self.site_id, id=self.id, text_hash=said)
        return None if row[9] else (self.checked_text(row, site_url, elsewhere), row[8])

    def checked_text(self, row: Sequence[Any], site_url: str, elsewhere: int) -> CheckedText:
        """Return the text and facts about its author that a `row` of `facts_sql` has. `site_url`: address of the site;
        `elsewhere`: number of other sites with the same text.
        """
        text = unescape(row[4])
        return CheckedText(
            self.site_id,
            site_url,
            self.author_id,
            unescape(row[0]),
            row[1],
            tuple(row[2]),
            row[3],
            text,
            "reply" if self.item_type == itemtypes.COMMENT else "forum-post",
            row[5],
            tuple(host.lower().rstrip(".") for host in _LINK.findall(text)),
            row[6],
            row[7],
            elsewhere,
        )

    def finish(self, tx: Transaction, state: str, verdicts: Sequence[dict[str, Any]]) -> bool:
        """Store the final `state` of the check (PASSED, HELD or GONE) and its verdicts, for each check a dict with
        `check`, `verdict`, `reason` and `milliseconds`; return False, and store nothing, if another process has
        finished it.
        """
        return (
            tx.value(
                FINISH,
                site_id=self.site_id,
                id=self.id,
                state=state,
                verdicts=dumps(list(verdicts)).decode(),
            )
            is not None
        )

    def hold(self, tx: Transaction, reason: str) -> None:
        """Hide the thing until a moderator decides, and open its case, or mark the open one as held; do nothing if it
        is gone, hidden or deleted already. `reason`: for the audit.
        """
        ref = ItemRef(self.item_type, self.item_id)
        target = targets.lock(tx, self.site_id, [ref]).get(ref)
        thing = (target.comment or target.item) if target is not None else None
        if target is None or thing is None or thing.is_deleted or thing.is_moderated:
            return
        detail = {"verb": "hold", "reason": reason, "automated": True}
        author = Author(self.site_id, 0, "", detail=detail)
        if target.comment is not None:
            target.comment.flag(tx, author, is_deleted=False, is_moderated=True)
        elif target.item is not None:
            target.item.flag(tx, author, {"is_moderated": True}, None)
        in_item = target.parent.item.id if target.parent is not None else None
        tx.run(
            OPEN_CASE,
            site_id=self.site_id,
            item_type=ref.type,
            item_id=ref.id,
            in_item_id=in_item,
            microcosm_id=target.microcosm_id,
            author_id=target.author_id,
            days=DUE_DAYS,
        )


def verdicts(tx: Reader, site_id: int, item_type: int, item_id: int) -> list[dict[str, Any]]:
    """Return the last ten checks that passed or held a comment or item (`item_type`, `item_id`), newest first, [] for
    none, as dicts for JSON: `checked` (the time when the thing was queued), `state` (PASSED or HELD), and `verdicts`,
    for each check a dict with `check`, `verdict`, `reason` and `milliseconds`. The caller checks that the reader may
    see the thing's case.
    """

    rows = tx.rows(VERDICTS, site_id=site_id, item_type=item_type, item_id=item_id)
    keys = ("check", "verdict", "reason", "milliseconds")
    return [
        {
            "checked": format_time(row[0]),
            "state": row[1],
            "verdicts": [{key: one[key] for key in keys} for one in loads(row[2])],
        }
        for row in rows
    ]


def forget(tx: Transaction) -> int:
    """Delete the rows of checks of all sites, with their verdicts, that were queued more than KEPT_DAYS (90) days ago;
    return their number.
    """
    return tx.run(FORGET, days=KEPT_DAYS)


def text_hash(text: str) -> bytes | None:
    """Return the hash of the letters and digits of a text, whatever their case and what stands between them, by which
    the same text is found on other sites; None for a text with fewer than _SAYING letters and digits.
    """
    letters = "".join(
        one for one in unicodedata.normalize("NFKC", text).casefold() if one.isalnum()
    )
    return hashlib.sha256(letters.encode()).digest() if len(letters) >= _SAYING else None
