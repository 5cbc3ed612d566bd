"""Tests of who is told of what, and who gets a mail for it: the reader's work on what was really written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron.reminders import event_reminders
from forumapi.database.connections import Database, Transaction
from forumapi.events import event_log
from forumapi.events.readers import EventReader, Readers
from forumapi.itemtypes import ItemRef
from forumapi.models.content import attendee
from forumapi.models.content.comment import Comment
from forumapi.models.content.event import Event
from forumapi.models.content.item import Item
from forumapi.models.journal.journal import Author
from forumapi.models.texts.text_rendering import RenderedText
from forumapi.updates import mail_enqueue as update_mail
from forumapi.updates import recipients
from forumapi.updates.dispatch import NAME, Dispatch
from forumapi.updates.message_request import MessageRequest
from tests import services
from tests.factories import Factory, Person, Site
from tests.updates.stage import crowd


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Iterator[str]:
    """A database without a web process, so that nobody else tells anybody."""
    with services.database(postgres_url, "dispatch") as address:
        yield address


class Stage:
    """A database whose events are read when a test says so; `mail_requests` are what mail was taken up for since."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.make = Factory(self.database, "forum.test")
        self.mail_requests: list[MessageRequest] = []
        self.reader = EventReader(NAME, Dispatch(self._queue).work)

    def _queue(
        self, tx: Transaction, site_id: int, mail_requests: Sequence[MessageRequest]
    ) -> None:
        update_mail.queue(tx, site_id, mail_requests)
        tx.after_commit(lambda: self.mail_requests.extend(mail_requests))

    def read(self) -> list[MessageRequest]:
        """Let the reader read all there is; what mail it asked for."""
        self.mail_requests = []
        number(self.database)
        Readers(self.database, [self.reader], lambda: True).catch_up()
        return self.mail_requests

    def mailed(self) -> list[tuple[int, int]]:
        """(profile, type) of the mails that follow from what was done since the last time."""
        return sorted((one.profile_id, one.update_type_id) for one in self.read())

    def rows(self, site: Site) -> list[tuple[int, int, int, int]]:
        """(profile, type, item, by whom) of what people were told."""
        found = self.make.sql(
            """
            SELECT u.profile_id, u.update_type_id, u.item_id, u.created_by
              FROM updates u WHERE u.site_id = %(site)s ORDER BY 1, 2, 3, 4""",
            site=site.id,
        )
        return [(a, b, c, d) for a, b, c, d in found]

    def watch(self, person: Person, item_type: int, item_id: int, *, email: bool = True) -> None:
        self.make.sql(
            """
            INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
            VALUES (%(site)s, %(who)s, %(type)s, %(item)s, %(email)s)
                ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO UPDATE SET send_email = %(email)s""",
            site=person.site.id,
            who=person.id,
            type=item_type,
            item=item_id,
            email=email,
        )

    def prefer(self, person: Person, update_type: int, *, email: bool = True) -> None:
        self.make.sql(
            """
            INSERT INTO update_options VALUES (%(site)s, %(who)s, %(type)s, %(email)s, false)
                ON CONFLICT (site_id, profile_id, update_type_id) DO UPDATE SET send_email = %(email)s""",
            site=person.site.id,
            who=person.id,
            type=update_type,
            email=email,
        )

    def option(self, person: Person, *, email: bool) -> None:
        self.make.sql(
            "UPDATE profile_options SET send_email = %(email)s WHERE profile_id = %(who)s",
            who=person.id,
            email=email,
        )

    def read_mark(self, person: Person, item_type: int, item_id: int) -> None:
        """The person has read everything there."""
        self.make.sql(
            """
            INSERT INTO read_marks VALUES (%(site)s, %(who)s, %(type)s, %(item)s,
                   (SELECT i.last_activity FROM items i WHERE i.item_id = %(item)s))
                ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO UPDATE SET read_at = EXCLUDED.read_at""",
            site=person.site.id,
            who=person.id,
            type=item_type,
            item=item_id,
        )


def number(database: Database) -> None:
    """Give all events their numbers, as a sequencer does."""
    connection = database._acquire()
    try:
        event_log.number(connection)
    finally:
        database._release(connection)


