"""Users, short links and files to which a site's rows refer: rows that belong to no site, and are found or made on the
other platform.

A user there who has the same address is the same person, and keeps what is known of them there. A new one comes with an
unverified address and without anything that signs in.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from psycopg.sql import SQL, Composed, Identifier, Literal

from forumapi.files.storage import MissingError, Storage
from forumapi.files.thumbnails import scratch
from forumapi.models.access import platform_secret
from forumapi.models.notifications import mail_suppression
from forumapi.porting.moving.carried_tables import moved_key
from forumapi.porting.moving.table_copy import LENT, Connection, SiteCopy
from forumapi.text import short_link_code
from forumapi.updates import unsubscribe

_READ: Final = 5_000

_USERS: Final = SQL(
    """
    SELECT u.user_id, u.email, u.canonical_email, {key} AS person_key, u.language, u.gender, u.state, u.dob_day,
           u.dob_month, u.dob_year, u.created
      FROM users u
     WHERE u.user_id IN (SELECT p.user_id FROM profiles p WHERE p.site_id = {site}
                          UNION SELECT b.user_id FROM poll_ballots b WHERE b.site_id = {site}
                          UNION SELECT b.user_id FROM bans b WHERE b.site_id = {site})"""
)
_MAKE_USERS: Final = """
    INSERT INTO users (email, canonical_email, person_key, language, gender, state, dob_day, dob_month, dob_year,
                       created)
    SELECT CASE WHEN n.is_nobody AND n.email <> '' THEN n.person_key ELSE n.email END,
           CASE WHEN n.is_nobody AND n.email <> '' THEN n.person_key ELSE n.canonical_email END,
           n.person_key, n.language, n.gender, n.state, n.dob_day, n.dob_month, n.dob_year, n.created
      FROM (SELECT m.*, m.person_key ~ '^(erased-.*@erased[.]invalid$|imported:)' AS is_nobody FROM moving_users m) n
     WHERE NOT EXISTS (SELECT FROM users u WHERE u.person_key = n.person_key)
     ORDER BY n.person_key
        ON CONFLICT (person_key) DO NOTHING"""

_MAKE_ERASURE: Final = """
    WITH asked (site_id, profile_id, words, requested, due) AS (
        VALUES (%s::bigint, %s::bigint, %s::text, %s::timestamptz, %s::timestamptz)),
    whole AS (
        INSERT INTO account_erasures (user_id, words, requested, due)
        SELECT p.user_id, a.words, a.requested, a.due
          FROM asked a
          JOIN profiles p ON p.site_id = a.site_id AND p.profile_id = a.profile_id
          JOIN users u ON u.user_id = p.user_id AND NOT u.email_verified
         WHERE NOT EXISTS (SELECT FROM profiles o WHERE o.user_id = p.user_id AND o.site_id <> p.site_id)
            ON CONFLICT (user_id) DO UPDATE SET words = EXCLUDED.words, due = EXCLUDED.due
     RETURNING user_id)
    INSERT INTO erasures (site_id, profile_id, words, requested, due)
    SELECT a.site_id, a.profile_id, a.words, a.requested, a.due
      FROM asked a
     WHERE NOT EXISTS (SELECT FROM whole)
        ON CONFLICT (site_id, profile_id) DO NOTHING"""

_LINKS: Final = SQL(
    """
    SELECT DISTINCT l.url_hash, l.url, l.host
      FROM link_uses n
      JOIN links l ON l.link_id = n.link_id
     WHERE n.site_id = {site}"""
)
_MAKE_LINKS: Final = """
    INSERT INTO links (url_hash, url, host, code, has_old_code, lead)
    SELECT n.url_hash, n.url, n.host, n.code, false, left(n.code, 1)
      FROM unnest(%s::bytea[], %s::text[], %s::text[], %s::text[]) AS n (url_hash, url, host, code)
     WHERE NOT EXISTS (SELECT FROM links l WHERE l.url_hash = n.url_hash)
     ORDER BY n.url_hash
        ON CONFLICT (url_hash) DO NOTHING"""

_FILES: Final = SQL(
    """
    SELECT f.file_hash, f.file_ext, f.file_size, f.mime_type, f.width, f.height, f.is_animated
      FROM files f
     WHERE f.file_hash IN (SELECT a.file_hash FROM attachments a WHERE a.site_id = {site}
                            UNION SELECT u.file_hash FROM file_uploads u WHERE u.site_id = {site})
     ORDER BY f.file_hash"""
)
_HAS_FILE: Final = "SELECT f.file_hash FROM files f WHERE f.file_hash = ANY(%s)"
# Until its attachment comes, nothing refers to a file: were the copy to end here, the clean-up would find it.
_ANNOUNCE: Final = """
    INSERT INTO file_strays (file_hash) VALUES (%s) ON CONFLICT (file_hash) DO UPDATE SET since = now()"""
_MAKE_FILE: Final = """
    INSERT INTO files AS f (file_hash, file_name, file_ext, file_size, mime_type, width, height, is_animated)
    VALUES (%s, '', %s, %s, %s, %s, %s, %s)
        ON CONFLICT (file_hash) DO UPDATE SET file_size = f.file_size"""
COUNT_ATTACHMENTS: Final = """
    UPDATE files f
       SET attach_count = n.hung
      FROM (SELECT k.file_hash, (SELECT count(*) FROM attachments a WHERE a.file_hash = k.file_hash) AS hung
              FROM (SELECT a.file_hash FROM attachments a WHERE a.site_id = %(there)s
                     UNION SELECT u.file_hash FROM file_uploads u WHERE u.site_id = %(there)s) k
             ORDER BY k.file_hash) n
     WHERE f.file_hash = n.file_hash AND f.attach_count <> n.hung"""
_SETTLE: Final = """
    DELETE FROM file_strays s
     WHERE s.file_hash IN (SELECT u.file_hash FROM file_uploads u WHERE u.site_id = %(there)s)"""


def make_users(site: SiteCopy) -> None:
    """Insert on the other platform the users to whom the site's rows here refer and who are missing there, in a
    transaction of its own. Raises psycopg.Error.
    """
    query = _USERS.format(key=moved_key(site.there), site=Literal(site.site_id))
    with site.writer.transaction():
        site.writer.execute(
            "CREATE TEMPORARY TABLE moving_users ON COMMIT DROP AS"
            " SELECT u.email, u.canonical_email, u.person_key, u.language, u.gender, u.state, u.dob_day, u.dob_month,"
            " u.dob_year, u.created FROM users u WHERE false"
        )
        read = SQL(
            "COPY (SELECT w.email, w.canonical_email, w.person_key, w.language, w.gender, w.state, w.dob_day,"
            " w.dob_month, w.dob_year, w.created FROM ({}) w) TO STDOUT"
        ).format(query)
        with (
            site.reader.cursor().copy(read) as source,
            site.writer.cursor().copy("COPY moving_users FROM STDIN") as target,
        ):
            for piece in source:
                target.write(piece)
        site.writer.execute(_MAKE_USERS)


def remove_made_users(
    site_id: int, here: Connection, there: Connection, site_id_there: int
) -> None:
    """Remove from the platform `there` the users whom the copy of a site has made, those included whose person has
    changed the address here since, and those made up by `table_copy`, unless they have proven their address there or
    something else there refers to them. Raises psycopg.Error.

    A user whom a copy made has the same time of creation as the user here. `here`, `there`: connections to the platform
    that the site comes from, and to the other one; `site_id`, `site_id_there`: the site's id on them.
    """
    created = here.execute(
        SQL("SELECT DISTINCT u.created FROM ({}) u").format(
            _USERS.format(key=SQL("u.person_key"), site=Literal(site_id))
        )
    ).fetchall()
    references = there.execute(
        "SELECT k.conrelid::regclass::text, a.attname::text FROM pg_constraint k"
        " JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]"
        " WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = 'users'::regclass ORDER BY 1, 2"
    ).fetchall()
    conditions = [
        SQL(" AND NOT EXISTS (SELECT FROM {} t WHERE t.{} = u.user_id)").format(
            Identifier(table), Identifier(column)
        )
        for table, column in references
    ]
    there.execute(
        SQL(
            "DELETE FROM users u WHERE NOT u.email_verified AND (u.created = ANY(%s) OR u.person_key LIKE %s){}"
        ).format(SQL("").join(conditions)),
        [[row[0] for row in created], f"{LENT}{site_id_there}:%"],
    )


def make_suppressions(site: SiteCopy) -> None:
    """Stop mail of the other platform to people of the site whose address bounced here, unless the address is proven
    there. Addresses are hashed anew for it, since each platform has a key of its own. Call this function after
    `make_users`: people whom the other platform does not know are passed over. Raises psycopg.Error.
    """
    query = SQL(
        "SELECT u.person_key, x.reason, x.detail FROM profiles p JOIN users u ON u.user_id = p.user_id"
        f" JOIN mail_suppressions x ON x.address_hash = {mail_suppression.HASH} WHERE p.site_id = {{}}"
    ).format(Literal(site.site_id))
    for rows in _pages(site.reader, "moving_suppressions", query):
        site.writer.execute(
            "INSERT INTO platform_secrets (name, secret) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [platform_secret.MAIL, secrets.token_bytes(32)],
        )
        site.writer.execute(
            "INSERT INTO mail_suppressions (address_hash, reason, detail)"
            f" SELECT {mail_suppression.hashed('n.key')}, n.reason, n.detail"
            "   FROM unnest(%s::text[], %s::text[], %s::text[]) AS n (key, reason, detail)"
            "  JOIN users u ON u.person_key = n.key AND NOT u.email_verified"
            "     ON CONFLICT (address_hash) DO NOTHING",
            [[row[place] for row in rows] for place in range(3)],
        )


def make_link_keys(site_id: int, here: Connection, there: Connection, site_id_there: int) -> None:
    """Store on the other platform the keys of links in mails that this one has sent for the site, so that they are good
    there. Raises psycopg.Error. `here`, `there`: connections to the platform that the site comes from, and to the other
    one; `site_id`, `site_id_there`: the site's id on them.
    """
    found = {
        name: bytes(secret)
        for name, secret in here.execute(
            "SELECT s.name, s.secret FROM platform_secrets s WHERE s.name = ANY(%s)",
            [[platform_secret.MAIL, f"{platform_secret.CARRIED}{site_id}"]],
        )
    }
    keys = found.get(f"{platform_secret.CARRIED}{site_id}", b"")
    if secret := found.get(platform_secret.MAIL):
        keys = unsubscribe.keys(secret, site_id, keys)
    if not keys:
        # No mail was ever sent.
        return
    there.execute(
        "INSERT INTO platform_secrets (name, secret) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET secret = EXCLUDED.secret",
        [f"{platform_secret.CARRIED}{site_id_there}", keys],
    )


def make_erasures(site_id: int, here: Connection, there: Connection, site_id_there: int) -> None:
    """Insert on the other platform the erasures of whole accounts that people of the site have asked for here: of the
    account, for a person who is there with this site alone and has not proven the address there, else of the site's
    profile alone. Raises psycopg.Error.

    `here`, `there`: connections to the platform that the site comes from, and to the other one; `site_id`,
    `site_id_there`: the site's id on them.
    """
    rows = here.execute(
        "SELECT p.profile_id, e.words, e.requested, e.due FROM account_erasures e"
        " JOIN profiles p ON p.user_id = e.user_id WHERE p.site_id = %s",
        [site_id],
    ).fetchall()
    for row in rows:
        there.execute(_MAKE_ERASURE, [site_id_there, *row])


def make_links(site: SiteCopy) -> None:
    """Insert the short links that the site's texts hold here and that are missing on the other platform, each with a
    code of its own. Raises psycopg.Error.
    """
    for rows in _pages(site.reader, "moving_links", _LINKS.format(site=Literal(site.site_id))):
        site.writer.execute(
            _MAKE_LINKS,
            [
                [row[0] for row in rows],
                [row[1] for row in rows],
                [row[2] for row in rows],
                [short_link_code.draw() for _ in rows],
            ],
        )


def copy_files(site: SiteCopy, source: Storage, target: Storage) -> tuple[int, int]:
    """Copy the site's files that the store `target`, of the other platform, lacks from the store `source`, and insert
    the rows of files that are missing there; return the number of files copied, and of those that `source` lacks too.
    Raises StorageError, psycopg.Error.
    """
    copied = missing = 0
    for rows in _pages(site.reader, "moving_files", _FILES.format(site=Literal(site.site_id))):
        found = site.writer.execute(_HAS_FILE, [[row[0] for row in rows]]).fetchall()
        there = {row[0] for row in found}
        for hash, *columns in rows:
            mime_type = columns[2]
            if target.size(hash) is None:
                with _fetched(source, target, hash) as path:
                    if path is None:
                        missing += 1
                    else:
                        site.writer.execute(_ANNOUNCE, [hash])
                        target.put(hash, path, mime_type)
                        copied += 1
            if hash not in there:
                site.writer.execute(_MAKE_FILE, [hash, *columns])
    return copied, missing


def remove_lent_users(site: SiteCopy) -> None:
    """Remove the made-up users whom profiles on the other platform had for a while during the copy of the table of
    profiles, since two members may have exchanged their addresses. Raises psycopg.Error.
    """
    site.writer.execute(
        "DELETE FROM users u WHERE u.person_key LIKE %s"
        " AND NOT EXISTS (SELECT FROM profiles p WHERE p.user_id = u.user_id)",
        [f"{LENT}{site.there}:%"],
    )


def settle_files(site: SiteCopy) -> None:
    """Set on the other platform the numbers of attachments of the site's files, and take these files off the list of
    those that the clean-up may delete. Raises psycopg.Error.
    """
    with site.writer.transaction():
        site.writer.execute(COUNT_ATTACHMENTS, {"there": site.there})
        site.writer.execute(_SETTLE, {"there": site.there})


@contextmanager
def _fetched(source: Storage, target: Storage, hash: str) -> Iterator[Path | None]:
    """Fetch the file with this hash from `source`, and yield its path in the scratch folder of `target` for the
    duration of the block; None if `source` does not have the file.
    """
    with scratch(target) as folder:
        path = folder / hash
        try:
            source.fetch(hash, path)
        except MissingError:
            yield None
        else:
            yield path


def _pages(connection: Connection, name: str, query: Composed) -> Iterator[list[tuple[Any, ...]]]:
    with connection.cursor(name) as cursor:
        cursor.execute(query)
        while found := cursor.fetchmany(_READ):
            yield found
