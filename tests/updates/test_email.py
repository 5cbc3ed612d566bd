"""Mail about updates: what it says, to whom it goes, and to whom it goes no more."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.message import EmailMessage
from html import unescape

import pytest

from forumapi import itemtypes
from forumapi.models.notifications import update_types
from forumapi.templates import DARK, LIGHT
from forumapi.updates import unsubscribe
from forumapi.updates.message_request import MessageRequest
from tests.factories import RIGHTS, Person, Site, Thing
from tests.mail.postbox import Postbox, mail_request, reply


def parts(mail: EmailMessage) -> tuple[str, str]:
    """The text and the HTML part."""
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return str(text.get_content()), str(html.get_content())


def shut(box: Postbox, person: Person, place: Thing) -> None:
    """From now on the person may not read the microcosm."""
    box.make.join(box.make.role(person.site, place.id, f"No {person.name}", banned=True), person)


@pytest.fixture
def site(box: Postbox) -> Site:
    return box.make.site(title="Bikes &amp; Co")


# ---------------------------------------------------------------- what it says


def has_pages(box: Postbox, site: Site) -> str:
    """The address of pages that the site has from now on."""
    url = f"https://{site.host}"
    assert box.stage.put("/site", {"webUrl": url}, by=site.owner).status == 302
    return url


@pytest.mark.wide
def test_a_reply_is_told_in_text_and_html(box: Postbox, site: Site) -> None:
    at = has_pages(box, site)
    ana, bob = site.newcomer, site.member
    told = reply(box, ana, bob, "Use the *short* bolt. [Here](/conversations/1/)")
    box.queue(told, site_id=site.id)
    (mail,) = box.send()
    text, html = parts(mail)

    assert mail["To"] == ana.email
    assert mail["From"].addresses[0].display_name == "Bikes & Co"
    assert mail["From"].addresses[0].addr_spec == "notify@forum.test"
    assert "Bikes & Co" in mail["Subject"]
    assert f"Hello {ana.name}," in text
    assert f"{bob.name} has replied to your comment" in text
    assert "short" not in text, "the comment stands in the HTML part only"
    assert "Use the <em>short</em> bolt." in html
    assert "Bikes &amp; Co" in html
    mark = "utm_source=notification&utm_medium=email&utm_campaign=reply_to_comment"
    assert f"{at}/comments/{told.comment_id}/incontext/?{mark}" in text
    for path in ("updates", "updates/settings", f"profiles/{bob.id}"):
        assert f'href="{at}/{path}/?{mark.replace("&", "&amp;")}"' in html
    assert not re.search(r'(href|src)="/', html), "every address is whole"


LINKS = re.compile(r"""https?://[^\s<>"')]+""")


@pytest.mark.wide
def test_without_pages_every_link_of_a_mail_leads_to_what_exists(box: Postbox, site: Site) -> None:
    ana, bob = site.newcomer, site.member
    told = reply(box, ana, bob, f"See @{ana.name}, #bolts and [here](/conversations/1/)")
    box.queue(told, site_id=site.id)
    (mail,) = box.send()
    origin = f"{box.stage.app.config.scheme}://{site.host}{box.stage.app.config.port_suffix}"
    links = {unescape(link) for part in parts(mail) for link in LINKS.findall(part)}
    assert len(links) > 5
    for link in links:
        assert link.startswith(origin), link
        if link.endswith("/conversations/1"):
            continue  # what somebody wrote into a comment need not exist
        path = link.removeprefix(origin)
        if path in ("", "/") or path.startswith(unsubscribe.PATH):
            continue  # the index of the host, and a page of our own
        assert path.startswith("/api/v1/"), link
        answer = box.stage.get(path.removeprefix("/api/v1"), site=site, by=ana)
        if answer.status == 307:
            moved = answer.headers["location"].removeprefix("/api/v1")
            answer = box.stage.get(moved, site=site, by=ana)
        assert answer.status == 200, link


