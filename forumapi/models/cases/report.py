"""Reports: what a person says is wrong with a thing. The first one about a thing opens its case."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import OUT_OF_RANGE, Invalid, TooMany
from forumapi.itemtypes import ItemRef
from forumapi.models.cases import case
from forumapi.models.journal import journal
from forumapi.models.notifications import mail_suppression
from forumapi.models.trust import dsa_terms
from forumapi.wire.json_fragments import format_time

PATH: Final = "/api/v1/reports"
# Reports of one person in a day.
MOST_A_DAY: Final = 100

# Comments of a huddle that a reporter may show with a report.
MOST_SHOWN: Final = 10
# Reports of guests: by one address in a day, about one open case, on a site in a day.
MOST_BY_GUEST: Final = 10
MOST_ABOUT_CASE: Final = 20
MOST_ON_SITE: Final = 500


def reporter_hash(key: str) -> str:
    """Return SQL for the keyed hash of the thing of report `r` and of a reporter's address, by which a report that no
    longer names its reporter is found again; `key`: SQL expression of the address's person key. Null while the platform
    has no secret for it.
    """
    return mail_suppression.hashed(
        f"concat_ws(':', 'report', r.site_id, r.item_type_id, r.item_id, {key})"
    )


# The thing's row is locked, so that its case and the reporter's earlier report can't come into being meanwhile.
EARLIER = Query(
    "report.earlier",
    f"""
    SELECT (SELECT r.report_id FROM reports r
             WHERE r.site_id = %(site_id)s AND r.reporter_id = %(me)s AND r.item_type_id = %(item_type)s
               AND r.item_id = %(item_id)s),
           EXISTS (SELECT FROM profiles p
                     JOIN users u ON u.user_id = p.user_id
                     JOIN reports r ON r.site_id = %(site_id)s AND r.item_type_id = %(item_type)s
                                   AND r.item_id = %(item_id)s AND r.reporter_hash = {reporter_hash("u.person_key")}
                    WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s),
           (SELECT count(*) FROM reports r
             WHERE r.site_id = %(site_id)s AND r.reporter_id = %(me)s AND r.created > now() - interval '1 day')""",
)
# The same for a guest, with the reports of guests about the thing, and on the site in a day.
EARLIER_OF_GUEST = Query(
    "report.earlier_of_guest",
    f"""
    SELECT (SELECT r.report_id FROM reports r
             WHERE r.site_id = %(site_id)s AND r.guest_key = %(guest_key)s AND r.item_type_id = %(item_type)s
               AND r.item_id = %(item_id)s),
           EXISTS (SELECT FROM reports r
                    WHERE r.site_id = %(site_id)s AND r.item_type_id = %(item_type)s AND r.item_id = %(item_id)s
                      AND r.reporter_hash = {reporter_hash("%(guest_key)s::text")}),
           (SELECT count(*) FROM reports r
             WHERE r.site_id = %(site_id)s AND r.guest_key = %(guest_key)s AND r.created > now() - interval '1 day'),
           (SELECT count(*) FROM cases k
              JOIN reports r ON r.site_id = k.site_id AND r.case_id = k.case_id AND r.reporter_id IS NULL
             WHERE k.site_id = %(site_id)s AND k.item_type_id = %(item_type)s AND k.item_id = %(item_id)s
               AND k.state = 'open'),
           (SELECT count(*) FROM reports r
             WHERE r.site_id = %(site_id)s AND r.reporter_id IS NULL AND r.created > now() - interval '1 day')""",
)
# How many of these comments are in the huddle of a comment in which `me` takes part, and not hidden.
SHOWABLE = Query(
    "report.showable",
    f"""
    SELECT count(*)
      FROM comments said
      JOIN items i ON i.site_id = said.site_id AND i.item_id = said.item_id AND i.item_type_id = {itemtypes.HUDDLE}
      JOIN huddle_participants h ON h.site_id = i.site_id AND h.item_id = i.item_id AND h.profile_id = %(me)s
      JOIN comments c ON c.site_id = said.site_id AND c.item_id = said.item_id AND c.comment_id = ANY(%(ids)s::bigint[])
                     AND NOT c.is_deleted AND NOT c.is_moderated
     WHERE said.site_id = %(site_id)s AND said.comment_id = %(comment_id)s""",
)

INSERT = Query(
    "report.insert",
    """
    WITH thing AS (
        SELECT coalesce(c.item_id, CASE WHEN %(is_item)s::boolean THEN %(item_id)s END) AS in_item_id
          FROM (SELECT 1) one
          LEFT JOIN comments c ON c.site_id = %(site_id)s AND %(is_comment)s::boolean AND c.comment_id = %(item_id)s),
    opened AS (
        INSERT INTO cases AS k (site_id, item_type_id, item_id, in_item_id, microcosm_id, author_id, priority, due,
                                reports)
        SELECT %(site_id)s, %(item_type)s, %(item_id)s, t.in_item_id, %(microcosm_id)s, %(author_id)s, %(priority)s,
               now() + make_interval(days => %(days)s::int), 1
          FROM thing t
            ON CONFLICT (site_id, item_type_id, item_id) WHERE state = 'open' DO UPDATE
           SET reports = k.reports + 1, priority = least(k.priority, EXCLUDED.priority),
               due = least(k.due, EXCLUDED.due)
     RETURNING k.case_id)
    INSERT INTO reports (site_id, case_id, item_type_id, item_id, reporter_id, kind, category, text, shown_ids,
                         guest_email, guest_name, guest_key, awaits_rules)
    SELECT %(site_id)s, o.case_id, %(item_type)s, %(item_id)s, nullif(%(me)s::bigint, 0), %(kind)s, %(category)s,
           %(text)s, %(shown_ids)s::bigint[], %(guest_email)s, %(guest_name)s, %(guest_key)s,
           EXISTS (SELECT FROM rules q
                    WHERE q.site_id = %(site_id)s AND q.mode <> 'off'
                      AND q.event IN ('comment.reported', 'item.reported'))
      FROM opened o
 RETURNING report_id, case_id""",
)

_REPORTS: Final = """
    SELECT r.report_id, r.item_type_id, r.item_id, r.kind, r.category, r.text, r.created, k.state, k.outcome, k.decided
      FROM reports r
      JOIN cases k ON k.site_id = r.site_id AND k.case_id = r.case_id
     WHERE r.site_id = %(site_id)s"""
_OWN: Final = f"{_REPORTS} AND r.reporter_id = %(me)s"
FIND = Query("report.find", f"{_OWN} AND r.report_id = %(id)s")
OWN = Query(
    "report.own",
    f"""
    {_OWN}
       AND (%(before)s::bigint = 0 OR r.report_id < %(before)s::bigint)
     ORDER BY r.report_id DESC
     LIMIT %(limit)s""",
)
OWN_BY_ID = Query("report.own_by_id", f"{_OWN} AND r.report_id = ANY(%(ids)s::bigint[])")
FIND_OF_GUEST = Query(
    "report.find_of_guest",
    f"{_REPORTS} AND r.guest_key IS NOT NULL AND r.report_id = %(id)s",
)
FORGET_GUEST = Query(
    "report.forget_guest",
    f"""
    UPDATE reports r
       SET guest_email = '', guest_name = '', guest_key = NULL, reporter_hash = {reporter_hash("r.guest_key")}
     WHERE r.site_id = %(site_id)s AND r.report_id = %(id)s AND r.guest_key IS NOT NULL""",
)
# Half a year after the decision nobody is told anything any more.
FORGET_GUESTS = Query(
    "report.forget_guests",
    """
    UPDATE reports r
       SET guest_email = '', guest_name = '', guest_key = NULL, reporter_hash = NULL
      FROM cases k
     WHERE (r.guest_key IS NOT NULL OR r.reporter_hash IS NOT NULL)
       AND k.site_id = r.site_id AND k.case_id = r.case_id AND k.decided < now() - interval '6 months'""",
    scope=PLATFORM,
)


class Guest(NamedTuple):
    """Reporter without a profile, who has confirmed the address `email`. `key`: person key of the address
    (text/email_address.py), by which reports of one person are found.
    """

    email: str
    name: str
    key: str


class ReportedThing(NamedTuple):
    """Thing that is reported. `author_id`: its author's profile; `microcosm_id` 0: it is outside of all microcosms."""

    ref: ItemRef
    microcosm_id: int
    author_id: int


