"""Bans: each shuts a user, or all addresses of an e-mail domain, out of one site or of the whole platform (platform
3.6).

The identity statement reads bans with each request, so a ban and its end are effective on the next request.
"""

from __future__ import annotations

import datetime
import re
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.pages import page_with_total
from forumapi.models.roles import role_recomputation
from forumapi.text import rfc3339, short_text_cleaning
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

MAX_REASON: Final = 500
MAX_NOTE: Final = 2_000

OWNS = Query(
    "ban.owns",
    """
    SELECT true
      FROM sites s
      JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
     WHERE s.site_id = %(site_id)s AND p.user_id = %(user_id)s""",
)

# Two bans of one user at the same time take turns, so that the second replaces the first.
LOCK_USER = Query(
    "ban.lock_user",
    "SELECT pg_advisory_xact_lock(hashtextextended('ban:' || %(site_id)s::bigint || ':' || %(user_id)s::bigint, 0))",
)

INSERT = Query(
    "ban.insert",
    """
    INSERT INTO bans (site_id, user_id, email_domain, expires, display_reason, admin_reason, created_by)
    VALUES (%(site_id)s, %(user_id)s, %(domain)s, %(expires)s, %(display_reason)s, %(admin_reason)s, %(created_by)s)
        ON CONFLICT (site_id, email_domain) WHERE email_domain IS NOT NULL DO UPDATE
       SET created = now(), expires = EXCLUDED.expires, display_reason = EXCLUDED.display_reason,
           admin_reason = EXCLUDED.admin_reason, created_by = EXCLUDED.created_by
 RETURNING ban_id""",
)

DELETE = Query(
    "ban.delete",
    """
    DELETE FROM bans b
     WHERE b.ban_id = %(ban_id)s AND b.site_id = %(site_id)s::bigint
 RETURNING coalesce(b.user_id, 0), coalesce(b.email_domain, '')""",
)

DELETE_OF_USER = Query(
    "ban.delete_of_user",
    """
    DELETE FROM bans b
     WHERE b.user_id = %(user_id)s AND b.site_id IS NOT DISTINCT FROM %(site_id)s::bigint""",
    scope=PLATFORM,
)

DELETE_OF_DOMAIN = Query(
    "ban.delete_of_domain",
    """
    DELETE FROM bans b
     WHERE b.email_domain = %(domain)s AND b.site_id IS NOT DISTINCT FROM %(site_id)s::bigint""",
    scope=PLATFORM,
)

# Profiles of a site that a ban affects; not its owner's (P-26).
AFFECTED = Query(
    "ban.affected",
    """
    SELECT p.profile_id
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
      JOIN sites s ON s.site_id = p.site_id AND s.owned_by IS DISTINCT FROM p.profile_id
     WHERE p.site_id = %(site_id)s
       AND CASE WHEN %(domain)s::text = '' THEN u.user_id = %(user_id)s
                ELSE lower(u.email) LIKE '%%@' || %(domain)s::text OR lower(u.email) LIKE '%%.' || %(domain)s::text END
     ORDER BY p.profile_id""",
)

USER_OF = Query(
    "ban.user_of",
    "SELECT p.user_id FROM profiles p WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s",
)

_COLUMNS: Final = """
    b.ban_id, coalesce(b.site_id, 0), coalesce(b.user_id, 0), coalesce(u.email, ''), coalesce(b.email_domain, ''),
    coalesce(p.profile_id, 0), coalesce(p.profile_name, ''), b.created, b.expires, b.display_reason, b.admin_reason,
    coalesce(b.created_by, 0)"""
_FROM: Final = """
      FROM bans b
      LEFT JOIN users u ON u.user_id = b.user_id
      LEFT JOIN profiles p ON p.site_id = b.site_id AND p.user_id = b.user_id"""

LIST_ALL = Query(
    "ban.list_all",
    f"""
    SELECT {_COLUMNS} {_FROM}
     WHERE %(site_id)s::bigint = 0 OR b.site_id IS NULL OR b.site_id = %(site_id)s::bigint
     ORDER BY b.ban_id""",
    scope=PLATFORM,
)

FIND = Query(
    "ban.find", f"SELECT {_COLUMNS} {_FROM} WHERE b.site_id = %(site_id)s AND b.ban_id = %(ban_id)s"
)