def test_a_mail_leads_to_the_pages_where_the_owner_says_they_are(box: Postbox, site: Site) -> None:
    url = f"https://{site.host}/pages"
    assert box.stage.put("/site", {"webUrl": url}, by=site.owner).status == 302
    ana, bob = site.newcomer, site.member
    told = reply(box, ana, bob, f"See @{ana.name} and ![x](/api/v1/files/1.png)")
    box.queue(told, site_id=site.id)
    (mail,) = box.send()
    text, html = parts(mail)

    assert f"{url}/comments/{told.comment_id}/incontext/?utm_source=notification" in text
    assert f'href="{url}/updates/settings/?' in html
    assert f'href="{url}/profiles/{ana.id}"' in html
    assert f"{url}/api/" not in html, "files are where the API is"


def test_titles_and_names_are_text_whatever_they_hold(box: Postbox, site: Site) -> None:
    ana, bob = site.newcomer, site.member
    name = '&lt;img src=x onerror="alert(1)"&gt;'
    box.stage.sql(
        "UPDATE profiles SET profile_name = %(n)s, version = version + 1 WHERE site_id = %(s)s AND profile_id = %(p)s",
        n=name,
        s=site.id,
        p=bob.id,
    )
    chat = box.make.conversation(
        site, by=bob, title="&lt;script&gt;\nSubject: x&lt;/script&gt; $body"
    )
    box.watch(ana, chat)
    box.queue(mail_request(ana, update_types.NEW_ITEM, chat, by=bob), site_id=site.id)
    (mail,) = box.send()
    text, html = parts(mail)

    assert mail["Subject"] == "New on Bikes & Co: <script> Subject: x</script> $body"
    assert "<script> Subject: x</script> $body" in text
    assert "<script" not in html and "<img" not in html
    assert "&lt;script&gt; Subject: x&lt;/script&gt; $body" in html


def test_a_template_of_an_owner_is_never_run(box: Postbox, site: Site) -> None:
    run = "{{ 999 * 999 }}{% for x in range(10 ** 9) %}{% endfor %}{# gone #}"
    sent = {
        "subject": run[:50],
        "text": f"{run} $unsubscribe_url",
        "html": f'<p style="color: #333">{run} $$5</p>$body<a href="$unsubscribe_url">No more</a>',
    }
    assert box.stage.put("/site/mail/reply_to_comment", sent, by=site.owner).status == 302
    box.queue(reply(box, site.newcomer, site.member, f"Said: {run}"), site_id=site.id)
    (mail,) = box.send()
    text, html = parts(mail)

    assert mail["Subject"] == run[:50]
    assert text.startswith(run)
    assert unescape(html).count(run) == 2 and "$5" in html
    assert 'content="light"' in html, "its colours are chosen for light ground"


def test_a_mail_of_the_software_has_the_colours_of_its_pages(box: Postbox, site: Site) -> None:
    box.queue(reply(box, site.newcomer, site.member, "Words"), site_id=site.id)
    (mail,) = box.send()
    _, html = parts(mail)

    assert f'style="color: {LIGHT.accent}"' in html
    assert 'content="light dark"' in html and DARK.paper in html
    assert ">Read the reply</a>" in html
    # Of nobody else: no picture, font or sheet is loaded when the mail is opened.
    assert not re.search(r"<(img|link|script|iframe)|url\(|@import", html)