@dataclasses.dataclass
class Report:
    """Report of a thing. `kind`: name of a ReportKind of the site; `category`: one of CATEGORIES (dsa_terms.py);
    `text`: words of the reporter, HTML-escaped. `shown_ids`: comments of a huddle that the reporter shows to
    moderators, each once; `guest`: the reporter, None for one with a profile; `id` 0: not stored yet.
    """

    thing: ReportedThing
    kind: str
    category: str
    text: str
    shown_ids: tuple[int, ...] = ()
    guest: Guest | None = None
    id: int = 0

    def insert(self, tx: Transaction, site_id: int, me: int) -> bool:
        """Store the report of the profile `me` (0: of `guest`), and open the thing's case if none is open; return
        False, and store nothing, if the reporter has reported the thing before.

        `id` is set in both cases: to that of the new report, or of the earlier one; it stays 0 if the earlier one names
        its reporter no more. The caller has locked the thing's row. Raises TooMany for a new report of a person who has
        sent MOST_A_DAY in a day; for a guest's if the guest has sent MOST_BY_GUEST in a day, or all guests
        MOST_ABOUT_CASE about the thing's open case or MOST_ON_SITE on the site in a day.
        """
        named = {
            "site_id": site_id,
            "me": me,
            "item_type": self.thing.ref.type,
            "item_id": self.thing.ref.id,
        }
        guest = self.guest or Guest("", "", "")
        if self.guest:
            row = tx.row(EARLIER_OF_GUEST, **named, guest_key=guest.key)
        else:
            row = tx.row(EARLIER, **named)
        assert row is not None
        if row[0]:
            self.id = row[0]
            return False
        if row[1]:
            return False
        _check_limits(row[2:])
        priority = dsa_terms.priority(self.kind, self.category)
        row = tx.row(
            INSERT,
            **named,
            is_comment=self.thing.ref.type == itemtypes.COMMENT,
            is_item=self.thing.ref.type in itemtypes.IN_MICROCOSM,
            microcosm_id=self.thing.microcosm_id,
            author_id=self.thing.author_id,
            priority=priority,
            days=dsa_terms.DUE_DAYS[priority],
            kind=self.kind,
            category=self.category,
            text=self.text,
            shown_ids=list(self.shown_ids),
            guest_email=guest.email,
            guest_name=guest.name,
            guest_key=guest.key or None,
        )
        assert row is not None  # the statement returns one row
        self.id, case_id = row
        case.log_event(tx, site_id, journal.CREATED, case_id, ItemRef(itemtypes.REPORT, self.id))
        return True

    def check_shown(self, tx: Reader, site_id: int, me: int) -> None:
        """Raise Invalid unless all `shown_ids` are comments in the huddle of the reported comment that the profile `me`
        may read, and at most MOST_SHOWN.
        """
        if not self.shown_ids:
            return
        if len(self.shown_ids) > MOST_SHOWN:
            raise Invalid("shownIds", f"may have at most {MOST_SHOWN} ids", code=OUT_OF_RANGE)
        ids, comment_id = list(self.shown_ids), self.thing.ref.id
        is_comment = self.thing.ref.type == itemtypes.COMMENT
        if not is_comment or (
            tx.value(SHOWABLE, site_id=site_id, me=me, ids=ids, comment_id=comment_id) != len(ids)
        ):
            raise Invalid("shownIds", "must be comments in the huddle of the reported comment")