@pytest.fixture(scope="module")
def stage(url: str) -> Iterator[Stage]:
    """The database, and its reader."""
    made = Stage(url)
    yield made
    made.database.close()


@pytest.fixture
def make(stage: Stage) -> Factory:
    """Makes things there."""
    return stage.make


@pytest.fixture
def site(stage: Stage) -> Site:
    """A site there, whose making was read."""
    made = stage.make.site()
    stage.read()
    return made


@pytest.fixture
def ana(stage: Stage, site: Site) -> Person:
    return stage.make.person(site)


@pytest.fixture
def bob(stage: Stage, site: Site) -> Person:
    return stage.make.person(site)


def keep_out(make: Factory, site: Site, place) -> None:
    """From now on nobody but owners reads what is in a microcosm."""
    make.role(site, place.id, "Keepers", rights=("read",))


# ---------------------------------------------------------------- replies and mentions


@pytest.mark.wide
def test_who_is_replied_to_and_who_is_mentioned_are_told_once(stage, make, site, ana, bob):
    chat = make.conversation(site)
    mine = make.comment(chat, by=ana)
    reply = make.comment(chat, by=bob, reply_to=mine, markdown=f"@{site.owner.name} see this")

    stage.read()

    expected = [(site.owner.id, 3, reply.id, bob.id), (ana.id, 2, reply.id, bob.id)]
    assert stage.rows(site) == sorted(expected)
    make.sql("DELETE FROM event_cursors WHERE site_id = %(id)s", id=site.id)
    stage.read()
    assert stage.rows(site) == sorted(expected)


def test_nobody_is_told_of_what_they_write_themselves(stage, make, site, ana):
    chat = make.conversation(site)
    mine = make.comment(chat, by=ana)
    make.comment(chat, by=ana, reply_to=mine, markdown=f"as @{ana.name} said")

    stage.read()

    assert stage.rows(site) == []


def test_who_ignores_the_author_the_item_or_its_place_is_not_told(stage, make, site, bob):
    above = make.microcosm(site)
    place = make.microcosm(site, parent=above)
    chat = make.conversation(site, microcosm=place)
    for what in (bob, chat, place, above):
        reader = make.person(site)
        make.ignore(reader, what)
        stage.prefer(reader, 2)
        stage.prefer(reader, 3)
        mine = make.comment(chat, by=reader)
        make.comment(chat, by=bob, reply_to=mine, markdown=f"Dear @{reader.name}")

    assert stage.mailed() == []
    assert stage.rows(site) == []


def test_who_may_not_read_the_comment_is_not_told_even_as_author_of_the_item(
    stage, make, site, ana, bob
):
    place = make.microcosm(site)
    chat = make.conversation(site, by=ana, microcosm=place)
    mine = make.comment(chat, by=ana)
    stage.watch(ana, itemtypes.CONVERSATION, chat.id)
    stage.prefer(ana, 2)
    stage.prefer(ana, 3)
    stage.read()
    keep_out(make, site, place)

    make.comment(chat, by=bob, reply_to=mine, markdown=f"@{ana.name}?")

    assert stage.mailed() == []
    assert stage.rows(site) == []


def test_a_banned_person_is_not_told(stage, make, site, ana, bob):
    stage.prefer(ana, 3)
    make.ban(ana)
    make.comment(make.conversation(site), by=bob, markdown=f"@{ana.name}")

    assert stage.mailed() == []
    assert stage.rows(site) == []


def test_who_needs_a_second_factor_to_moderate_is_not_told_what_only_moderators_read(
    stage, make, site, bob
):
    place = make.microcosm(site)
    keep_out(make, site, place)
    chat = make.conversation(site, by=site.owner, microcosm=place)
    make.comment(chat, by=bob, markdown=f"@{site.moderator.name}")
    stage.read()
    assert [row[0] for row in stage.rows(site)] == [site.moderator.id]

    make.sql("UPDATE sites SET needs_second_factor = true WHERE site_id = %(id)s", id=site.id)
    make.comment(chat, by=bob, markdown=f"@{site.moderator.name} again")
    stage.read()

    assert len(stage.rows(site)) == 1