@pytest.mark.wide
def test_each_type_has_its_words_and_leads_where_it_should(box: Postbox, site: Site) -> None:
    has_pages(box, site)
    ana, bob = site.newcomer, site.member
    place = box.make.microcosm(site, "Workshop")
    chat = box.make.conversation(site, by=bob, microcosm=place, title="Which bolt")
    ride = box.make.event(site, by=bob, title="Sunday ride")
    poll = box.make.poll(site, by=bob, title="Which colour")
    comment = box.make.comment(chat, by=bob)
    between = box.make.huddle(ana, bob, title="Surprise")
    secret = box.make.comment(between, by=bob)
    box.make.attend(ride, bob)
    for what in (chat, ride, poll, between):
        box.watch(ana, what)
    for type in (update_types.REPLY, update_types.MENTIONED, update_types.EVENT_REMINDER):
        box.prefer(ana, type)
    told = {
        mail_request(ana, update_types.NEW_COMMENT, chat, by=bob, comment=comment): (
            "Something new on Bikes & Co: Which bolt",
            f"/comments/{comment.id}/incontext/",
        ),
        mail_request(ana, update_types.MENTIONED, chat, by=bob, comment=comment): (
            f"{bob.name} has mentioned you on Bikes & Co",
            f"/comments/{comment.id}/incontext/",
        ),
        mail_request(ana, update_types.NEW_COMMENT_IN_HUDDLE, between, by=bob, comment=secret): (
            "New comment in a private message on Bikes & Co",
            f"/comments/{secret.id}/incontext/",
        ),
        mail_request(ana, update_types.NEW_ATTENDEE, ride, by=bob): (
            "New attendee on Bikes & Co for Sunday ride",
            f"/events/{ride.id}/",
        ),
        mail_request(ana, update_types.NEW_VOTE, poll, by=bob): (
            "New vote on Bikes & Co in Which colour",
            f"/polls/{poll.id}/",
        ),
        mail_request(ana, update_types.EVENT_REMINDER, ride, by=bob): (
            "Sunday ride is imminent",
            f"/events/{ride.id}/",
        ),
        mail_request(ana, update_types.NEW_ITEM, chat, by=bob): (
            "New on Bikes & Co: Which bolt",
            f"/conversations/{chat.id}/",
        ),
    }
    box.queue(*told, site_id=site.id)
    got = {mail["Subject"]: parts(mail) for mail in box.send()}

    assert set(got) == {subject for subject, _ in told.values()}
    for subject, path in told.values():
        text, html = got[subject]
        assert f"{site.host}{box.stage.app.config.port_suffix}{path}?utm_" in text
        assert f"{path}?utm_" in unescape(html)
    assert "in Workshop on" in got["New on Bikes & Co: Which bolt"][0]


def test_the_address_of_a_new_user_is_for_the_owner_of_the_site_alone(
    box: Postbox, site: Site
) -> None:
    new = box.make.person(site)
    readers = (site.owner, site.moderator, site.newcomer)
    for person in readers:
        box.watch(person, (itemtypes.PROFILE, 0))
    box.queue(
        *(mail_request(person, update_types.NEW_USER, new, by=new) for person in readers),
        site_id=site.id,
    )
    got = {mail["To"]: mail for mail in box.send()}

    assert set(got) == {person.email for person in readers}
    for person in readers:
        told = new.email in str(got[person.email]["Subject"]) + "".join(parts(got[person.email]))
        assert told == (person is site.owner)


def test_mails_about_one_item_are_one_thread_of_their_list(box: Postbox, site: Site) -> None:
    ana, bob = site.newcomer, site.member
    chat = box.make.conversation(site, by=bob)
    box.watch(ana, chat)
    comments = [box.make.comment(chat, by=bob) for _ in range(2)]
    told = [
        mail_request(ana, update_types.NEW_COMMENT, chat, by=bob, comment=one) for one in comments
    ]
    box.queue(*told, mail_request(ana, update_types.NEW_ITEM, chat, by=bob), site_id=site.id)
    mails = box.send()

    assert len({mail["References"] for mail in mails}) == 1
    assert len({mail["Message-ID"] for mail in mails}) == 3
    assert {mail["List-Id"] for mail in mails} == {f"<{site.host}>"}
    assert {mail["Auto-Submitted"] for mail in mails} == {"auto-generated"}


def test_the_link_of_a_mail_ends_what_is_followed_or_else_the_type(
    box: Postbox, site: Site
) -> None:
    ana, bob = site.newcomer, site.member
    chat = box.make.conversation(site, by=bob)
    comment = box.make.comment(chat, by=bob)
    box.watch(ana, chat)
    box.prefer(ana, update_types.MENTIONED)

    def link(type: int) -> str:
        told = mail_request(ana, type, chat, by=bob, comment=comment)
        box.queue(told, site_id=site.id)
        (mail,) = box.send()
        box.receiver.mails.clear()
        return str(mail["List-Unsubscribe"])

    assert f"=w.{ana.id}.{chat.type}.{chat.id}." in link(update_types.NEW_COMMENT)
    assert f"=p.{ana.id}.{update_types.MENTIONED}.0." in link(update_types.MENTIONED)


