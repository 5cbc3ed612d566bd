"""Writing of the bans of an import."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.porting.layout import ForumReader, PortedBan, PortedProfile, Unreadable
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.imported_ids import Origin
from forumapi.porting.loading.people import ImportedPeople

INSERT_BANS = Query(
    "bans.insert_bans",
    """
    INSERT INTO bans (site_id, user_id, created, expires, display_reason, admin_reason)
    SELECT %(site_id)s, r.user_id, r.created, r.expires, r.display_reason, r.admin_reason
      FROM (SELECT DISTINCT ON (x.user_id) x.user_id, x.created, x.expires, x.display_reason, x.admin_reason
              FROM json_to_recordset(%(rows)s::json)
                   AS x (user_id bigint, created timestamptz, expires timestamptz, display_reason text,
                         admin_reason text)
             ORDER BY x.user_id, x.expires DESC NULLS FIRST) r
     WHERE NOT EXISTS (SELECT FROM bans b WHERE b.site_id = %(site_id)s AND b.user_id = r.user_id)""",
)
INSERT_DOMAIN_BANS = Query(
    "bans.insert_domain_bans",
    """
    INSERT INTO bans (site_id, email_domain, created, expires, display_reason, admin_reason)
    SELECT %(site_id)s, r.domain, r.created, r.expires, r.display_reason, r.admin_reason
      FROM json_to_recordset(%(rows)s::json)
           AS r (domain text, created timestamptz, expires timestamptz, display_reason text, admin_reason text)
        ON CONFLICT (site_id, email_domain) WHERE email_domain IS NOT NULL DO NOTHING
 RETURNING email_domain, ban_id""",
)

# Prefix of the ids of domains' bans among imported things.
BAN: Final = "ban:"
_DOMAIN: Final = re.compile(r"\*@([a-z0-9.-]{1,253})")


class BanWriter:
    """Writer of bans of profiles that the import has inserted before, and of e-mail domains."""

    def __init__(self, origin: Origin, people: ImportedPeople) -> None:
        self._origin = origin
        self._people = people
        self._now = datetime.datetime.now(datetime.UTC)

    def insert_bans(self, tx: Transaction, bans: Sequence[PortedBan]) -> list[Unreadable]:
        """Insert the bans of imported profiles and of whole e-mail domains that no earlier run has inserted, but no
        expired ones, and none for a person or domain that is banned here already; of several of one person the one that
        ends last. Return as left out, with reasons, the other bans in force: of people who did not come, of single
        addresses, patterns and IP addresses, and exceptions.
        """
        users = self._people.users(tx, [id for one in bans if (id := self._people.id(one.profile))])
        people: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        domains: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        left: list[Unreadable] = []
        for one in bans:
            row = {
                "created": value_cleaning.time(one.date_created, self._now),
                "expires": value_cleaning.time(one.expires, self._now) if one.expires else None,
                "display_reason": value_cleaning.line(one.reason),
                "admin_reason": value_cleaning.line(one.note),
            }
            user_id = users.get(self._people.id(one.profile)) if one.profile else None
            if is_over(one, self._now):
                continue
            if reason := reason_against(one, is_there=bool(user_id)):
                left.append(Unreadable(kind="ban", id=left_out_as(one), reason=reason))
            elif user_id:
                people.append((("ban", one), row | {"user_id": user_id}))
            else:
                domains.append((("ban", one), row | {"domain": _domain(one)}))
        self._origin.run(tx, INSERT_BANS, self._origin.unwritten(tx, people))
        made = self._origin.rows(tx, INSERT_DOMAIN_BANS, self._origin.unwritten(tx, domains))
        # By these ids they are removed with the import; those of people go with the people.
        self._origin.remember(
            tx, [(itemtypes.USER, f"{BAN}{domain}", id, "ban") for domain, id in made]
        )
        return left


def with_marked(reader: ForumReader, now: datetime.datetime) -> Iterator[PortedBan | Unreadable]:
    """Yield the bans of a source, each Unreadable included; then a permanent ban for each profile that is marked as
    banned and has no ban of its own in force at `now`. An exception from other bans is yielded too, but counts as no
    ban of its own.
    """
    named: set[str] = set()
    for ban in reader.bans():
        if isinstance(ban, PortedBan) and not (ban.is_exception or is_over(ban, now)):
            named.add(ban.profile)
        yield ban
    for profile in reader.profiles():
        if isinstance(profile, PortedProfile) and profile.is_banned and profile.id not in named:
            yield PortedBan(profile=profile.id)


def is_over(ban: PortedBan, now: datetime.datetime) -> bool:
    """Return True if the ban has ended by `now`, so that it is left out; an end without a zone is taken as UTC."""
    if ban.expires is None:
        return False
    return (ban.expires if ban.expires.tzinfo else ban.expires.replace(tzinfo=datetime.UTC)) <= now


def reason_against(ban: PortedBan, *, is_there: bool) -> str:
    """Return the reason for which a ban in force is left out, "" for a ban that is inserted. `is_there`: the ban names
    a profile, and this profile comes.
    """
    if ban.is_exception:
        return "isException: there are no exceptions from bans here"
    if is_there or _domain(ban):
        return ""
    if ban.profile:
        return f"profile: profile {ban.profile} does not come"
    if ban.email:
        return "email: one address or a pattern is not banned here, a whole domain is"
    return "ipAddress: addresses of machines are not banned here"


def _domain(ban: PortedBan) -> str:
    """Return in lower case the e-mail domain that a ban is for, "" if the ban is for anything else."""
    match = _DOMAIN.fullmatch(ban.email.strip().lower())
    return match[1] if match else ""


def left_out_as(ban: PortedBan) -> str:
    """Return the id under which a ban is listed as left out: the profile's, else `*@` and the e-mail domain, else the
    IP address with `*` in place of its last part; never a whole address.
    """
    if ban.profile:
        return ban.profile
    if ban.email:
        return f"*@{ban.email.rpartition('@')[2]}"
    mark = ":" if ":" in ban.ip_address else "."
    return f"{ban.ip_address.rpartition(mark)[0]}{mark}*"