PAGE = Query(
    "ban.page",
    f"""
    SELECT {_COLUMNS}, count(*) OVER ()
      {_FROM}
     WHERE b.site_id = %(site_id)s AND (b.expires IS NULL OR b.expires > now())
     ORDER BY b.ban_id DESC
     LIMIT %(limit)s OFFSET %(offset)s""",
)
COUNT = Query(
    "ban.count",
    """
    SELECT count(*) FROM bans b
     WHERE b.site_id = %(site_id)s AND (b.expires IS NULL OR b.expires > now())""",
)

DELETE_EXPIRED = Query(
    "ban.delete_expired", "DELETE FROM bans b WHERE b.expires < now()", scope=PLATFORM
)


class Ban(NamedTuple):
    """Ban of a user or, if `domain` is set, of everybody with an address in that domain or a subdomain.

    `site_id` 0: the whole platform; `user_id` and `email`: the user and their address as entered, 0 and "" for a ban of
    a domain; `profile_id`, `profile_name`: the user's profile on that site, 0 and "" for none; `expires` None: never;
    `created_by`: a profile, 0 for an operator; `display_reason` is shown to the banned, `admin_reason` is not.
    """

    id: int
    site_id: int
    user_id: int
    email: str
    domain: str
    profile_id: int
    profile_name: str
    created: datetime.datetime
    expires: datetime.datetime | None
    display_reason: str
    admin_reason: str
    created_by: int

    @classmethod
    def insert(
        cls,
        tx: Transaction,
        user_id: int = 0,
        *,
        domain: str = "",
        site_id: int = 0,
        expires: datetime.datetime | None = None,
        display_reason: str = "",
        admin_reason: str = "",
        created_by: int = 0,
    ) -> int:
        """Store a ban of a user, or of all addresses of an e-mail domain, from a site (0: from the whole platform);
        return the ban's id. Either `user_id` or `domain`, a result of `checked_domain`, is given; `expires` None: it
        never ends; `display_reason` is shown to the banned, `admin_reason` is not, and both are stored as they are;
        `created_by`: id of a profile, 0 for an operator.

        A new ban of a domain replaces the old one; a new ban of a user stands beside old ones, unless `delete_of_user`
        is called before. Those concerned are marked, so that their roles are recomputed on their next request. Raises
        Invalid if the user owns the site (P-26).
        """
        if site_id and user_id and tx.value(OWNS, site_id=site_id, user_id=user_id):
            raise Invalid("user", "A site's owner can't be banned from it")
        ban_id = tx.value(
            INSERT,
            site_id=site_id or None,
            user_id=user_id or None,
            domain=domain or None,
            expires=expires,
            display_reason=display_reason,
            admin_reason=admin_reason,
            created_by=created_by or None,
        )
        _mark(tx, user_id, domain, site_id)
        return int(ban_id)

    @classmethod
    def delete(cls, tx: Transaction, site_id: int, ban_id: int) -> tuple[int, str] | None:
        """Delete one ban of a site; return its user id (0 for none) and its domain ("" for none); None if the site has
        no such ban.
        """
        row = tx.row(DELETE, site_id=site_id, ban_id=ban_id)
        if row is None:
            return None
        user_id, domain = row
        _mark(tx, user_id, domain, site_id)
        return user_id, domain

    @classmethod
    def delete_of_user(cls, tx: Transaction, user_id: int, *, site_id: int = 0) -> int:
        """Delete all bans of a user from one site or, with `site_id` 0, those from the whole platform, while those from
        single sites stay; return the number deleted.
        """
        tx.rows(LOCK_USER, user_id=user_id, site_id=site_id)
        count = tx.run(DELETE_OF_USER, user_id=user_id, site_id=site_id or None)
        _mark(tx, user_id, "", site_id)
        return count

    @classmethod
    def delete_of_domain(cls, tx: Transaction, domain: str, *, site_id: int = 0) -> int:
        """Delete the ban of an e-mail domain, a result of `checked_domain`, from one site or, with `site_id` 0, that
        from the whole platform; return 1, or 0 if there was none.
        """
        count = tx.run(DELETE_OF_DOMAIN, domain=domain, site_id=site_id or None)
        _mark(tx, 0, domain, site_id)
        return count

    @classmethod
    def delete_expired(cls, tx: Transaction) -> int:
        """Delete expired bans of all sites; return their number."""
        return tx.run(DELETE_EXPIRED)

    @classmethod
    def list_all(cls, tx: Reader, site_id: int = 0) -> list[Ban]:
        """Return all bans that concern a site: its own and those from the whole platform; with `site_id` 0 all bans of
        all sites and of the platform. Oldest first, expired ones included.
        """
        return [cls(*row) for row in tx.rows(LIST_ALL, site_id=site_id)]

    @classmethod
    def find(cls, tx: Reader, site_id: int, ban_id: int) -> Ban | None:
        """Return one ban of a site, expired or not; None if the site itself has no such ban: one from the whole
        platform is not found.
        """
        row = tx.row(FIND, site_id=site_id, ban_id=ban_id)
        return cls(*row) if row else None

    @classmethod
    def page(cls, tx: Reader, site_id: int, at: Paging) -> tuple[int, list[Ban]]:
        """Return the number of this site's unexpired bans and the page `at` of them, newest first. Bans from the whole
        platform are left out.
        """
        rows, total = page_with_total.page(tx, PAGE, COUNT, at, site_id=site_id)
        return total, [cls(*row) for row in rows]

    @property
    def people(self) -> set[int]:
        """Return the ids of the profiles that `document` shows."""
        return {self.profile_id, self.created_by} - {0}

    def document(self, people: dict[int, bytes]) -> dict[str, Any]:
        """Return the ban as a dict for JSON; `people`: summaries of profiles, as JSON, by profile id. Without a summary
        the banned profile is left out, and `createdBy` is null.
        """
        data: dict[str, Any] = {"id": self.id}
        if self.domain:
            data["domain"] = self.domain
        elif self.profile_id in people:
            data["profile"] = json_fragments.raw(people[self.profile_id])
        author = people.get(self.created_by)
        return data | {
            "reason": self.display_reason,
            "note": self.admin_reason,
            "created": json_fragments.format_time(self.created),
            "createdBy": json_fragments.raw(author) if author else None,
            "expires": json_fragments.format_time(self.expires) if self.expires else None,
            "meta": {"links": [{"rel": "self", "href": f"/api/v1/bans/{self.id}"}]},
        }