def test_roles_that_time_has_changed_are_worked_out_before_anybody_is_told(
    stage, make, site, ana, bob
):
    place = make.microcosm(site)
    make.join(make.role(site, place.id, "Keepers", rights=("read",)), ana)
    chat = make.conversation(site, by=site.owner, microcosm=place)
    make.comment(chat, by=bob, markdown=f"@{ana.name}")
    stage.read()
    assert [row[0] for row in stage.rows(site)] == [ana.id]

    make.sql("DELETE FROM role_profiles WHERE profile_id = %(id)s", id=ana.id)
    make.sql("UPDATE profiles SET next_change_at = now() WHERE profile_id = %(id)s", id=ana.id)
    make.comment(chat, by=bob, markdown=f"@{ana.name} again")
    stage.read()

    assert len(stage.rows(site)) == 1


def test_an_edit_tells_only_whom_it_names_for_the_first_time(stage, make, site, ana, bob):
    chat = make.conversation(site)
    make.ignore(ana, bob)
    comment = make.comment(chat, by=bob, markdown=f"@{ana.name} and @{site.owner.name}")
    stage.read()
    told = stage.rows(site)
    assert [row[0] for row in told] == [site.owner.id]

    make.sql("DELETE FROM ignores WHERE site_id = %(id)s", id=site.id)
    edit(make, comment, bob, [ana.id, site.owner.id, site.member.id])
    stage.read()

    assert stage.rows(site) == sorted([*told, (site.member.id, 3, comment.id, bob.id)])


def edit(make, thing, by, mentioned):
    """Edit a comment as the API does, with these people mentioned."""
    with make.database.write() as tx:
        found = Comment.lock(tx, by.site.id, thing.id, by.id)
        assert found is not None
        text = RenderedText("<p>x</p>", tuple(mentioned), [])
        found.update(tx, Author(by.site.id, by.id, ""), "x", text)


def test_of_a_comment_one_mail_leaves_whatever_else_it_is_for_later(stage, make, site, ana, bob):
    chat = make.conversation(site)
    stage.watch(ana, itemtypes.CONVERSATION, chat.id)
    stage.prefer(ana, 1)
    stage.prefer(ana, 3)
    comment = make.comment(chat, by=bob)
    assert stage.mailed() == [(ana.id, 1)]

    edit(make, comment, bob, [ana.id])

    # The mention is taken up, and finds the mail about the same comment.
    assert stage.mailed() == [(ana.id, 3)]
    rows = make.sql(
        "SELECT update_type_id FROM mail_outbox WHERE site_id = %(site)s AND profile_id = %(ana)s",
        site=site.id,
        ana=ana.id,
    )
    assert rows == [(1,)]


def test_a_hidden_comment_tells_nobody(stage, make, site, ana, bob):
    place = make.microcosm(site)
    for state in (
        "UPDATE comments SET is_moderated = true WHERE comment_id = %(comment)s",
        "UPDATE items SET is_deleted = true WHERE item_id = %(chat)s",
        "UPDATE microcosms SET is_deleted = true WHERE microcosm_id = %(place)s",
    ):
        chat = make.conversation(site, microcosm=place)
        comment = make.comment(chat, by=bob, markdown=f"@{ana.name}")
        make.sql(state, comment=comment.id, chat=chat.id, place=place.id)
        make.sql(
            "UPDATE sites SET acl_version = acl_version + 1 WHERE site_id = %(id)s", id=site.id
        )

    stage.read()

    assert stage.rows(site) == []


@pytest.mark.parametrize(
    "hidden",
    [
        "UPDATE comments SET is_moderated = {} WHERE comment_id = %(comment)s",
        "UPDATE items SET is_deleted = {} WHERE item_id = %(chat)s",
        "UPDATE microcosms SET is_deleted = {} WHERE microcosm_id = %(place)s",
    ],
)
def test_who_was_not_told_while_a_comment_was_hidden_is_told_by_its_next_edit(
    stage, make, site, ana, bob, hidden
):
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    comment = make.comment(chat, by=bob, markdown=f"@{ana.name}")
    for value in ("true", "false"):
        make.sql(hidden.format(value), comment=comment.id, chat=chat.id, place=place.id)
        make.sql(
            "UPDATE sites SET acl_version = acl_version + 1 WHERE site_id = %(id)s", id=site.id
        )
        stage.read()
        assert stage.rows(site) == []

    for _ in range(2):
        edit(make, comment, bob, [ana.id])
        stage.read()
        assert stage.rows(site) == [(ana.id, 3, comment.id, bob.id)]


