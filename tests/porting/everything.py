"""A site with every kind of content that an export holds, and with marked texts in all that it must not hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from forumapi import itemtypes
from forumapi.files.storage.local import LocalStorage
from tests.factories import Factory, Person, Site, Thing

# In each text that no export holds.
CANARY = "canary"


def everything(make: Factory, folder: Path, key: str = "") -> Site:
    """Make such a site. `folder`: of the store of files."""
    site = make.site(key)
    _content(make, site, LocalStorage(folder))
    _secrets(make, site, LocalStorage(folder))
    return site


def _stored(make: Factory, storage: LocalStorage, by: Person, content: str) -> str:
    hash = make.file(by, content)
    path = storage.scratch / f"test-{hash}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    assert hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest() == hash
    storage.put(hash, path, "text/plain")
    return hash


def _attach(make: Factory, on: Thing | Person, by: Person, hash: str, name: str) -> int:
    kind = itemtypes.PROFILE if isinstance(on, Person) else on.type
    ((id,),) = make.sql(
        """INSERT INTO attachments (site_id, item_type_id, item_id, profile_id, file_hash, file_name, file_ext)
           VALUES (%(site)s, %(type)s, %(id)s, %(by)s, %(hash)s, %(name)s, 'txt') RETURNING attachment_id""",
        site=by.site.id,
        type=kind,
        id=on.id,
        by=by.id,
        hash=hash,
        name=name,
    )
    if kind == itemtypes.COMMENT:
        make.sql(
            "UPDATE comments SET attachments = attachments + 1 WHERE comment_id = %(id)s RETURNING 1",
            id=on.id,
        )
    return int(id)


def _content(make: Factory, site: Site, storage: LocalStorage) -> None:
    owner, member, newcomer = site.owner, site.member, site.newcomer
    rides = make.microcosm(site, "Rides &amp; more")
    inner = make.microcosm(site, "This weekend", parent=rides)
    closed = make.microcosm(site, "Committee")
    make.role(site, closed.id, "Committee", users=False, rights=("read", "create"))
    people = make.role(site, rides.id, "Riders", guests=True, users=True, rights=("read", "create"))
    make.join(people, newcomer)
    experts = make.role(site, site.root_id, "Experts", rights=("read", "create", "close_own"))
    make.criterion(experts, "commentCount", "ge", 3)
    make.criterion(experts, "", "eq", "gold", group=1, attribute="level")

    chat = make.conversation(site, title="Hello &lt;world&gt; &amp; all", microcosm=rides)
    first = make.comment(chat, markdown="First **words** – für alle 🚲\n\nSecond paragraph")
    answer = make.comment(chat, by=newcomer, markdown="> quoted\n\nAn answer", reply_to=first)
    make.comment(chat, by=owner, markdown="Nested", reply_to=answer)
    _revise(make, site, answer, newcomer)
    gone = make.comment(chat, markdown="Deleted words")
    waits = make.comment(chat, by=newcomer, markdown="Words that wait")
    for hidden, column in ((gone, "is_deleted"), (waits, "is_moderated")):
        make.sql(
            f"""WITH shown AS (
                    UPDATE items SET comment_count = comment_count - 1, version = version + 1
                     WHERE item_id = %(item)s)
                UPDATE comments SET {column} = true, version = version + 1 WHERE comment_id = %(id)s RETURNING 1""",
            item=chat.id,
            id=hidden.id,
        )
    old = make.conversation(site, title="Deleted thread", microcosm=inner)
    make.comment(old, markdown="In a deleted thread")
    make.sql("UPDATE items SET is_deleted = true WHERE item_id = %(id)s RETURNING 1", id=old.id)
    pinned = make.conversation(site, title="Pinned and closed", microcosm=inner, by=owner)
    make.sql(
        """UPDATE items SET is_sticky = true, is_open = false, edited = now(), edited_by = %(by)s,
                  edit_reason = 'a better title' WHERE item_id = %(id)s RETURNING 1""",
        id=pinned.id,
        by=owner.id,
    )
    make.comment(
        old,
        markdown=f"See [there](/conversations/{chat.id}/), https://{site.host}/comments/{first.id}/ and `/polls/1/`,"
        f" or [whom](/profiles/{newcomer.id}) and [nobody](/conversations/9999999/)",
    )
    make.comment(member, by=member, markdown="About me")

    meeting = make.event(site, title="Meeting", microcosm=rides, limit=5)
    make.attend(meeting, owner, newcomer)
    make.comment(meeting, markdown="See you there")
    secret = make.poll(site, title="Colours", microcosm=rides)
    named = make.poll(site, title="Days", microcosm=rides, is_named=True, is_multi=True)
    for poll in (secret, named):
        make.comment(poll, markdown="I have voted")
        for person in (member, newcomer):
            _vote(make, poll, person)

    make.sql(
        """WITH begun AS (UPDATE items SET by_agent = true WHERE item_id = ANY(%(items)s))
           UPDATE comments SET by_agent = true WHERE comment_id = %(id)s RETURNING 1""",
        items=[chat.id, meeting.id, named.id],
        id=answer.id,
    )
    for thing, person in ((chat, owner), (first, owner), (first, newcomer), (secret, member)):
        _react(make, thing, person)
    report = _stored(make, storage, member, f"A report of {site.key}")
    _attach(make, first, member, report, "report.txt")
    picture = _stored(make, storage, member, f"A picture of {site.key}")
    avatar = _attach(make, member, member, picture, "me.txt")
    make.sql(
        "UPDATE profiles SET avatar_id = %(avatar)s WHERE profile_id = %(id)s RETURNING 1",
        avatar=avatar,
        id=member.id,
    )
    for kind, id, value in (
        (itemtypes.PROFILE, member.id, "gold"),
        (chat.type, chat.id, "long"),
        (rides.type, rides.id, "wide"),
    ):
        make.sql(
            """INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, string_value, written_by,
                                       written, is_granted)
               VALUES (%(site)s, %(type)s, %(id)s, 'level', 1, %(value)s, %(by)s, now(), true) RETURNING 1""",
            site=site.id,
            type=kind,
            id=id,
            value=value,
            by=owner.id,
        )
    for thing in (chat, rides, meeting):
        _watch(make, member, thing)
    make.settle(site)


def _revise(make: Factory, site: Site, comment: Thing, by: Person) -> None:
    make.sql(
        """WITH before AS (
               INSERT INTO comment_revisions (site_id, comment_id, revision, markdown, created, created_by)
               SELECT site_id, comment_id, 1, 'An anser', created, created_by FROM comments WHERE comment_id = %(id)s)
           UPDATE comments SET revisions = 2, edited = now(), edited_by = %(by)s WHERE comment_id = %(id)s
        RETURNING 1""",
        id=comment.id,
        by=by.id,
    )


def _vote(make: Factory, poll: Thing, person: Person) -> None:
    make.sql(
        """WITH chosen AS (
               SELECT choice_id FROM poll_choices WHERE item_id = %(id)s ORDER BY sequence LIMIT 1),
           counted AS (
               UPDATE poll_choices c SET vote_count = c.vote_count + 1
                 FROM chosen WHERE c.choice_id = chosen.choice_id),
           voted AS (
               UPDATE polls SET voter_count = voter_count + 1 WHERE item_id = %(id)s)
           INSERT INTO poll_ballots (site_id, item_id, user_id, choice_ids)
           SELECT %(site)s, %(id)s, %(user)s, ARRAY[chosen.choice_id] FROM chosen RETURNING 1""",
        id=poll.id,
        site=poll.site.id,
        user=person.user_id,
    )


def _react(make: Factory, thing: Thing, by: Person) -> None:
    make.sql(
        """INSERT INTO reactions (site_id, item_type_id, item_id, profile_id, name)
           VALUES (%(site)s, %(type)s, %(id)s, %(by)s, 'like') RETURNING 1""",
        site=thing.site.id,
        type=thing.type,
        id=thing.id,
        by=by.id,
    )


def _watch(make: Factory, person: Person, thing: Thing) -> None:
    make.sql(
        """INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
           VALUES (%(site)s, %(by)s, %(type)s, %(id)s, true) ON CONFLICT DO NOTHING RETURNING 1""",
        site=thing.site.id,
        by=person.id,
        type=thing.type,
        id=thing.id,
    )


def _secrets(make: Factory, site: Site, storage: LocalStorage) -> None:
    """Plant marked texts in what is private or secret, each with a number of its own."""
    owner, member, newcomer = site.owner, site.member, site.newcomer
    number = (f"{CANARY}{place:03}" for place in range(1000))

    huddle = make.huddle(owner, member, title=next(number))
    said = make.comment(huddle, by=owner, markdown=next(number))
    _revise(make, site, said, owner)
    make.sql(
        "UPDATE comment_revisions SET markdown = %(text)s WHERE comment_id = %(id)s RETURNING 1",
        text=next(number),
        id=said.id,
    )
    _attach(make, said, owner, _stored(make, storage, owner, next(number)), next(number))
    _react(make, said, member)
    make.sql(
        "UPDATE reactions SET name = %(text)s WHERE item_id = %(id)s RETURNING 1",
        text=next(number),
        id=said.id,
    )
    for type, id in ((itemtypes.HUDDLE, huddle.id), (itemtypes.COMMENT, said.id)):
        make.sql(
            """INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, string_value)
               VALUES (%(site)s, %(type)s, %(id)s, 'note', 1, %(text)s) RETURNING 1""",
            site=site.id,
            type=type,
            id=id,
            text=next(number),
        )
    make.ignore(member, newcomer)
    for statement in _planted():
        make.sql(
            statement,
            site=site.id,
            me=member.id,
            user=member.user_id,
            owner=owner.id,
            root=site.root_id,
            text=next(number),
        )


# Values of the statements below.
_VALUES = """
    WITH n AS (
        SELECT %(site)s::bigint AS site, %(me)s::bigint AS me, %(user)s::bigint AS usr, %(owner)s::bigint AS owner,
               %(root)s::bigint AS root, %(text)s::text AS t, convert_to(%(text)s::text, 'UTF8') AS b) """


def _planted() -> Iterator[str]:
    for table, values in (
        (
            "drafts (site_id, profile_id, place_type_id, place_id, writes_type_id, content)",
            """site, me, 2, root, 6, '{"title": "' || t || '"}'""",
        ),
        (
            "bookmarks (site_id, profile_id, item_type_id, item_id)",
            "site, me, 6, (SELECT min(i.item_id) FROM items i WHERE i.site_id = site AND i.item_type_id = 6)",
        ),
        (
            "access_tokens (token_hash, token_prefix, user_id, name, user_agent, kind, site_id, expires)",
            "sha256(convert_to(t || site, 'UTF8')), t, usr, t, t, 'key', site, now() + interval '1 day'",
        ),
        (
            "webhooks (site_id, url, secret, name, created_by)",
            "site, 'https://' || t || '.test/', b, t, owner",
        ),
        (
            "site_auth_backends (site_id, name, settings)",
            "site, 'google', jsonb_build_object('clientSecret', t)",
        ),
        ("oauth_clients (name, secret_hash, site_id, created_by)", "t, b, site, owner"),
        (
            "single_use (kind, secret_hash, site_id, subject, payload, expires)",
            "'code' || site, b, site, t, jsonb_build_object('a', t), now() + interval '1 day'",
        ),
        (
            "mail_outbox (site_id, cause, recipient, subject, text_body, state)",
            "site, t || site, t, t, t, 'sent'",
        ),
        (
            "passkeys (user_id, credential_id, rp_id, public_key, name)",
            "usr, convert_to(t || site, 'UTF8'), t, b, t",
        ),
        ("one_time_secrets (user_id, secret)", "usr, t"),
        (
            "audit_log (site_id, item_type_id, item_id, profile_id, action, ip)",
            "site, 1, site, me, 'U', '203.0.113.77'::inet",
        ),
        (
            "read_marks (site_id, profile_id, item_type_id, item_id, read_at)",
            "site, me, 2, root, '1999-09-09'::timestamptz",
        ),
        (
            "idempotency_keys (site_id, profile_id, method, path, key, body_hash)",
            "site, me, 'POST', t, t, b",
        ),
        ("search_words (site_id, word, documents)", "site, t, 1"),
    ):
        yield f"{_VALUES} INSERT INTO {table} SELECT {values} FROM n RETURNING 1"
    yield f"""{_VALUES}, opened AS (
                  INSERT INTO cases (site_id, item_type_id, item_id, microcosm_id, author_id, priority, due)
                  SELECT site, 3, me, root, me, 1, now() FROM n RETURNING site_id, case_id),
              noted AS (
                  INSERT INTO case_notes (site_id, case_id, text, created_by)
                  SELECT o.site_id, o.case_id, t, owner FROM opened o, n)
              INSERT INTO reports (site_id, case_id, item_type_id, item_id, reporter_id, kind, category, text)
              SELECT o.site_id, o.case_id, 3, me, owner, 'other', t, t FROM opened o, n RETURNING 1"""
    yield f"""{_VALUES} UPDATE sites s SET auth0_domain = 'a.test', auth0_client_secret = t
                FROM n WHERE s.site_id = n.site RETURNING 1"""
    yield f"""{_VALUES} UPDATE users u SET email = replace(u.email, '@', '+' || t || '@')
                FROM n WHERE u.user_id = n.usr RETURNING 1"""