def test_a_text_of_an_older_renderer_is_rendered_anew_for_its_place(
    box: Postbox, site: Site
) -> None:
    ana, bob = site.newcomer, site.member
    markdown = "See https://bolts.test/short"
    between = box.make.huddle(ana, bob)
    secret = box.make.comment(between, by=bob, markdown=markdown)
    box.stage.sql(
        "UPDATE comments SET html = '<p>of old</p>', renderer = 0 WHERE site_id = %(s)s", s=site.id
    )
    told = mail_request(ana, update_types.REPLY, between, by=bob, comment=secret)
    box.prefer(ana, update_types.REPLY)
    box.queue(told, site_id=site.id)
    (mail,) = box.send()
    html = parts(mail)[1]

    assert "of old" not in html
    # A short link would lead everybody to what was said in private.
    assert 'href="https://bolts.test/short"' in html


def test_a_frame_in_a_comment_is_a_link_in_the_mail(box: Postbox, site: Site) -> None:
    told = reply(box, site.newcomer, site.member, "https://www.youtube.com/watch?v=dQw4w9WgXcQ")
    box.queue(told, site_id=site.id)
    (mail,) = box.send()
    _, html = parts(mail)

    assert "<iframe" not in html
    assert '<a href="https://www.youtube' in html


# ---------------------------------------------------------------- who gets it no more


def _delete(box: Postbox, what: Thing) -> None:
    table, key = {4: ("comments", "comment_id"), 2: ("microcosms", "microcosm_id")}.get(
        what.type, ("items", "item_id")
    )
    box.stage.sql(
        f"UPDATE {table} SET is_deleted = true WHERE site_id = %(s)s AND {key} = %(i)s",
        s=what.site.id,
        i=what.id,
    )
    box.stage.sql(
        "UPDATE sites SET acl_version = acl_version + 1 WHERE site_id = %(s)s", s=what.site.id
    )


def _moderate(box: Postbox, what: Thing) -> None:
    box.stage.sql(
        "UPDATE comments SET is_moderated = true WHERE site_id = %(s)s AND comment_id = %(i)s",
        s=what.site.id,
        i=what.id,
    )


def _turn_off(box: Postbox, person: Person) -> None:
    box.stage.sql(
        "UPDATE profile_options SET send_email = false WHERE site_id = %(s)s AND profile_id = %(p)s",
        s=person.site.id,
        p=person.id,
    )


class Scene:
    """A microcosm of its own with a conversation that `reader` follows, and a comment of `writer` in it."""

    def __init__(self, box: Postbox, site: Site) -> None:
        self.box = box
        self.reader, self.writer = box.make.person(site), site.member
        self.place = box.make.microcosm(site)
        self.chat = box.make.conversation(site, by=self.writer, microcosm=self.place)
        self.comment = box.make.comment(self.chat, by=self.writer)
        box.watch(self.reader, self.chat)

    @property
    def mail_request(self) -> MessageRequest:
        return mail_request(
            self.reader, update_types.NEW_COMMENT, self.chat, by=self.writer, comment=self.comment
        )


CHANGES: dict[str, tuple[Callable[[Scene], object], str]] = {
    "the comment is deleted": (lambda s: _delete(s.box, s.comment), "the reader may not read it"),
    "the comment is moderated": (
        lambda s: _moderate(s.box, s.comment),
        "the reader may not read it",
    ),
    "the conversation is deleted": (lambda s: _delete(s.box, s.chat), "the reader may not read it"),
    "the microcosm is deleted": (lambda s: _delete(s.box, s.place), "the reader may not read it"),
    "the microcosm is shut": (
        lambda s: shut(s.box, s.reader, s.place),
        "the reader may not read it",
    ),
    "the microcosm is for others alone": (
        lambda s: s.box.make.role(s.chat.site, s.place.id, "Others", rights=RIGHTS),
        "the reader may not read it",
    ),
    "the reader is banned": (lambda s: s.box.make.ban(s.reader), "the reader is banned"),
    "the reader ignores the writer": (
        lambda s: s.box.make.ignore(s.reader, s.writer),
        "the reader ignores it",
    ),
    "the reader ignores the conversation": (
        lambda s: s.box.make.ignore(s.reader, s.chat),
        "the reader ignores it",
    ),
    "the reader ignores the microcosm": (
        lambda s: s.box.make.ignore(s.reader, s.place),
        "the reader ignores it",
    ),
    "the reader ignores what is above the microcosm": (
        lambda s: s.box.make.ignore(s.reader, Thing(s.chat.site, 2, s.chat.site.root_id)),
        "the reader ignores it",
    ),
    "the reader wants no mail": (
        lambda s: _turn_off(s.box, s.reader),
        "the reader wants no mail",
    ),
    "the reader follows without mail": (
        lambda s: s.box.stage.sql(
            "UPDATE watchers SET send_email = false WHERE site_id = %(s)s AND profile_id = %(p)s",
            s=s.chat.site.id,
            p=s.reader.id,
        ),
        "the reader wants no mail of this any more",
    ),
    "the reader follows the microcosm without mail": (
        lambda s: s.box.watch(s.reader, s.place, mail=False),
        "the reader wants no mail of this any more",
    ),
    "the reader follows it no more": (
        lambda s: s.box.stage.sql(
            "DELETE FROM watchers WHERE site_id = %(s)s AND profile_id = %(p)s",
            s=s.chat.site.id,
            p=s.reader.id,
        ),
        "the reader wants no mail of this any more",
    ),
}