def moderate(make, thing, by, *, is_held):
    """Hold a comment, or release it, as the API does."""
    with make.database.write() as tx:
        found = Comment.lock(tx, by.site.id, thing.id, by.id)
        assert found is not None
        found.flag(tx, Author(by.site.id, by.id, ""), is_deleted=False, is_moderated=is_held)


def test_a_held_comment_tells_whom_it_concerns_when_it_is_released_and_once(
    stage, make, site, ana, bob
):
    chat = make.conversation(site, by=site.owner)
    first = make.comment(chat, by=site.owner)
    stage.read()
    stage.watch(ana, itemtypes.CONVERSATION, chat.id)
    stage.prefer(ana, 1)
    before = stage.rows(site)
    comment = make.comment(chat, by=bob, markdown=f"@{site.member.name}", reply_to=first)
    gone = make.comment(chat, by=bob, markdown=f"@{site.member.name}")
    for one in (comment, gone):
        moderate(make, one, site.owner, is_held=True)
    stage.read()
    assert stage.rows(site) == before
    assert stage.mailed() == []

    edit(make, gone, bob, [])
    for one in (comment, gone):
        moderate(make, one, site.owner, is_held=False)
    assert sorted(stage.mailed()) == [(ana.id, 1)]
    told = sorted(set(stage.rows(site)) - set(before))
    assert told == sorted(
        [(site.member.id, 3, comment.id, bob.id), (site.owner.id, 2, comment.id, bob.id)]
    )

    for is_held in (True, False):
        moderate(make, comment, site.owner, is_held=is_held)
        edit(make, comment, bob, [site.member.id])
        assert stage.mailed() == []
    assert sorted(set(stage.rows(site)) - set(before)) == told


def test_a_held_item_tells_whom_it_concerns_when_it_is_released_and_once(stage, make, site, ana):
    stage.watch(ana, itemtypes.MICROCOSM, site.root_id)
    stage.prefer(ana, 8)
    chat = make.conversation(site, by=site.owner)
    comment = make.comment(chat, by=site.owner, markdown=f"@{ana.name}")
    held(make, chat, site.owner, is_held=True)
    assert stage.mailed() == []
    assert stage.rows(site) == []

    for is_held, mails, rows in (
        (False, [(ana.id, 8)], [(ana.id, 3, comment.id, site.owner.id)]),
        (True, [], [(ana.id, 3, comment.id, site.owner.id)]),
        (False, [], [(ana.id, 3, comment.id, site.owner.id)]),
    ):
        held(make, chat, site.owner, is_held=is_held)
        assert [mail for mail in stage.mailed() if mail[1] == 8] == mails
        assert stage.rows(site) == rows


def test_a_held_item_without_comments_is_told_of_when_it_is_released(stage, make, site, ana):
    stage.watch(ana, itemtypes.MICROCOSM, site.root_id)
    stage.prefer(ana, 8)
    chat = make.conversation(site, by=site.owner)
    for is_held, mails in ((True, []), (False, [(ana.id, 8)])):
        held(make, chat, site.owner, is_held=is_held)
        assert stage.mailed() == mails


def test_items_that_are_released_together_tell_of_their_own_comments(stage, make, site, ana):
    stage.prefer(ana, 8)
    chats = [make.conversation(site, by=site.owner) for _ in range(2)]
    comments = [make.comment(chat, by=site.owner, markdown=f"@{ana.name}") for chat in chats]
    for is_held, told in ((True, []), (False, [one.id for one in comments])):
        for chat in chats:
            held(make, chat, site.owner, is_held=is_held)
        stage.mailed()
        assert sorted(row[2] for row in stage.rows(site)) == told


def held(make, thing, by, *, is_held):
    """Hold an item, or release it, as the API does."""
    with make.database.write() as tx:
        found = Item.lock(tx, by.site.id, ItemRef(thing.type, thing.id))
        assert found is not None
        found.flag(tx, Author(by.site.id, by.id, ""), {"is_moderated": is_held}, None)


