"""Administration that the API does not offer, for commands: listing and creating sites, owners, a user's posts, sign-in
methods.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.auth import backend_list, backends
from forumapi.auth.backends import Backend
from forumapi.config import Config
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import NotFound
from forumapi.itemtypes import ItemRef
from forumapi.models.access.auth_backend_settings import SiteAuthBackend
from forumapi.models.content.comment import Comment, CommentParent
from forumapi.models.content.item import Item
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.people import ban, profile, user
from forumapi.models.people.profile import Profile
from forumapi.models.people.user import User
from forumapi.models.sites.site import ROOT_ID, ROOT_KEY, LockedSite, Site
from forumapi.models.sites.site_validation import SiteBody
from forumapi.models.trust import dsa_terms, targets
from forumapi.models.trust.action import RUNNING, Action, ActionGrounds, ActionQuery
from forumapi.models.trust.action_kinds import DeleteKind
from forumapi.models.trust.action_worker import ActionWorker

_EVER: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

SITE_ID = Query(
    "admin.site_id",
    "SELECT s.site_id FROM sites s WHERE s.subdomain_key = %(key)s AND NOT s.is_deleted",
    scope=PLATFORM,
)

# The document of a site shows its owner; the root site was made by nobody.
SET_OWNER = Query(
    "admin.set_owner",
    """
    UPDATE sites s
       SET owned_by = %(profile_id)s, created_by = coalesce(s.created_by, %(profile_id)s), version = s.version + 1,
           acl_version = s.acl_version + 1
     WHERE s.site_id = %(site_id)s""",
)

SITES = Query(
    "admin.sites",
    """
    SELECT s.site_id, s.subdomain_key, coalesce(s.domain, ''), s.title, coalesce(u.email, ''),
           coalesce(held.state, CASE WHEN s.is_deleted THEN 'deleted' ELSE 'live' END), s.created
      FROM sites s
      LEFT JOIN site_states held ON held.site_id = s.site_id
      LEFT JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
      LEFT JOIN users u ON u.user_id = p.user_id
     ORDER BY s.site_id""",
    scope=PLATFORM,
)

# A name of digits alone is an id: no profile name is (platform 4.3).
USER_OF_PROFILE = Query(
    "admin.user_of_profile",
    """
    SELECT p.user_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s
       AND (lower(p.profile_name) = lower(%(name)s::text) OR p.profile_id::text = %(name)s::text)
     ORDER BY lower(p.profile_name) = lower(%(name)s::text) DESC LIMIT 1""",
)

PROFILE_OF_USER = Query(
    "admin.profile_of_user",
    "SELECT p.profile_id FROM profiles p WHERE p.site_id = %(site_id)s AND p.user_id = %(user_id)s",
)

HUDDLE_COMMENTS_OF = Query(
    "admin.huddle_comments_of",
    f"""
    SELECT c.comment_id, c.item_id
      FROM comments c
      JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id AND i.item_type_id = {itemtypes.HUDDLE}
     WHERE c.site_id = %(site_id)s AND c.created_by = %(profile_id)s AND NOT c.is_deleted
     ORDER BY c.item_id, c.comment_id""",
    unrestricted="for operators, who delete what a profile wrote",
)

IS_RUNNING = Query(
    "admin.is_running",
    "SELECT a.state = 'running' FROM actions a WHERE a.site_id = %(site_id)s AND a.action_id = %(action_id)s",
)
LEAVE_HUDDLES = Query(
    "admin.leave_huddles",
    """
    DELETE FROM huddle_participants h
     WHERE h.site_id = %(site_id)s AND h.profile_id = %(profile_id)s
 RETURNING h.item_id""",
)

# Profiles that a ban from all sites affects; not those of sites' owners (P-26).
BANNED = Query(
    "admin.banned",
    """
    SELECT p.site_id, p.profile_id
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
      JOIN sites s ON s.site_id = p.site_id AND s.owned_by IS DISTINCT FROM p.profile_id
     WHERE CASE WHEN %(domain)s::text = '' THEN u.user_id = %(user_id)s
                ELSE lower(u.email) LIKE '%%@' || %(domain)s::text OR lower(u.email) LIKE '%%.' || %(domain)s::text END
     ORDER BY p.site_id, p.profile_id""",
    scope=PLATFORM,
)


ANY_SITE_ID = Query(
    "admin.any_site_id",
    "SELECT s.site_id FROM sites s WHERE s.subdomain_key = %(key)s",
    scope=PLATFORM,
)


class Listed(NamedTuple):
    """Row of `site list`. `key`: subdomain; `domain`: custom domain, "" without one; `owner`: e-mail address, ""
    without one; `state`: live, deleted, read-only, suspended or export-window (glossary: state of a site).
    """

    id: int
    key: str
    domain: str
    title: str
    owner: str
    state: str
    created: datetime.datetime


def list_sites(tx: Reader) -> list[Listed]:
    """Return a row for each site, oldest first, the root site and deleted ones included."""
    return [Listed(*row) for row in tx.rows(SITES)]


def site_id(tx: Reader, key: str) -> int:
    """Return the id of the live site with the subdomain `key`, one that is neither deleted, suspended nor in its export
    window. Raises NotFound if there is none.
    """
    found = tx.value(SITE_ID, key=key)
    if found is None:
        raise NotFound(f"there is no site {key}; `forumapi site list` shows them")
    return int(found)


def any_site_id(tx: Reader, key: str) -> int:
    """Return the id of the site with the subdomain `key`, even if it is deleted, suspended or in its export window.
    Raises NotFound for a key that no site has.
    """
    found = tx.value(ANY_SITE_ID, key=key)
    if found is None:
        raise NotFound(f"there is no site {key}; `forumapi site list` shows them")
    return int(found)


def lock_site(tx: Transaction, key: str) -> LockedSite:
    """Lock the row of the live site with the subdomain `key` against other transactions until this one ends, and return
    the locked row. A read-only site is live; NotFound is raised for a subdomain that no site has, and for a site that
    is deleted, suspended or in its export window.
    """
    locked = Site.lock(tx, site_id(tx, key))
    assert locked is not None  # rows of sites are not deleted
    return locked


def user_id(tx: Reader, site_id: int, *, email: str | None, profile: str | None) -> int:
    """Return the id of the user with the address `email` or, if that is None, of the user whose profile on the site has
    the name `profile`, in any letter case, or, if no profile has that name, the id `profile`; `email` or `profile` must
    be given. Raises NotFound if there is no such user or profile.
    """
    if email is not None:
        person = User.find_by_email(tx, email)
        if person is None:
            raise NotFound(f"there is no user {email}")
        return person.id
    found = tx.value(USER_OF_PROFILE, site_id=site_id, name=profile)
    if found is None:
        raise NotFound(f"there is no profile {profile} on this site")
    return int(found)


def create_site(
    tx: Transaction, config: Config, key: str, title: str, description: str, owner: str
) -> int:
    """Create a site with the subdomain `key`, owned by the user with the e-mail address `owner`, who is created if
    there is none; the address counts as proven from then on. `title`, `description`: as typed, not escaped. Return the
    site's id. Raises Invalid, naming the field, for a value that is not valid or a subdomain that is taken or reserved.
    """
    person = User.find_or_create(tx, user.checked_email(owner), is_verified=True)
    body = SiteBody(subdomainKey=key, title=title, description=description)
    return Site.insert(tx, body, user_id=person.id, platform_domain=config.platform_domain)


def set_owner(tx: Transaction, key: str, address: str, operator: str = "") -> int:
    """Make the user with this e-mail address, created if there is none, the owner of the live site with the subdomain
    `key`; return the id of their profile there, created if there is none.

    `operator`: who runs the command, for the audit. The former owner keeps their profile and microcosms. Raises
    NotFound if there is no such site or it is not live (`site_id`), Invalid for a bad address.
    """
    id = site_id(tx, key)
    person = User.find_or_create(tx, user.checked_email(address), is_verified=False)
    name = profile.suggested_name(id == ROOT_ID, person.id, person.email)
    profile_id = Profile.insert(tx, id, person.id, name)
    tx.run(SET_OWNER, site_id=id, profile_id=profile_id)
    journal.record_site(tx, Author(id, 0, "", operator))
    return profile_id


def record_ban(
    tx: Transaction,
    operator: str,
    detail: Mapping[str, Any],
    site_id: int,
    user_id: int = 0,
    domain: str = "",
) -> None:
    """Record in audit and event log that a ban began or ended, for each profile that the ban concerns: those of the
    user or, if `domain` is given, of all users with an address of that domain or one below it; profiles that own their
    site are left out, since no ban affects them.

    `site_id` 0: on all sites. `operator`: who runs the command; `detail`: what the audit says of it, `verb` ("ban" or
    "lift") and reasons.
    """
    by_site: dict[int, list[int]] = {}
    if site_id:
        by_site[site_id] = ban.affected(tx, site_id, user_id=user_id, domain=domain)
    else:
        for site, id in tx.rows(BANNED, user_id=user_id, domain=domain):
            by_site.setdefault(site, []).append(id)
    for site, ids in by_site.items():
        journal.record_many(
            tx,
            Author(site, 0, "", operator),
            journal.PATCHED,
            itemtypes.PROFILE,
            ids,
            versions=[None] * len(ids),
            detail=detail,
        )


def delete_posts(tx: Transaction, author: Author, user_id: int, reason: str) -> tuple[int, int]:
    """Start an action, which can be undone, that deletes everything that the user `user_id` wrote on the author's site
    outside huddles; return the action's id, 0 if it has nothing to delete, and the sum of the things that it deletes
    and of the comments deleted in huddles. ActionWorker carries the action out after the commit. `author`: who deletes;
    `reason`: that of the action, which the user reads.

    The user's comments in huddles, where no action reaches, are deleted at once and for good, and the user leaves all
    huddles of the site. Return (0, 0) for a user without a profile there. Raises Conflict if a comment in a huddle is
    being moved to another item at the same time.
    """
    site_id = author.site_id
    profile_id = tx.value(PROFILE_OF_USER, site_id=site_id, user_id=user_id)
    if profile_id is None:
        return 0, 0
    grounds = ActionGrounds(dsa_terms.TERMS, dsa_terms.VIOLATION, reason=reason)
    found = Action.insert(tx, author, DeleteKind.name, grounds)
    query = ActionQuery(profile_id, _EVER, targets.places(tx, site_id))
    found.plan_query(tx, site_id, query)
    if found.total:
        found.set_state(tx, site_id, RUNNING)
    comments = tx.rows(HUDDLE_COMMENTS_OF, site_id=site_id, profile_id=profile_id)
    for comment_id, item_id in comments:
        ref = ItemRef(itemtypes.HUDDLE, item_id)
        # A huddle is locked as any item, not by participation: its author may have left it.
        parent = CommentParent(*ref, Item.lock(tx, site_id, ref))
        if comment := Comment.lock_on(tx, site_id, parent, comment_id):
            comment.delete(tx, author)
    left = [row[0] for row in tx.rows(LEAVE_HUDDLES, site_id=site_id, profile_id=profile_id)]
    journal.record_many(
        tx,
        author,
        journal.PATCHED,
        itemtypes.HUDDLE,
        left,
        versions=[None] * len(left),
        detail={"verb": "leave", "subject": int(profile_id)},
    )
    return found.id if found.total else 0, found.total + len(comments)


def carry_out(database: Database, site_id: int, action_id: int) -> None:
    """Work on running actions, those of other sites too, in this process, as the web processes do, until the site's
    action `action_id` has ended, whichever process ended it. An exception of any action's work, also another site's, is
    raised; the web processes then go on with what is left.
    """
    worker = ActionWorker(database, lambda: True, lambda: None)
    while True:
        has_worked = worker.work()
        with database.write() as tx:
            if not tx.value(IS_RUNNING, site_id=site_id, action_id=action_id):
                return
        if not has_worked:
            time.sleep(0.1)


# ---------------------------------------------------------------- ways to sign in


class Method(NamedTuple):
    """Row of `sign-in list`, one sign-in method. `state`: on, or off if it is switched off or can't be used as it is
    set up; `set_by`: site, platform, or default without settings; `settings`: as `name=value`; `missing`: required
    settings without a value. Both lists are separated by spaces.
    """

    method: str
    state: str
    set_by: str
    settings: str
    missing: str


def sign_in_methods(tx: Reader, config: Config, key: str | None) -> list[Method]:
    """Return all sign-in methods that the platform allows, those switched off included, as they are set up on the site
    with the subdomain `key`, or, for None, on sites without settings of their own, in the order of
    `backend_list.LISTED`. Secrets are shown as ***. Raises NotFound for a site that is unknown or not live (`site_id`).
    """
    rows = SiteAuthBackend.find_all(tx, site_id(tx, key) if key else ROOT_ID)
    shown = []
    for name in backend_list.LISTED:
        if (backend := backends.find(name, config)) is None:
            continue
        one = backends.state(backend, rows.get(name), config)
        fields = one.backend.settings
        told = [
            f"{field.name}={'***' if field.kind == 'secret' else one.settings[field.name]}"
            for field in fields
            if field.name in one.settings
        ]
        missing = [f.name for f in fields if f.is_required and not one.settings.get(f.name)]
        set_by = "default" if name not in rows else "site" if one.is_own else "platform"
        state = "on" if one.is_enabled and one.is_ready else "off"
        shown.append(Method(name, state, set_by, " ".join(told), " ".join(missing)))
    return shown


def set_sign_in(
    tx: Transaction,
    config: Config,
    key: str | None,
    name: str,
    settings: Mapping[str, str],
    *,
    is_enabled: bool,
    operator: str = "",
) -> bool:
    """Turn the sign-in method `name` on or off (`is_enabled`) for the site with the subdomain `key`, or, if that is
    None, for all sites without settings of their own, and store its settings; return True if they are complete.

    `settings`: values by name, URLs separated by commas; "" clears a setting. Settings that are not given stay as they
    are stored there; those of the platform are not copied to a site. `operator`: who runs the command, for the audit.
    Raises Invalid for a bad value, NotFound for an unknown method and for a site that is unknown or not live.
    """
    backend = _backend(name, config)
    of = lock_site(tx, key or ROOT_KEY).site_id
    row = SiteAuthBackend.find(tx, of, name)
    stored = row.settings if row is not None and row.is_own == bool(key) else {}
    kinds = {field.name: field.kind for field in backend.settings}
    given = {
        field: list(filter(None, value.split(","))) if kinds.get(field) == "urls" else value
        for field, value in settings.items()
    }
    laid = backends.merge_settings(backend, stored, given)
    SiteAuthBackend.upsert(
        tx, Author(of, 0, "", operator), name, is_enabled=is_enabled, settings=laid
    )
    return backend.is_ready(config, laid)


def clear_sign_in(
    tx: Transaction, config: Config, key: str | None, name: str, operator: str = ""
) -> None:
    """Delete the settings of the sign-in method `name` of the site with the subdomain `key`, or the platform's if that
    is None; a site without settings of its own uses the platform's. `operator`: who runs the command, for the audit.
    Raises NotFound for an unknown method and for a site that is unknown or not live.
    """
    of = lock_site(tx, key or ROOT_KEY).site_id
    SiteAuthBackend.delete(tx, Author(of, 0, "", operator), _backend(name, config).name)


def _backend(name: str, config: Config) -> type[Backend]:
    if name not in backend_list.LISTED or (backend := backends.find(name, config)) is None:
        raise NotFound(f"there is no way to sign in {name}; `forumapi sign-in list` shows them")
    return backend