@pytest.mark.sliced(4)
@pytest.mark.parametrize("change", CHANGES, ids=lambda name: name.replace(" ", "-"))
def test_what_happens_in_between_ends_a_mail(box: Postbox, site: Site, change: str) -> None:
    scene, other = Scene(box, site), Scene(box, site)
    happens, reason = CHANGES[change]
    ended, kept = scene.mail_request, other.mail_request
    box.queue(ended, kept, site_id=site.id)
    happens(scene)
    mails = box.send()

    # The one to whom it did not happen gets theirs: the setup alone prevents nothing.
    assert [mail["To"] for mail in mails] == [other.reader.email]
    assert box.states(ended, kept) == [("dropped", reason), ("sent", "")]


def test_a_microcosm_moved_to_is_what_counts(box: Postbox, site: Site) -> None:
    scene = Scene(box, site)
    hidden = box.make.microcosm(site)
    shut(box, scene.reader, hidden)
    told = scene.mail_request
    box.queue(told, site_id=site.id)
    box.stage.sql(
        "UPDATE items SET microcosm_id = %(m)s WHERE site_id = %(s)s AND item_id = %(i)s",
        m=hidden.id,
        s=site.id,
        i=scene.chat.id,
    )

    assert box.send() == []
    assert box.states(told) == [("dropped", "the reader may not read it")]


def test_who_left_a_huddle_is_told_nothing_of_it(box: Postbox, site: Site) -> None:
    ana, bob, cleo = (box.make.person(site) for _ in range(3))
    between = box.make.huddle(ana, bob, cleo)
    comment = box.make.comment(between, by=ana)
    told = []
    for person in (bob, cleo):
        box.watch(person, between)
        told.append(
            mail_request(
                person, update_types.NEW_COMMENT_IN_HUDDLE, between, by=ana, comment=comment
            )
        )
    box.queue(*told, site_id=site.id)
    box.stage.sql(
        "DELETE FROM huddle_participants WHERE site_id = %(s)s AND item_id = %(h)s AND profile_id = %(p)s",
        s=site.id,
        h=between.id,
        p=bob.id,
    )

    assert [mail["To"] for mail in box.send()] == [cleo.email]
    assert box.states(*told) == [("dropped", "the reader may not read it"), ("sent", "")]


def test_the_owner_of_the_site_is_told_nothing_of_a_huddle_of_others(
    box: Postbox, site: Site
) -> None:
    between = box.make.huddle(site.member, site.newcomer)
    comment = box.make.comment(between, by=site.member)
    box.watch(site.owner, between)
    told = mail_request(
        site.owner, update_types.NEW_COMMENT_IN_HUDDLE, between, by=site.member, comment=comment
    )
    box.queue(told, site_id=site.id)

    assert box.send() == []