def test_a_mention_that_an_edit_took_out_while_the_comment_was_hidden_tells_nobody(
    stage, make, site, ana, bob
):
    comment = make.comment(make.conversation(site), by=bob, markdown=f"@{ana.name}")
    for is_hidden in (True, False):
        make.sql(
            "UPDATE comments SET is_moderated = %(hidden)s WHERE comment_id = %(comment)s",
            hidden=is_hidden,
            comment=comment.id,
        )
        edit(make, comment, bob, [])
        stage.read()

        assert stage.rows(site) == []

    edit(make, comment, bob, [ana.id])
    stage.read()

    assert stage.rows(site) == [(ana.id, 3, comment.id, bob.id)]


def test_imports_tell_nobody(stage, make, site, ana, bob):
    stage.prefer(ana, 3)
    make.comment(make.conversation(site), by=bob, markdown=f"@{ana.name}")
    make.sql(
        "UPDATE event_log SET detail = '{\"import\": true}' WHERE site_id = %(id)s AND item_type_id = 4",
        id=site.id,
    )

    assert stage.mailed() == []
    assert stage.rows(site) == []


# ---------------------------------------------------------------- mail


def test_a_mail_needs_preference_and_option_for_what_is_meant_for_one(stage, make, site, ana, bob):
    chat = make.conversation(site)

    def mention():
        make.comment(chat, by=bob, markdown=f"@{ana.name}")
        return stage.mailed()

    assert mention() == []
    stage.prefer(ana, 3)
    assert mention() == [(ana.id, 3)]
    stage.option(ana, email=False)
    assert mention() == []


def test_followers_get_one_mail_until_they_have_read(stage, make, site, ana, bob):
    chat = make.conversation(site, by=bob)
    stage.watch(ana, itemtypes.CONVERSATION, chat.id)

    def comment():
        make.comment(chat, by=bob)
        return stage.mailed()

    assert comment() == [(ana.id, 1)]
    assert comment() == []
    stage.read_mark(ana, itemtypes.CONVERSATION, chat.id)
    assert comment() == [(ana.id, 1)]
    make.sql("UPDATE profiles SET all_read_at = now() WHERE profile_id = %(id)s", id=ana.id)
    assert comment() == [(ana.id, 1)]
    assert comment() == []
    stage.option(ana, email=False)
    stage.read_mark(ana, itemtypes.CONVERSATION, chat.id)
    assert comment() == []


def test_mail_of_a_new_item_holds_back_none_of_a_thread_that_is_followed_too(
    stage, make, site, ana, bob
):
    place = make.microcosm(site)
    chat = make.conversation(site, by=bob, microcosm=place)
    stage.watch(ana, itemtypes.CONVERSATION, chat.id)
    stage.watch(ana, itemtypes.MICROCOSM, place.id)
    stage.read()
    make.comment(chat, by=bob)
    assert stage.mailed() == [(ana.id, 1)]
    make.conversation(site, by=bob, microcosm=place)
    assert stage.mailed() == [(ana.id, 8)]

    stage.read_mark(ana, itemtypes.CONVERSATION, chat.id)
    make.comment(chat, by=bob)
    assert stage.mailed() == [(ana.id, 1)]
    make.comment(chat, by=bob)
    assert stage.mailed() == []


