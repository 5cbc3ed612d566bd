"""No mail that they did not ask for goes to people who were added to a site and never signed in."""

from __future__ import annotations

import pytest

from forumapi.models.access.access_token import AccessToken
from forumapi.models.notifications import update_types
from tests.factories import Person, Site
from tests.mail.postbox import Postbox, mail_request


def invited(box: Postbox, site: Site, *people: Person) -> list[str]:
    """Return who is mailed when the owner invites these to an event of theirs."""
    ride = box.make.event(site, by=site.owner)
    body = [{"profileId": one.id, "rsvp": "invited"} for one in people]
    assert box.stage.put(f"/events/{ride.id}/attendees", body, by=site.owner).status == 200
    told = [mail_request(one, update_types.EVENT_INVITATION, ride, by=site.owner) for one in people]
    box.queue(*told, site_id=site.id)
    return sorted(str(mail["To"]) for mail in box.send())


@pytest.mark.wide
def test_an_event_is_no_way_around_the_bounds_of_invitations(box: Postbox) -> None:
    site = box.make.site()
    address = f"stranger@{site.key}.example"
    added = box.stage.post("/users", [{"email": address}], by=site.owner).data[0]
    ((user_id,),) = box.stage.sql("SELECT user_id FROM users WHERE email = %(e)s", e=address)
    stranger = Person(site, added["id"], user_id, added["profileName"], address, "")

    assert invited(box, site, stranger, site.member) == [site.member.email]

    # Once they have been here, they are told like everybody; and before, if they asked for it.
    box.prefer(stranger, update_types.EVENT_INVITATION)
    assert invited(box, site, stranger) == [address]
    box.stage.sql("DELETE FROM update_options WHERE profile_id = %(p)s RETURNING 1", p=stranger.id)
    assert invited(box, site, stranger) == []
    # A provider that the owner set up says that anybody is here, in releases before migration 0036 too.
    with box.stage.app.database.write() as tx:
        AccessToken.insert_session(tx, user_id, site_id=site.id, by_site=True)
    assert invited(box, site, stranger) == []
    box.stage.sql(
        "UPDATE access_tokens SET by_site = NULL WHERE user_id = %(u)s RETURNING 1", u=user_id
    )
    assert invited(box, site, stranger) == []
    with box.stage.app.database.write() as tx:
        AccessToken.insert_session(tx, user_id)
    assert invited(box, site, stranger) == [address]
