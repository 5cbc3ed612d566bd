"""An invitation to an event tells the invited person: in their list, by mail, and live."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import RIGHTS, Factory, Person, Site, Thing
from tests.fixtures import Server
from tests.realtime.listener import Listener
from tests.updates.stage import entries, heard, told
from tests.updates.test_mail_flow import mails, wait

pytestmark = pytest.mark.slow


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def invite(api: Api, event: Thing, by: Person, *people: Person, rsvp: str = "invited") -> None:
    """Write people down for an event."""
    body = [{"profileId": one.id, "rsvp": rsvp} for one in people]
    answer = api.put(f"{event.path}/attendees", body, by=by)
    assert answer.status == 200, answer.body


@pytest.mark.wide
def test_whoever_is_invited_is_told_in_the_list_by_mail_and_live(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    event = make.event(site, by=site.member, title="Picnic")
    with Listener(server.address, site, site.newcomer) as there:
        there.follow("updates")
        invite(api, event, site.member, site.newcomer)
        frame = there.next("event")
    assert (frame["kind"], frame["itemType"]) == ("created", "update")
    assert heard(api, site.newcomer) == [("event_invitation", "event", event.id)]
    (entry,) = entries(api, site.newcomer)
    assert entry["meta"]["createdBy"]["id"] == site.member.id

    (mail,) = wait(server, site.newcomer, 1)
    assert "member invites you to Picnic" in mail["Subject"]
    assert "/events/" in str(mail.get_body(("plain",)))


@pytest.mark.wide
def test_an_answer_of_ones_own_and_a_change_without_an_invitation_tell_nobody(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    event = make.event(site, by=site.member)
    invite(api, event, site.newcomer, site.newcomer, rsvp="maybe")
    told(make, site)
    assert heard(api, site.newcomer) == []
    # `maybe` is how a client invites right after it has made an event, and later only a change.
    invite(api, event, site.member, site.newcomer, rsvp="no")
    invite(api, event, site.member, site.newcomer, rsvp="maybe")
    told(make, site)
    assert heard(api, site.newcomer) == []
    invite(api, event, site.member, site.moderator, rsvp="maybe")
    invite(api, event, site.member, site.newcomer)
    told(make, site)
    for person in (site.newcomer, site.moderator):
        assert heard(api, person) == [("event_invitation", "event", event.id)]


@pytest.mark.wide
def test_an_invitation_that_is_taken_back_is_gone_and_a_new_one_is_told_anew(
    api: Api, make: Factory, site: Site
) -> None:
    event = make.event(site, by=site.member)
    invite(api, event, site.member, site.newcomer)
    told(make, site)
    path = f"{event.path}/attendees/{site.newcomer.id}"
    assert api.delete(path, by=site.owner).status == 200
    assert heard(api, site.newcomer) == []

    invite(api, event, site.member, site.newcomer)
    told(make, site)
    assert heard(api, site.newcomer) == [("event_invitation", "event", event.id)]


@pytest.mark.wide
def test_nobody_is_told_of_what_they_may_not_read_or_ignore_or_want_no_mail_of(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site)
    make.join(make.role(site, place.id, "Some", rights=RIGHTS), site.member, site.moderator)
    event = make.event(site, by=site.member, microcosm=place)
    loner, silent = make.person(site), site.moderator
    make.ignore(loner, site.member)
    open_event = make.event(site, by=site.member)
    path = "/api/v1/updates/preferences/10"
    assert api.put(path, {"sendEmail": False}, by=silent).status == 302

    invite(api, event, site.member, site.newcomer, silent)
    invite(api, open_event, site.member, loner)
    told(make, site)
    invite(api, open_event, site.member, site.owner)
    wait(server, site.owner, 1)

    assert heard(api, site.newcomer) == heard(api, loner) == []
    assert heard(api, silent) == [("event_invitation", "event", event.id)]
    assert [mails(server, one) for one in (site.newcomer, silent, loner)] == [[], [], []]


@pytest.mark.wide
def test_a_person_invites_another_to_an_event_by_one_mail(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    event = make.event(site, by=site.member)
    invite(api, event, site.member, site.newcomer)
    wait(server, site.newcomer, 1)
    for _ in range(3):
        invite(api, event, site.member, site.newcomer, rsvp="no")
        invite(api, event, site.member, site.newcomer)
        told(make, site)
    path = f"{event.path}/attendees/{site.newcomer.id}"
    assert api.delete(path, by=site.owner).status == 200
    invite(api, event, site.member, site.newcomer)
    invite(api, event, site.member, site.moderator)
    wait(server, site.moderator, 1)
    # The list has it anew, the mailbox once; another person's invitation is another mail.
    assert heard(api, site.newcomer) == [("event_invitation", "event", event.id)]
    wait(server, site.newcomer, 1)
    assert api.delete(path, by=site.owner).status == 200
    invite(api, event, site.owner, site.newcomer)
    wait(server, site.newcomer, 2)