@pytest.mark.parametrize("by_site", [False, True])
def test_followers_of_a_place_get_one_mail_an_item_until_they_have_read_it(
    stage, make, site, ana, bob, by_site
):
    place = make.microcosm(site)
    one, other = (make.conversation(site, by=bob, microcosm=place) for _ in range(2))
    if by_site:
        stage.watch(ana, itemtypes.SITE, site.id)
    else:
        stage.watch(ana, itemtypes.MICROCOSM, place.id)
    stage.mailed()
    make.sql("UPDATE watchers SET last_notified = NULL WHERE profile_id = %(id)s", id=ana.id)
    make.sql("DELETE FROM mail_outbox WHERE site_id = %(id)s", id=site.id)

    def comment(*chats):
        for chat in chats:
            make.comment(chat, by=bob)
        return stage.mailed()

    assert comment(one) == [(ana.id, 1)]
    assert comment(other) == [(ana.id, 1)]
    assert comment(one, other) == []
    stage.read_mark(ana, itemtypes.CONVERSATION, other.id)
    assert comment(one, other, other) == [(ana.id, 1)]
    assert stage.mail_requests[0].item_id == other.id

    new = make.conversation(site, by=bob, microcosm=place)
    assert stage.mailed() == [(ana.id, 8)]
    assert comment(new) == []
    stage.read_mark(ana, itemtypes.CONVERSATION, new.id)
    assert comment(new, new) == [(ana.id, 1)]
    make.sql("UPDATE profiles SET all_read_at = now() WHERE profile_id = %(id)s", id=ana.id)
    assert comment(one, other, new) == [(ana.id, 1)] * 3


def test_a_comment_sends_one_mail_a_person_a_reply_before_a_mention_before_the_thread(
    stage, make, site, ana, bob
):
    chat = make.conversation(site)
    mine = make.comment(chat, by=ana)
    stage.read()
    for person in (ana, bob, site.owner, site.member):
        stage.watch(person, itemtypes.CONVERSATION, chat.id)
        stage.prefer(person, 2)
        stage.prefer(person, 3)

    make.comment(
        chat, by=bob, reply_to=mine, markdown=f"@{ana.name} and @{site.owner.name} and @{bob.name}"
    )

    assert stage.mailed() == sorted([(ana.id, 2), (site.owner.id, 3), (site.member.id, 1)])
    assert len({one.cause for one in stage.mail_requests}) == 3


def test_of_comments_read_together_each_follower_gets_one_mail_for_the_first_that_is_for_them(
    stage, make, site, ana, bob
):
    chat = make.conversation(site)
    fan = make.person(site)
    make.ignore(fan, bob)
    stage.read()
    for person in (ana, bob, site.owner, fan):
        stage.watch(person, itemtypes.CONVERSATION, chat.id)

    first = make.comment(chat, by=bob)
    second = make.comment(chat, by=ana)
    make.comment(chat, by=site.owner)
    stage.read()

    found = sorted((one.profile_id, one.comment_id) for one in stage.mail_requests)
    expected = [(ana, first), (site.owner, first), (bob, second), (fan, second)]
    assert found == sorted((person.id, comment.id) for person, comment in expected)


def test_who_is_replied_to_gets_no_mail_as_a_follower_and_who_is_mentioned_does(
    stage, make, site, ana, bob
):
    chat = make.conversation(site)
    mine = make.comment(chat, by=ana)
    stage.read()
    for person in (ana, site.owner):
        stage.watch(person, itemtypes.CONVERSATION, chat.id)

    make.comment(chat, by=bob, reply_to=mine, markdown=f"@{site.owner.name}")

    assert stage.mailed() == [(site.owner.id, 1)]


def test_all_watchers_of_a_comment_must_want_mail(stage, make, site):
    above = make.microcosm(site)
    place = make.microcosm(site, parent=above)
    chat = make.conversation(site, microcosm=place)
    stage.read()
    wanting = {}
    for name, watched in {
        "the item": [(6, chat.id, True)],
        "its place": [(2, place.id, True)],
        "the site": [(1, site.id, True)],
        "all": [(6, chat.id, True), (2, place.id, True), (1, site.id, True)],
        "item but not place": [(6, chat.id, True), (2, place.id, False)],
        "what is above": [(2, above.id, True)],
    }.items():
        person = wanting[name] = make.person(site)
        for item_type, item_id, email in watched:
            stage.watch(person, item_type, item_id, email=email)

    make.comment(chat)

    expected = [(wanting[name].id, 1) for name in ("the item", "its place", "the site", "all")]
    assert stage.mailed() == sorted(expected)
    rows = make.sql(
        """
        SELECT w.item_type_id FROM watchers w
         WHERE w.profile_id = %(id)s AND w.last_notified IS NOT NULL""",
        id=wanting["all"].id,
    )
    assert rows == [(6,)]