def _check_limits(counts: Sequence[int]) -> None:
    """Raise TooMany if a count is at its limit. `counts`, for a person: (reports of the person in a day,); for a guest:
    (reports of the guest in a day, of all guests in the thing's open case, of all guests on the site in a day).
    """
    if len(counts) == 1:
        if counts[0] >= MOST_A_DAY:
            raise TooMany(f"At most {MOST_A_DAY} reports a day", 3600)
        return
    by_guest, about_case, on_site = counts
    if by_guest >= MOST_BY_GUEST:
        raise TooMany(f"At most {MOST_BY_GUEST} reports a day", 3600)
    if about_case >= MOST_ABOUT_CASE:
        raise TooMany("The moderators have enough reports about this", 3600)
    if on_site >= MOST_ON_SITE:
        raise TooMany("Too many reports today; sign in to report this", 3600)


class OwnReport(NamedTuple):
    """Report as its reporter sees it. `kind`, `category`: as in Report; `state`: that of its case, open or decided;
    `outcome`: acted or dismissed, "" before the decision; `text`: HTML-escaped; `decided`: time of the decision, None
    before.
    """

    id: int
    item_type: int
    item_id: int
    kind: str
    category: str
    text: str
    created: datetime.datetime
    state: str
    outcome: str
    decided: datetime.datetime | None

    @classmethod
    def find(cls, tx: Reader, site_id: int, me: int, id: int) -> Self | None:
        """Return a report of the profile `me`; None if there is none with this id, or it is another person's."""
        row = tx.row(FIND, site_id=site_id, me=me, id=id)
        return cls(*row) if row else None

    @classmethod
    def of_guest(cls, tx: Reader, site_id: int, id: int) -> Self | None:
        """Return a report by a guest whose address is still stored; None if there is none with this id on the site."""
        row = tx.row(FIND_OF_GUEST, site_id=site_id, id=id)
        return cls(*row) if row else None

    @classmethod
    def page(cls, tx: Reader, site_id: int, me: int, before: int, limit: int) -> list[Self]:
        """Return up to `limit` + 1 reports of the profile `me`, newest first, with ids below `before` (0: from the
        newest). The extra one says that there are more.
        """
        rows = tx.rows(OWN, site_id=site_id, me=me, before=before, limit=limit + 1)
        return [cls(*row) for row in rows]

    def document(self) -> dict[str, Any]:
        """Return the report as a dict for JSON, with the outcome once its case is decided."""
        data: dict[str, Any] = {
            "id": self.id,
            "itemType": itemtypes.name_of(self.item_type),
            "itemId": self.item_id,
            "kind": self.kind,
            "category": self.category,
            "text": self.text,
            "state": self.state,
        }
        if self.decided is not None:
            data["outcome"] = self.outcome
            data["decided"] = format_time(self.decided)
        return data | {
            "meta": {
                "created": format_time(self.created),
                "links": [
                    {"rel": "self", "href": f"{PATH}/{self.id}"},
                    {"rel": "item", "href": itemtypes.href(self.item_type, self.item_id)},
                ],
            }
        }


def documents(tx: Reader, site_id: int, me: int, ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return those of the reports with the ids `ids` that the profile `me` has sent, as dicts for JSON, by report id;
    no SQL statement is run for no ids.
    """
    rows = tx.rows(OWN_BY_ID, site_id=site_id, me=me, ids=sorted(ids)) if ids else ()
    return {row[0]: OwnReport(*row).document() for row in rows}


def forget_guest(tx: Transaction, site_id: int, id: int) -> None:
    """Erase name and address of the guest who sent the report `id`; the report itself stays, with a keyed hash by which
    the guest can't report the thing again. Nothing changes for a report that no guest sent.
    """
    tx.run(FORGET_GUEST, site_id=site_id, id=id)


def forget_guests(tx: Transaction) -> int:
    """Erase names and addresses of guests, and hashes of forgotten reporters, in reports whose case was decided over
    six months ago, of all sites; return the number of reports.
    """
    return tx.run(FORGET_GUESTS)