def _mark(tx: Transaction, user_id: int, domain: str, site_id: int) -> None:
    """Mark all whom a ban of the user `user_id`, or with 0 of the e-mail domain `domain`, concerns on a site (0: on
    all), so that their roles are recomputed on their next request: criteria may depend on bans.
    """
    if user_id:
        role_recomputation.mark_user(tx, user_id, site_id=site_id)
    else:
        role_recomputation.mark_domain(tx, domain, site_id=site_id)


def affected(tx: Transaction, site_id: int, *, user_id: int = 0, domain: str = "") -> list[int]:
    """Return the ids of the site's profiles that a ban of the e-mail domain `domain`, a result of `checked_domain`, or
    with "" of the user `user_id`, concerns, in ascending order; profiles that another ban shuts out already are
    included, but the site's owner, whom no ban shuts out, is not.
    """
    return [row[0] for row in tx.rows(AFFECTED, site_id=site_id, user_id=user_id, domain=domain)]


def user_of(tx: Reader, site_id: int, profile_id: int) -> int:
    """Return the id of the user of a profile of this site; 0 if there is no such profile."""
    return int(tx.value(USER_OF, site_id=site_id, profile_id=profile_id) or 0)


# ---------------------------------------------------------------- checks

_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})+")


def checked_domain(text: str) -> str:
    """Return `text` as an e-mail domain: in lower case, without spaces around it and a leading @. Raises Invalid if it
    is no domain.
    """
    domain = text.strip().lower().removeprefix("@")
    if len(domain) > 253 or not _DOMAIN.fullmatch(domain):
        raise Invalid("domain", "must be the part of e-mail addresses after the @")
    return domain


def checked_text(text: str, field: str, most: int) -> str:
    """Return `text`, a reason or note, trimmed, without tags, line breaks and unprintable characters, and HTML-escaped.
    Raises Invalid, which names `field`, beyond `most` characters, counted before the escaping.
    """
    cleaned = short_text_cleaning.sentence(text, quiet=False)
    if short_text_cleaning.length(cleaned) > most:
        raise Invalid(field, f"may have at most {most} characters", code=OUT_OF_RANGE)
    return cleaned


def checked_expiry(text: str, field: str = "expires") -> datetime.datetime:
    """Return the time in `text`, at which a ban ends. Raises Invalid, which names `field`, for a text that is no time
    with a zone, or not in the future.
    """
    expires = rfc3339.instant(text)
    if expires is None:
        raise Invalid(field, "must be a time such as 2027-01-31T18:00:00Z")
    if expires <= datetime.datetime.now(datetime.UTC):
        raise Invalid(field, "must be in the future", code=OUT_OF_RANGE)
    return expires