def test_no_mail_about_what_one_ignores_or_may_not_read(stage, make, site, bob):
    above = make.microcosm(site)
    place, closed = make.microcosm(site, parent=above), make.microcosm(site)
    chat, hidden = (
        make.conversation(site, by=site.owner, microcosm=place),
        make.conversation(site, by=site.owner, microcosm=closed),
    )
    for what in (bob, chat, place, above):
        reader = make.person(site)
        stage.watch(reader, itemtypes.CONVERSATION, chat.id)
        make.ignore(reader, what)
    fan, outsider = make.person(site), make.person(site)
    stage.watch(fan, itemtypes.CONVERSATION, chat.id)
    stage.watch(outsider, itemtypes.CONVERSATION, hidden.id)
    stage.watch(outsider, itemtypes.SITE, site.id)
    make.ignore(outsider, chat)
    keep_out(make, site, closed)
    stage.read()

    make.comment(chat, by=bob)
    make.comment(hidden, by=bob)
    make.conversation(site, by=bob, microcosm=closed)

    assert stage.mailed() == [(fan.id, 1)]


def test_in_a_huddle_those_who_follow_it_and_are_in_it_get_mail(stage, make, site, ana, bob):
    gone = make.person(site)
    huddle = make.huddle(bob, ana, gone)
    for person in (ana, gone, site.owner):
        stage.watch(person, itemtypes.HUDDLE, huddle.id)
    make.sql("DELETE FROM huddle_participants WHERE profile_id = %(id)s", id=gone.id)
    stage.read()

    first = make.comment(huddle, by=bob, markdown=f"@{ana.name}")
    assert stage.mailed() == [(ana.id, 4)]
    make.comment(huddle, by=bob)
    assert stage.mailed() == []
    make.sql("UPDATE profiles SET huddles_read_at = now() WHERE profile_id = %(id)s", id=ana.id)
    reply = make.comment(huddle, by=ana, reply_to=first)
    stage.read()

    assert stage.rows(site) == [(bob.id, 2, reply.id, ana.id)]


def test_a_comment_on_a_profile_goes_to_who_follows_it_and_comes_by(stage, make, site, ana, bob):
    stage.watch(ana, itemtypes.PROFILE, site.member.id)
    make.comment(site.member, by=bob)
    assert stage.mailed() == [(ana.id, 1)]
    make.comment(site.member, by=bob)
    assert stage.mailed() == []

    make.sql("UPDATE profile_counters SET last_active = now() WHERE profile_id = %(id)s", id=ana.id)
    make.comment(site.member, by=bob)

    assert stage.mailed() == [(ana.id, 1)]
    assert stage.mail_requests[0].item_type_id == itemtypes.PROFILE
    assert stage.mail_requests[0].item_id == site.member.id


def test_a_new_item_is_mailed_to_who_follows_its_place_every_time(stage, make, site, ana, bob):
    place = make.microcosm(site)
    for person in (ana, bob):
        stage.watch(person, itemtypes.MICROCOSM, place.id)
    stage.watch(site.owner, itemtypes.SITE, site.id)
    stage.read()

    for kind in (make.conversation, make.event, make.poll):
        kind(site, by=bob, microcosm=place)
        assert stage.mailed() == sorted([(ana.id, 8), (site.owner.id, 8)])


# ---------------------------------------------------------------- events


def test_who_follows_an_event_is_told_once_that_somebody_comes(stage, make, site, ana, bob):
    event = make.event(site, by=ana)
    stage.watch(ana, itemtypes.EVENT, event.id)
    stage.watch(site.owner, itemtypes.EVENT, event.id, email=False)
    stage.read()

    make.attend(event, bob)
    assert stage.mailed() == [(ana.id, 5)]
    told = sorted((who, 5, event.id, bob.id) for who in (ana.id, site.owner.id, bob.id))
    assert stage.rows(site) == told

    for state in (attendee.NO, attendee.YES):
        answer(make, event, bob, state)
        assert stage.mailed() == []
    assert stage.rows(site) == told


def answer(make, event, person, state):
    """Answer an event otherwise than by coming."""
    with make.database.write() as tx:
        found = Event.lock(tx, event.site.id, ItemRef(event.type, event.id))
        assert found is not None
        answers = [attendee.Rsvp(person.id, state)]
        attendee.store_answers(tx, Author(event.site.id, person.id, ""), found, answers)


