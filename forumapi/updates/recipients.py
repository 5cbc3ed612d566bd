"""Recipients of updates, and all that decides on notifying them, read with one statement for many people.

Rights are not checked here: callers pass `Recipient.principal` to the evaluator.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Row
from forumapi.models.notifications.update_types import NEW_COMMENT, NEW_ITEM
from forumapi.models.roles import role_recomputation
from forumapi.permissions.evaluator import Principal

# Watchers returned by one statement.
MOST: Final = 1000

SITE = Query(
    "recipients.site",
    """
    SELECT s.acl_version, coalesce(s.owned_by, 0), s.needs_second_factor,
           EXISTS (SELECT FROM push_subscriptions n WHERE n.site_id = s.site_id)
      FROM sites s
     WHERE s.site_id = %(site_id)s AND NOT s.is_deleted""",
)

# Time of the activity about which follower `p` was last mailed: for a watcher `c` of the thing itself its
# last_notified, for one of its microcosm or site the outbox, which keeps what was sent for a month.
_NOTIFIED: Final = f"""
                       CASE WHEN c.rank = 1 OR c.last_notified IS NULL THEN c.last_notified
                            ELSE (SELECT max(coalesce(k.created, i.created))
                                    FROM mail_outbox m
                                    JOIN items i ON i.site_id = m.site_id AND i.item_id = m.item_id
                                    LEFT JOIN comments k ON k.site_id = m.site_id AND k.comment_id = m.comment_id
                                   WHERE m.site_id = p.site_id AND m.profile_id = p.profile_id
                                     AND m.item_type_id = %(item_type)s AND m.item_id = %(item_id)s
                                     AND m.update_type_id IN ({NEW_COMMENT}, {NEW_ITEM})) END"""

# True if a mail is due to profile `p` of watcher `c`: the activity it was last mailed about is read, by the mark of the
# thing, of its microcosm or of everything; for things without marks, the profile has been on the site since.
_DUE: Final = f"""
               (NOT %(once)s::boolean
                OR coalesce({_NOTIFIED.strip()} <= greatest(
                       CASE WHEN %(item_type)s = {itemtypes.HUDDLE} THEN p.huddles_read_at ELSE p.all_read_at END,
                       (SELECT max(r.read_at) FROM read_marks r
                         WHERE r.site_id = p.site_id AND r.profile_id = p.profile_id
                           AND (r.item_type_id, r.item_id) IN ((%(item_type)s, %(item_id)s),
                                                        ({itemtypes.MICROCOSM}, %(microcosm_id)s))),
                       CASE WHEN %(by_presence)s::boolean
                            THEN (SELECT n.last_active FROM profile_counters n
                                   WHERE n.site_id = p.site_id AND n.profile_id = p.profile_id) END), true))"""

# Recipients in a CTE `chosen` (profile_id, watcher_id, wants), with what the evaluator needs.
_RECIPIENTS: Final = f"""
    SELECT p.profile_id, p.user_id, p.role_ids, coalesce(p.next_change_at <= now(), false),
           u.is_banned OR (SELECT r FROM ban_reason(s.site_id, p.user_id, u.email) r) IS NOT NULL,
           NOT EXISTS (SELECT FROM one_time_secrets o WHERE o.user_id = p.user_id AND o.confirmed IS NOT NULL),
           EXISTS (SELECT FROM huddle_participants h
                    WHERE h.site_id = p.site_id AND h.item_id = %(item_id)s AND h.profile_id = p.profile_id
                      AND %(item_type)s = {itemtypes.HUDDLE}),
           EXISTS (SELECT FROM ignores g
                    WHERE g.site_id = p.site_id AND g.profile_id = p.profile_id
                      AND (g.item_type_id = {itemtypes.PROFILE} AND g.item_id = %(actor)s
                           OR g.item_type_id = %(item_type)s AND g.item_id = %(item_id)s
                           OR g.item_type_id = {itemtypes.MICROCOSM} AND g.item_id = ANY(%(places)s::bigint[]))),
           c.wants AND coalesce(po.send_email, so.send_email, pl.send_email)
               AND (%(preference)s::smallint IS NULL OR coalesce(uo.send_email, ut.send_email)),
           c.watcher_id,
           EXISTS (SELECT FROM push_subscriptions n WHERE n.site_id = p.site_id AND n.profile_id = p.profile_id)
               AND coalesce((SELECT o.send_push FROM update_options o
                              WHERE o.site_id = p.site_id AND o.profile_id = p.profile_id
                                AND o.update_type_id = %(type)s::smallint),
                            (SELECT t.send_push FROM update_types t WHERE t.update_type_id = %(type)s::smallint), false)
      FROM chosen c
      JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = c.profile_id
      JOIN users u ON u.user_id = p.user_id
      JOIN sites s ON s.site_id = p.site_id
      CROSS JOIN platform_options pl
      LEFT JOIN site_options so ON so.site_id = p.site_id
      LEFT JOIN profile_options po ON po.site_id = p.site_id AND po.profile_id = p.profile_id
      LEFT JOIN update_types ut ON ut.update_type_id = %(preference)s::smallint
      LEFT JOIN update_options uo ON uo.site_id = p.site_id AND uo.profile_id = p.profile_id
                                 AND uo.update_type_id = %(preference)s::smallint"""

# One row for each follower, with their watcher of the thing itself, else of its microcosm, else of the site. Mail is
# wanted only if all of their watchers want it. The first columns are for paging.
WATCHERS = Query(
    "recipients.watchers",
    f"""
    WITH followers AS MATERIALIZED (
        SELECT w.profile_id, (array_agg(w.watcher_id ORDER BY k.rank))[1] AS watcher_id,
               bool_and(w.send_email) AS wants, min(k.rank) AS rank,
               (array_agg(w.last_notified ORDER BY k.rank))[1] AS last_notified
          FROM unnest(%(types)s::smallint[], %(ids)s::bigint[])
               WITH ORDINALITY AS k (item_type_id, item_id, rank)
          JOIN watchers w ON w.site_id = %(site_id)s AND w.item_type_id = k.item_type_id AND w.item_id = k.item_id
         WHERE w.profile_id > %(after)s AND (%(among)s::bigint[] IS NULL OR w.profile_id = ANY(%(among)s::bigint[]))
         GROUP BY w.profile_id
        HAVING %(everybody)s::boolean OR bool_and(w.send_email)
         ORDER BY w.profile_id
         LIMIT %(limit)s),
    chosen AS MATERIALIZED (
        SELECT d.profile_id, d.watcher_id, d.wants
          FROM (SELECT c.profile_id, c.watcher_id, c.wants AND {_DUE} AS wants
                  FROM followers c
                  JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = c.profile_id) d
         WHERE %(everybody)s::boolean OR d.wants)
    SELECT n.seen, n.last_id, r.*
      FROM (SELECT count(*) AS seen, max(f.profile_id) AS last_id FROM followers f) n
      LEFT JOIN ({_RECIPIENTS}) r ON true
     ORDER BY r.profile_id""",
    unrestricted="times of comments decide if a mail is due; none is shown",
)

PEOPLE = Query(
    "recipients.people",
    f"""
    WITH chosen AS MATERIALIZED (
        SELECT w.profile_id, NULL::bigint AS watcher_id, true AS wants
          FROM unnest(%(profile_ids)s::bigint[]) AS w (profile_id))
    {_RECIPIENTS}
     ORDER BY p.profile_id""",
)

# Followers with a subscription to web push, by id; they are few beside those who follow.
SUBSCRIBERS = Query(
    "recipients.subscribers",
    f"""
    WITH chosen AS MATERIALIZED (
        SELECT n.profile_id, NULL::bigint AS watcher_id, false AS wants
          FROM push_subscriptions n
         WHERE n.site_id = %(site_id)s AND n.profile_id > %(after)s
           AND EXISTS (SELECT FROM watchers w
                         JOIN unnest(%(types)s::smallint[], %(ids)s::bigint[]) AS k (item_type_id, item_id)
                           ON w.item_type_id = k.item_type_id AND w.item_id = k.item_id
                        WHERE w.site_id = n.site_id AND w.profile_id = n.profile_id)
         GROUP BY n.profile_id
         ORDER BY n.profile_id
         LIMIT %(limit)s)
    {_RECIPIENTS}
     ORDER BY p.profile_id""",
)

NOTIFIED = Query(
    "recipients.notified",
    """
    UPDATE watchers w
       SET last_notified = greatest(w.last_notified, %(moment)s)
     WHERE w.site_id = %(site_id)s
       AND w.watcher_id IN (SELECT x.watcher_id FROM watchers x
                             WHERE x.site_id = %(site_id)s AND x.watcher_id = ANY(%(ids)s::bigint[])
                             ORDER BY x.watcher_id FOR NO KEY UPDATE)""",
)


# Columns of WATCHERS before those of a recipient.
_SEEN: Final = 2


class SiteState(NamedTuple):
    """State of one site on which all rights in it depend: `acl_version`, the owner's profile (`owned_by`, 0 for none),
    and `needs_second_factor`, True if moderators need a second factor to moderate.

    `has_push`: somebody on the site has a subscription to web push.
    """

    acl_version: int
    owned_by: int
    needs_second_factor: bool
    has_push: bool


class Subject(NamedTuple):
    """Subject of an update: an item, or the profile that a comment is on, and the profile `actor`, whose act leads to
    the update.

    `microcosm_id`: the item's, 0 for none; `places`: that microcosm and those above. `type`: type of update; the
    recipient's preference for it decides on push. `preference`: the same type if that preference also decides on mail,
    None if a watcher does. `once`: no further mail until the recipient has read what the last mail was about or, with
    `by_presence` (things without read marks), has been on the site since.
    """

    item_type: int
    item_id: int
    microcosm_id: int
    places: tuple[int, ...]
    actor: int
    type: int
    preference: int | None = None
    once: bool = False
    by_presence: bool = False


class Recipient(NamedTuple):
    """Profile that may be notified of one subject. `is_participant`: it participates in the huddle that is the subject;
    `ignores`: it ignores the actor, the subject, or a microcosm that the subject is in. `wants_mail`: its watchers,
    preferences and options ask for mail, and a mail is due to it. `wants_push`: its preference asks for push, and it
    has a subscription.

    `principal`: the profile for the evaluator. `watcher_id`: the profile's watcher of the nearest thing, of which the
    function `notified` records that it was notified; None if no watcher led to the profile.
    """

    profile_id: int
    principal: Principal
    is_participant: bool  # of the huddle that it is about
    ignores: bool  # the actor, the thing, or where it stands
    wants_mail: bool
    watcher_id: int | None
    wants_push: bool


def site(tx: Reader, site_id: int) -> SiteState | None:
    """Return the state of a site, given by id; None if the site is deleted or unknown."""
    row = tx.row(SITE, site_id=site_id)
    return SiteState(*row) if row else None


def watchers(
    tx: Transaction,
    site_id: int,
    state: SiteState,
    subject: Subject,
    watched: Sequence[tuple[int, int]],
    *,
    everybody: bool,
    among: Collection[int] | None,
) -> Iterator[list[Recipient]]:
    """Yield the followers of any of `watched`, each once, by profile id, in batches of MOST at most. `watched`: things
    as (type, id), the nearest to the subject first; who follows several is notified by the watcher of the first.

    `everybody` False: only those to whom a mail about `subject` is due. `among`: only these profiles, None for all.
    `state`: the site's. Rights are not checked; roles that are due to change with time are recomputed first.
    """
    after = 0
    while among is None or among:
        params = _params(site_id, subject) | {
            "types": [kind for kind, _ in watched],
            "ids": [id for _, id in watched],
            "everybody": everybody,
            "among": None if among is None else sorted(among),
            "after": after,
            "limit": MOST,
        }
        rows = tx.rows(WATCHERS, **params)
        if _settle(tx, site_id, [row[_SEEN:] for row in rows]):
            rows = tx.rows(WATCHERS, **params)
        found = [_recipient(state, row[_SEEN:]) for row in rows if row[_SEEN] is not None]
        if found:
            yield found
        seen, after = rows[0][:_SEEN]
        if seen < MOST:
            return


def subscribers(
    tx: Transaction,
    site_id: int,
    state: SiteState,
    subject: Subject,
    watched: Sequence[tuple[int, int]],
) -> Iterator[list[Recipient]]:
    """Yield the followers of any of `watched`, things as (type, id), that have subscriptions to web push, wanted for
    this subject or not, by profile id, in batches of MOST at most. Rights are not checked; roles that are due to change
    with time are recomputed first.
    """
    after = 0
    while state.has_push:
        params = _params(site_id, subject) | {
            "types": [kind for kind, _ in watched],
            "ids": [id for _, id in watched],
            "after": after,
            "limit": MOST,
        }
        rows = tx.rows(SUBSCRIBERS, **params)
        if _settle(tx, site_id, rows):
            rows = tx.rows(SUBSCRIBERS, **params)
        if rows:
            yield [_recipient(state, row) for row in rows]
        if len(rows) < MOST:
            return
        after = rows[-1][0]


def people(
    tx: Transaction,
    site_id: int,
    state: SiteState,
    subject: Subject,
    profile_ids: Sequence[int],
) -> list[Recipient]:
    """Return these profiles as recipients of an update about `subject`, in ascending order of profile id; ids of no
    profile are left out. `state`: the site's. Rights are not checked; roles that are due to change with time are
    recomputed first.
    """
    params = _params(site_id, subject) | {"profile_ids": list(profile_ids)}
    rows = tx.rows(PEOPLE, **params)
    if _settle(tx, site_id, rows):
        rows = tx.rows(PEOPLE, **params)
    return [_recipient(state, row) for row in rows]


def notified(tx: Transaction, site_id: int, watcher_ids: Sequence[int], moment: object) -> None:
    """Record that watchers were notified of what happened at `moment`, a time with which read marks are compared later;
    a later time that is recorded already stays. An id may come more than once.
    """
    tx.run(NOTIFIED, site_id=site_id, ids=sorted(watcher_ids), moment=moment)


def _params(site_id: int, subject: Subject) -> dict[str, object]:
    return {
        "site_id": site_id,
        "item_type": subject.item_type,
        "item_id": subject.item_id,
        "microcosm_id": subject.microcosm_id,
        "places": list(subject.places),
        "actor": subject.actor,
        "type": subject.type,
        "preference": subject.preference,
        "once": subject.once,
        "by_presence": subject.by_presence,
    }


def _settle(tx: Transaction, site_id: int, rows: Sequence[Row]) -> bool:
    """Recompute the roles of those profiles in `rows` (of recipients, with profile id first) whose roles are due to
    change with time; return True if there are any, so that the rows must be read again.
    """
    due = [row[0] for row in rows if row[3]]
    if due:
        role_recomputation.recompute_roles(tx, site_id, due)
    return bool(due)


def _recipient(state: SiteState, row: Row) -> Recipient:
    profile_id, user_id, role_ids, _, is_banned, lacks_second_factor, *rest = row
    principal = _principal(state, profile_id, user_id, role_ids, is_banned, lacks_second_factor)
    return Recipient(profile_id, principal, *rest)


def _principal(
    state: SiteState,
    profile_id: int,
    user_id: int,
    role_ids: list[int],
    is_banned: bool,
    lacks_second_factor: bool,
) -> Principal:
    """Make the principal of a profile, as a request of its own would have it (models/access/identity.py).
    `lacks_second_factor`: the user has set up none, which limits the profile only if `state` says that moderators need
    one.
    """
    is_owner = profile_id == state.owned_by
    is_limited = state.needs_second_factor and lacks_second_factor
    return Principal(
        profile_id,
        tuple(role_ids),
        is_owner and not is_limited,
        is_banned and not is_owner,
        user_id,
        is_limited=is_limited,
    )