def test_replies_and_mentions_follow_the_preference_and_the_switch_above_it(
    box: Postbox, site: Site
) -> None:
    wanted, unwanted, switched, default = (box.make.person(site) for _ in range(4))
    told = [reply(box, person, site.member) for person in (wanted, unwanted, switched, default)]
    box.prefer(unwanted, update_types.REPLY, mail=False)
    _turn_off(box, switched)
    box.stage.sql("DELETE FROM update_options WHERE profile_id = %(p)s", p=default.id)
    box.queue(*told, site_id=site.id)

    assert [mail["To"] for mail in box.send()] == [wanted.email]
    assert [state for state, _ in box.states(*told)] == ["sent", "dropped", "dropped", "dropped"]


def test_nobody_is_mailed_about_what_they_did(box: Postbox, site: Site) -> None:
    told = reply(box, site.member, site.member)
    box.queue(told, site_id=site.id)

    assert box.send() == []
    assert box.states(told) == [("dropped", "the reader did it")]


def test_an_attendee_who_stays_at_home_is_no_news(box: Postbox, site: Site) -> None:
    ride = box.make.event(site, by=site.member)
    box.make.attend(ride, site.newcomer)
    box.watch(site.member, ride)
    told = mail_request(site.member, update_types.NEW_ATTENDEE, ride, by=site.newcomer)
    box.queue(told, site_id=site.id)
    box.stage.sql(
        "UPDATE attendees SET state_id = 4 WHERE site_id = %(s)s AND item_id = %(i)s",
        s=site.id,
        i=ride.id,
    )

    assert box.send() == []


def test_a_site_that_is_gone_sends_nothing(box: Postbox, site: Site) -> None:
    told = Scene(box, site).mail_request
    box.queue(told, site_id=site.id)
    box.stage.sql("UPDATE sites SET is_deleted = true WHERE site_id = %(s)s", s=site.id)

    assert box.send() == []
    assert box.states(told) == [("dropped", "the site is gone")]


def test_a_role_that_time_has_taken_away_counts_no_more(box: Postbox, site: Site) -> None:
    scene = Scene(box, site)
    role = box.make.role(site, scene.place.id, "New here", rights=RIGHTS)
    box.make.criterion(role, "created", "lt", 3)
    told = scene.mail_request
    box.queue(told, site_id=site.id)
    # As if the reader had joined long ago, and nobody had looked since.
    box.stage.sql(
        """UPDATE profiles SET created = now() - interval '9 days', next_change_at = now() - interval '1 day'
            WHERE site_id = %(s)s AND profile_id = %(p)s""",
        s=site.id,
        p=scene.reader.id,
    )

    assert box.send() == []
    assert box.states(told) == [("dropped", "the reader may not read it")]


# ---------------------------------------------------------------- how often


def test_a_cause_is_one_mail_however_often_it_is_taken_up(box: Postbox, site: Site) -> None:
    told = Scene(box, site).mail_request
    box.queue(told, told, site_id=site.id)
    first = box.send()
    box.queue(told, site_id=site.id)

    assert len(first) == 1
    assert box.send() == []


def test_the_outbox_never_holds_a_word_of_it(box: Postbox, site: Site) -> None:
    told = reply(box, site.newcomer, site.member, "Unmistakable")
    box.queue(told, site_id=site.id)
    for _ in range(2):
        (row,) = box.stage.sql(
            "SELECT m::text FROM mail_outbox m WHERE m.cause = %(c)s", c=told.cause
        )
        assert "Unmistakable" not in row[0]
        box.send()
    assert len(box.receiver.mails) == 1


def test_a_batch_takes_few_statements_however_many_mails_it_has(box: Postbox, site: Site) -> None:
    app = box.stage.app
    scenes = [Scene(box, site) for _ in range(12)]
    told = [scene.mail_request for scene in scenes]
    box.queue(*told, site_id=site.id)
    ids = [
        row[0] for row in box.stage.sql("SELECT mail_id FROM mail_outbox WHERE state = 'unwritten'")
    ]
    reader = app.database.read()
    counts = []
    try:
        for few in (ids, ids[:1], ids):
            before = reader.statements
            assert len(app.mail._write._write(reader, few)) == len(few)  # type: ignore[attr-defined]
            counts.append(reader.statements - before)
    finally:
        reader.end()

    assert counts[1:] == [2, 2], "facts alone, once site, microcosms and templates are known"
    assert counts[0] <= 7