def test_who_does_not_come_is_not_told_of(stage, make, site, ana, bob):
    event = make.event(site, by=ana)
    answer(make, event, bob, attendee.NO)

    stage.read()

    assert stage.rows(site) == []


def test_who_comes_is_reminded_once_for_each_start(stage, make, site, ana, bob):
    event = make.event(site, by=site.owner, when=make.clock(minutes=30))
    make.attend(event, ana, bob)
    stage.prefer(ana, 7)
    stage.read()

    remind_all(make)
    assert stage.mailed() == [(ana.id, 7)]
    first = reminders(make, site)
    assert [who for who, _ in first] == [ana.id, bob.id]
    causes = [one.cause for one in stage.mail_requests]

    remind_all(make)
    assert stage.mailed() == []
    make.sql(
        """
        UPDATE events SET when_utc = now() + interval '20 minutes', reminded_at = now() - interval '1 hour'
         WHERE item_id = %(id)s""",
        id=event.id,
    )
    remind_all(make)
    assert stage.mailed() == [(ana.id, 7)]
    assert [one.cause for one in stage.mail_requests] != causes
    again = reminders(make, site)
    assert [who for who, _ in again] == [ana.id, bob.id]
    assert again[0][1] > first[0][1]


def remind_all(make):
    with make.database.write() as tx:
        event_reminders(tx, Config())


def reminders(make, site):
    return make.sql(
        """
        SELECT u.profile_id, u.created FROM updates u
         WHERE u.site_id = %(id)s AND u.update_type_id = 7 ORDER BY 1""",
        id=site.id,
    )


# ---------------------------------------------------------------- people


def test_a_new_person_is_mailed_to_who_follows_all_people(stage, make, site, ana, bob):
    stage.watch(ana, itemtypes.PROFILE, 0)
    stage.watch(bob, itemtypes.PROFILE, 0, email=False)
    stage.read()

    new = make.person(site)

    assert stage.mailed() == [(ana.id, 9)]
    (mail_request,) = stage.mail_requests
    assert (mail_request.item_type_id, mail_request.item_id, mail_request.by_profile_id) == (
        3,
        new.id,
        new.id,
    )
    assert stage.rows(site) == []
    make.person(site)
    assert stage.mailed() == [(ana.id, 9)]


def test_who_was_enrolled_by_the_owner_is_no_news(stage, make, site, ana):
    stage.watch(ana, itemtypes.PROFILE, 0)
    make.person(site)
    make.sql(
        "UPDATE event_log SET actor_id = %(owner)s WHERE site_id = %(id)s AND item_type_id = 3",
        id=site.id,
        owner=site.owner.id,
    )

    assert stage.mailed() == []


# ---------------------------------------------------------------- many, and failing


@pytest.mark.wide
def test_more_followers_than_a_statement_returns_all_get_their_mail(stage, make, site, bob):
    count = recipients.MOST + 3
    crowd(make, site, count, itemtypes.MICROCOSM, site.root_id, email=True)
    chat = make.conversation(site, by=bob)
    mailed = stage.mailed()
    assert len(mailed) == len(set(mailed)) == count

    make.comment(chat, by=bob)

    assert stage.mailed() == []
    assert make.sql(
        "SELECT count(*) FROM watchers WHERE site_id = %(id)s AND last_notified IS NOT NULL",
        id=site.id,
    ) == [(count,)]


def test_a_reader_that_dies_while_it_tells_has_told_nobody_and_tells_all_later(
    stage, make, site, ana, bob
):
    stage.prefer(ana, 3)
    comment = make.comment(make.conversation(site), by=bob, markdown=f"@{ana.name}")
    number(stage.database)

    def die(tx: Transaction, site_id: int, mail_requests: Sequence[MessageRequest]) -> None:
        raise KeyboardInterrupt

    dying = EventReader(NAME, Dispatch(die).work)
    with pytest.raises(KeyboardInterrupt):
        Readers(stage.database, [dying], lambda: True).catch_up()
    assert stage.rows(site) == []

    assert stage.mailed() == [(ana.id, 3)]
    assert stage.rows(site) == [(ana.id, 3, comment.id, bob.id)]
