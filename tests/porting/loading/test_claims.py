"""Imported profiles, taken over by whoever proves the address that one had, and by nobody else."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from forumapi.config import Config
from forumapi.models.access.identity import Identity
from forumapi.models.people import caller_profile_upkeep, imported_profile
from forumapi.models.people.profile import Profile
from forumapi.models.people.user import User
from forumapi.models.roles import role_recomputation
from tests.factories import Factory, Person
from tests.porting import boards
from tests.porting.moved import Moved

_number = itertools.count(1)


@pytest.fixture
def address() -> str:
    """An address that nobody has used on this database."""
    return f"Claimed{next(_number)}@example.net"


def with_address(make: Factory, config: Config, address: str, old_id: str = "2") -> Moved:
    """A site with the forum about bikes, in which one person has this address."""
    board = boards.bikes()
    board.streams["profiles"] = [
        msgspec.structs.replace(one, email=address) if one.id == old_id else one
        for one in board.streams["profiles"]
    ]
    moved = Moved(make, config, make.site(), board)
    moved.load()
    return moved


def signed_in(moved: Moved, address: str, *, is_verified: bool = True, claims: bool = True) -> int:
    """The profile of a person on the site, as after a sign-in."""
    with moved.make.database.write() as tx:
        user = User.find_or_create(tx, address, is_verified=is_verified)
        return Profile.find_or_create(
            tx, moved.site.id, user.id, user.email, is_root=False, claims=claims
        )


@pytest.mark.wide
def test_who_proves_the_address_gets_the_profile_and_all_that_is_its(
    make: Factory, config: Config, address: str
) -> None:
    moved = with_address(make, config, address)
    ben = moved.ids(3)["2"]

    assert signed_in(moved, address.lower()) == ben

    assert moved.rows(
        """SELECT u.email_verified, (SELECT count(*) FROM poll_ballots b WHERE b.user_id = u.user_id)
             FROM profiles p JOIN users u ON u.user_id = p.user_id
            WHERE p.site_id = %(s)s AND p.profile_id = %(i)s""",
        i=ben,
    ) == [(True, 1)]
    assert moved.rows(
        "SELECT count(*) FROM imported_profiles WHERE site_id = %(s)s AND profile_id = %(i)s", i=ben
    ) == [(0,)]
    # The user that stood for the person is gone, and another sign-in finds the same profile.
    assert moved.rows(
        "SELECT count(*) FROM users WHERE person_key = 'imported:' || %(s)s || ':' || %(o)s || ':2'",
        o=moved.origin.id,
    ) == [(0,)]
    assert signed_in(moved, address) == ben


@pytest.mark.wide
def test_an_unproven_address_and_a_providers_word_claim_nothing(
    make: Factory, config: Config, address: str
) -> None:
    moved = with_address(make, config, address)
    ben = moved.ids(3)["2"]

    assert signed_in(moved, address, is_verified=False) != ben
    again = with_address(make, config, f"x{address}")
    assert signed_in(again, f"x{address}", claims=False) != again.ids(3)["2"]


@pytest.mark.wide
def test_a_ban_goes_along(make: Factory, config: Config, address: str) -> None:
    moved = with_address(make, config, address, old_id="3")
    cid = moved.ids(3)["3"]

    assert signed_in(moved, address) == cid
    assert moved.rows(
        """SELECT count(*) FROM bans b JOIN profiles p ON p.site_id = b.site_id AND p.user_id = b.user_id
            WHERE b.site_id = %(s)s AND p.profile_id = %(i)s""",
        i=cid,
    ) == [(1,)]


@pytest.mark.wide
def test_who_refuses_gets_a_new_profile(make: Factory, config: Config, address: str) -> None:
    moved = with_address(make, config, address)
    ben = moved.ids(3)["2"]
    with make.database.write() as tx:
        assert imported_profile.refuse(tx, moved.site.id, address.lower()) == [ben]

    assert signed_in(moved, address) != ben


@pytest.mark.wide
def test_a_claim_waits_for_a_change_of_roles_before_it_locks_the_profile(
    make: Factory, config: Config, address: str
) -> None:
    moved = with_address(make, config, address)
    ben = moved.ids(3)["2"]
    with ThreadPoolExecutor(1) as pool:
        with make.database.write() as tx:
            role_recomputation.lock_roles(tx, moved.site.id)
            claimed = pool.submit(signed_in, moved, address)
            make.wait_for_locks(1)
            role_recomputation.recompute_roles(tx, moved.site.id, [ben])
        assert claimed.result() == ben


@pytest.mark.wide
def test_a_dump_says_nothing_of_other_sites(make: Factory, config: Config, address: str) -> None:
    elsewhere: Person = make.person(make.site())
    moved = with_address(make, config, elsewhere.email)

    assert moved.rows(
        "SELECT count(*) FROM profiles WHERE site_id = %(s)s AND user_id = %(u)s",
        u=elsewhere.user_id,
    ) == [(0,)]


def test_a_session_of_the_sites_own_provider_takes_nothing_over(
    make: Factory, config: Config, address: str
) -> None:
    moved = with_address(make, config, address)
    ben = moved.ids(3)["2"]
    with moved.make.database.write() as tx:
        user = User.find_or_create(tx, address, is_verified=True)
    session = Identity()
    session.user_id = user.id

    session.is_of_site = True
    caller_profile_upkeep.ensure(moved.make.database, moved.site.id, session, is_root=False)

    assert moved.rows(
        "SELECT profile_id FROM profiles WHERE site_id = %(s)s AND user_id = %(u)s", u=user.id
    ) not in ([], [(ben,)])
