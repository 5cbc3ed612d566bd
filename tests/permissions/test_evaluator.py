"""The check vectors of platform 13 and the table of platform 5.4: on the evaluator, and through GET /permission."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from forumapi import itemtypes
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import (
    NAMES,
    Node,
    Principal,
    RoleGrant,
    Target,
    Tree,
    effective,
)
from tests.api import Response
from tests.factories import RIGHTS, Person, Thing
from tests.stage import Stage, staged

NONE = ""
ALL_RIGHTS = evaluator.RIGHTS
R, C = evaluator.READ, evaluator.CREATE
MEMBER_RIGHTS = R | C | evaluator.CLOSE_OWN | evaluator.READ_OTHERS

OWNER, MODERATOR, MEMBER, BANNED, SITE_BANNED = 401, 402, 403, 404, 405
ROOT, RIDES, BELOW = 1, 12, 13
GUESTS_ROLE, MEMBERS_ROLE, BANNED_ROLE, MODERATORS_ROLE, REGULAR_ROLE = 1, 2, 3, 4, 5


def node(id: int, parent: int, owner: int) -> Node:
    return Node(id, parent, f"M{id}", "", (2, 6, 9), 1, False, True, False, False, owner, owner, 1)


def role(
    id: int,
    at: int,
    rights: int,
    *,
    moderator: bool = False,
    banned: bool = False,
    guests: bool = False,
    users: bool = False,
) -> RoleGrant:
    return RoleGrant(id, at, moderator, banned, guests, users, rights)


def tree(*more: RoleGrant, moderator_rights: int = ALL_RIGHTS) -> Tree:
    """The site of the vectors: three default roles, and a moderator role on microcosm 12."""
    return Tree(
        1,
        [node(ROOT, 0, OWNER), node(RIDES, ROOT, OWNER), node(BELOW, RIDES, OWNER)],
        [
            role(GUESTS_ROLE, ROOT, R, guests=True),
            role(MEMBERS_ROLE, ROOT, MEMBER_RIGHTS, users=True),
            role(BANNED_ROLE, ROOT, 0, banned=True),
            role(MODERATORS_ROLE, RIDES, moderator_rights, moderator=True),
            *more,
        ],
    )


PEOPLE = {
    0: Principal(0, None),
    OWNER: Principal(OWNER, (), is_site_owner=True, user_id=1),
    MODERATOR: Principal(MODERATOR, (MODERATORS_ROLE,), user_id=2),
    MEMBER: Principal(MEMBER, (), user_id=3),
    BANNED: Principal(BANNED, (BANNED_ROLE,), user_id=4),
    SITE_BANNED: Principal(SITE_BANNED, (), is_site_banned=True, user_id=5),
}

SITE = Target(itemtypes.SITE, 7)
AT_12 = Target(itemtypes.MICROCOSM, RIDES, RIDES, (OWNER,))
AT_ROOT = Target(itemtypes.MICROCOSM, ROOT, ROOT, (OWNER,))
OF_OTHERS = Target(itemtypes.CONVERSATION, 1, RIDES, (OWNER,))
OWN = Target(itemtypes.CONVERSATION, 2, RIDES, (MEMBER,))
OWN_ALONE = OWN._replace(others_wrote=False)
ANY_HUDDLE = Target(itemtypes.HUDDLE, 5)
NEW_HUDDLE = Target(itemtypes.HUDDLE)
OWN_HUDDLE = Target(itemtypes.HUDDLE, 5, is_participant=True)


def profile(id: int) -> Target:
    return Target(itemtypes.PROFILE, id, owner_ids=(id,))


def names(can: int) -> str:
    return " ".join(name for name, flag in NAMES if can & flag)


def asked(who: int, target: Target, at: Tree | None = None) -> str:
    return names(effective(PEOPLE[who], target, at or tree()))


ALL_SEVEN = "create read update delete closeOwn openOwn readOthers"


@pytest.mark.parametrize(
    ("who", "target", "expected"),
    [
        (0, SITE, "read guest"),
        (0, AT_12, "read guest"),
        (0, profile(MEMBER), "read guest"),
        (0, NEW_HUDDLE, "guest"),
        (0, ANY_HUDDLE, "guest"),
        (MEMBER, SITE, "read"),
        (MEMBER, AT_12, "create read closeOwn readOthers"),
        (MEMBER, OF_OTHERS, "create read closeOwn readOthers"),
        (MEMBER, OWN, "create read update closeOwn readOthers owner"),
        (MEMBER, OWN_ALONE, "create read update delete closeOwn readOthers owner"),
        (MEMBER, profile(MEMBER), "create read update owner"),
        (MEMBER, profile(MODERATOR), "read"),
        (MEMBER, NEW_HUDDLE, "create"),
        (MEMBER, OWN_HUDDLE, "create read update delete"),
        (MEMBER, ANY_HUDDLE, NONE),
        (MODERATOR, AT_12, f"{ALL_SEVEN} moderator"),
        (MODERATOR, AT_ROOT, "create read closeOwn readOthers"),
        (OWNER, SITE, "create read update delete owner moderator siteOwner"),
        (OWNER, AT_12, f"{ALL_SEVEN} owner moderator siteOwner"),
        (OWNER, profile(MEMBER), "create read update delete moderator siteOwner"),
        (OWNER, ANY_HUDDLE, "moderator siteOwner"),
        (BANNED, AT_12, "banned"),
        (BANNED, OWN._replace(owner_ids=(BANNED,)), "banned"),
        (BANNED, profile(MEMBER), "read"),
        (SITE_BANNED, SITE, "read banned"),
        (SITE_BANNED, profile(SITE_BANNED), "read banned"),
        (SITE_BANNED, profile(MEMBER), "banned"),
        (SITE_BANNED, AT_12, "banned"),
    ],
)
def test_the_vectors_hold(who: int, target: Target, expected: str) -> None:
    assert asked(who, target) == expected


@pytest.mark.parametrize("kind", [itemtypes.SITE, itemtypes.PROFILE, itemtypes.HUDDLE])
def test_what_stands_in_no_microcosm_is_not_moderated_or_barred_there(kind: int) -> None:
    beside = Target(kind, 0, RIDES)
    assert "moderator" not in asked(MODERATOR, beside)
    assert "banned" not in asked(BANNED, beside)


def test_a_moderator_role_grants_nothing_but_what_its_flags_say() -> None:
    bare = tree(moderator_rights=0)
    assert asked(MODERATOR, AT_12, bare) == "create read closeOwn readOthers moderator"


def test_a_moderator_role_reaches_down_the_tree() -> None:
    assert asked(MODERATOR, Target(itemtypes.MICROCOSM, BELOW, BELOW)) == f"{ALL_SEVEN} moderator"


@pytest.mark.parametrize("place", [RIDES, BELOW])
def test_a_regular_role_of_a_microcosm_switches_off_the_inherited_ones(place: int) -> None:
    at = tree(role(REGULAR_ROLE, RIDES, R | C))
    target = Target(itemtypes.MICROCOSM, place, place, (OWNER,))
    insider = PEOPLE[MEMBER]._replace(role_ids=(REGULAR_ROLE,))
    assert names(effective(insider, target, at)) == "create read"
    assert asked(MEMBER, target, at) == NONE
    assert asked(0, target, at) == "guest"
    assert asked(MODERATOR, target, at) == f"{ALL_SEVEN} moderator"
    assert asked(OWNER, target, at) == f"{ALL_SEVEN} owner moderator siteOwner"


def test_owning_a_microcosm_does_not_reach_its_children() -> None:
    mine = Tree(1, [node(ROOT, 0, OWNER), node(RIDES, ROOT, MEMBER), node(BELOW, RIDES, OWNER)], [])
    below = Target(itemtypes.MICROCOSM, BELOW, BELOW, (OWNER,))
    assert (
        asked(MEMBER, AT_12._replace(owner_ids=(MEMBER,)), mine) == f"{ALL_SEVEN} owner moderator"
    )
    assert asked(MEMBER, below, mine) == NONE


def test_a_banned_role_wins_over_owning_the_microcosm() -> None:
    at = tree(role(9, RIDES, 0, banned=True))
    at.nodes[RIDES].owned_by = MEMBER
    caller = PEOPLE[MEMBER]._replace(role_ids=(9,))
    assert names(effective(caller, AT_12, at)) == "banned"
    assert RIDES not in at.view(caller).set


@pytest.mark.parametrize(
    ("who", "target", "expected"),
    [
        # A comment in a microcosm item, on a profile, in a huddle.
        (MEMBER, Target(4, 1, RIDES, (OWNER,), 6), "create read closeOwn readOthers"),
        (MEMBER, Target(4, 1, RIDES, (MEMBER,), 6), "create read update delete closeOwn readOthers owner"),
        (0, Target(4, 1, RIDES, (OWNER,), 6), "read guest"),
        (MEMBER, Target(4, 1, 0, (OWNER,), 3), "read"),
        (MEMBER, Target(4, 1, 0, (MEMBER,), 3), "create read update delete owner"),
        (OWNER, Target(4, 1, 0, (MEMBER,), 3), "create read update delete moderator siteOwner"),
        (MEMBER, Target(4, 1, 0, (MEMBER,), 5, True), "create read update delete owner"),
        (MEMBER, Target(4, 1, 0, (OWNER,), 5, True), "create read"),
        (MEMBER, Target(4, 1, 0, (MEMBER,), 5), NONE),
        (OWNER, Target(4, 1, 0, (MEMBER,), 5), "moderator siteOwner"),
        # A huddle's creator who has left has nothing (C-38).
        (MEMBER, Target(5, 1, owner_ids=(MEMBER,)), NONE),
        # An attendee.
        (MEMBER, Target(13, 1, RIDES, (MEMBER,), is_attendee=True),
         "create read update delete closeOwn readOthers owner"),
        (MEMBER, Target(13, 1, RIDES, (OWNER,)), "create read closeOwn readOthers"),
        # A user, an update, a role, a watcher.
        (MEMBER, Target(14, 3, user_id=3), "read update owner"),
        (MEMBER, Target(14, 2, user_id=2), NONE),
        (OWNER, Target(14, 3, user_id=3), "read update moderator siteOwner"),
        (MEMBER, Target(16, 1, owner_ids=(MEMBER,)), "read update delete owner"),
        (OWNER, Target(16, 1, owner_ids=(MEMBER,)), "moderator siteOwner"),
        (OWNER, Target(17, 1), f"{ALL_SEVEN} moderator siteOwner"),
        (MODERATOR, Target(17, 1), NONE),
        (MEMBER, Target(19, 1, owner_ids=(MEMBER,)), "create read update delete owner"),
        (MEMBER, Target(19, 1, owner_ids=(OWNER,)), NONE),
        # Nothing asked, an id without a type, a microcosm without a type, something that never existed.
        (MEMBER, Target(0), NONE),
        (MEMBER, Target(0, 5), NONE),
        (MODERATOR, Target(0, 0, RIDES), "moderator"),
        (MEMBER, Target(6, 99), NONE),
        (OWNER, Target(6, 99), f"{ALL_SEVEN} moderator siteOwner"),
    ],
)  # fmt: skip
def test_the_table_by_item_type_holds(who: int, target: Target, expected: str) -> None:
    assert asked(who, target) == expected


def test_members_create_microcosms_where_the_site_lets_them() -> None:
    can = effective(PEOPLE[MEMBER], SITE, tree(), members_create_microcosms=True)
    assert names(can) == "create read"


def test_what_a_caller_may_list_is_what_the_evaluator_lets_them_read() -> None:
    at = tree(role(REGULAR_ROLE, RIDES, R | C))
    for who in PEOPLE.values():
        for id in at.order:
            target = Target(itemtypes.CONVERSATION, 1, id, (999,))
            can_read = bool(effective(who, target, at) & R)
            assert (id in at.view(who).set) == can_read, (who, id)


def test_who_owns_a_microcosm_may_list_it_unless_banned_there() -> None:
    inner = Principal(406, (), user_id=6)
    banned = Principal(407, (BANNED_ROLE,), user_id=7)
    alone = Principal(OWNER + 1000, (), is_site_owner=True, user_id=8)
    nodes = [node(ROOT, 0, OWNER), node(RIDES, ROOT, 406), node(BELOW, RIDES, 407)]
    at = Tree(1, nodes, [role(GUESTS_ROLE, ROOT, 0), role(BANNED_ROLE, ROOT, 0, banned=True)])

    assert at.view(inner).ids == (RIDES,)
    assert at.view(inner._replace(is_limited=True)).ids == ()
    assert at.view(banned).ids == ()
    assert at.view(alone).ids == (ROOT, RIDES, BELOW)
    nobodys = Tree(1, [nodes[0], node(RIDES, ROOT, 0)], [role(GUESTS_ROLE, ROOT, 0)])
    assert nobodys.view(PEOPLE[0]).ids == (), "what nobody owns is not a guest's"


def test_whoever_moderates_anything_is_known_without_a_walk_through_the_tree() -> None:
    nodes = [node(ROOT, 0, OWNER), node(RIDES, ROOT, 406), node(BELOW, RIDES, 406)]
    at = Tree(1, nodes, [role for roles in tree().roles.values() for role in roles])
    landlord = Principal(406, (), user_id=6)
    people = [
        *PEOPLE.values(),
        landlord,
        landlord._replace(role_ids=(BANNED_ROLE,)),
        landlord._replace(is_site_banned=True),
        landlord._replace(is_limited=True),
        PEOPLE[MODERATOR]._replace(is_site_banned=True),
        PEOPLE[MODERATOR]._replace(is_limited=True),
    ]

    told = [evaluator.moderates(who, at) for who in people]

    assert told == [any(evaluator.moderated(who, at)) for who in people]
    assert told[:7] == [False, True, True, False, False, False, True]


def test_roles_that_apply_are_special_ones_of_all_places_and_regular_ones_of_the_nearest() -> None:
    at = tree(role(REGULAR_ROLE, RIDES, R | C))

    assert [role.role_id for role in at.applying(BELOW)] == [
        MODERATORS_ROLE,
        BANNED_ROLE,
        REGULAR_ROLE,
    ]
    assert [role.role_id for role in at.applying(ROOT)] == [BANNED_ROLE, GUESTS_ROLE, MEMBERS_ROLE]


def test_a_token_that_sees_no_huddles_takes_part_in_none() -> None:
    blind = PEOPLE[MEMBER]._replace(sees_huddles=False)
    on_own = Target(
        itemtypes.COMMENT, 9, parent_type=itemtypes.HUDDLE, owner_ids=(MEMBER,), is_participant=True
    )

    assert blind.participant_id == 0
    for target in (OWN_HUDDLE, on_own):
        assert names(effective(PEOPLE[MEMBER], target, tree())) != NONE
        assert names(effective(blind, target, tree())) == NONE


def test_a_hidden_microcosm_hides_what_is_below_it() -> None:
    nodes = [node(ROOT, 0, OWNER), node(RIDES, ROOT, OWNER), node(BELOW, RIDES, OWNER)]
    nodes[1].is_deleted = True
    at = Tree(1, nodes, [role(MEMBERS_ROLE, ROOT, MEMBER_RIGHTS, users=True)])
    assert at.view(PEOPLE[MEMBER]).ids == (ROOT,)
    assert at.view(PEOPLE[OWNER]).ids == (ROOT,)


# ---------------------------------------------------------------- through GET /permission


@dataclass
class Scene:
    """The vectors' site in a database: 401 is the site's owner, and so on."""

    stage: Stage
    rides: Thing
    below: Thing
    people: dict[int, Person | None]
    regular: Person


@pytest.fixture(scope="module")
def scene(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with staged(database_url, tmp_path_factory.mktemp("evaluator")) as stage:
        make, site = stage.make, stage.site
        rides = make.microcosm(site)
        below = make.microcosm(site, parent=rides)
        people = {number: make.person(site) for number in (402, 403, 404)}
        make.join(make.role(site, rides.id, "Marshals", moderator=True, rights=RIGHTS), people[402])
        ((banned,),) = stage.sql(
            "SELECT role_id FROM roles WHERE site_id = %(s)s AND title = 'Banned'", s=site.id
        )
        make.join((site, banned), people[404])
        cast: dict[int, Person | None] = {0: None, 401: site.owner, 405: site.banned, **people}
        yield Scene(stage, rides, below, cast, people[403])


def test_the_vectors_hold_over_http(scene: Scene) -> None:
    stage, make, at = scene.stage, scene.stage.make, scene.rides
    who, site = scene.people, scene.stage.site
    assert stage.can(itemType="site") == "read guest"
    assert stage.can_on(None, at) == "read guest"
    assert stage.can(itemType="profile", itemId=scene.regular.id) == "read guest"
    assert stage.can(itemType="huddle") == "guest"
    assert stage.can(who[403], itemType="SITE") == "read"
    assert stage.can_on(who[403], at) == "create read closeOwn readOthers"
    assert stage.can(who[403], microcosmId=at.id, itemType="conversation") == (
        "create read closeOwn readOthers"
    )
    theirs = make.conversation(site, by=site.owner, microcosm=at)
    assert stage.can_on(who[403], theirs) == "create read closeOwn readOthers"
    own = make.conversation(site, by=scene.regular, microcosm=at)
    assert stage.can_on(who[403], own) == "create read update delete closeOwn readOthers owner"
    make.comment(own, by=scene.regular)
    assert stage.can_on(who[403], own) == "create read update delete closeOwn readOthers owner"
    answer = make.comment(own, by=site.owner)
    assert stage.can_on(who[403], own) == "create read update closeOwn readOthers owner"
    assert stage.can_on(who[403], answer) == "create read closeOwn readOthers"
    assert stage.can_on(site.owner, answer) == f"{ALL_SEVEN} owner moderator siteOwner"
    assert stage.can(who[403], itemType="profile", itemId=scene.regular.id) == (
        "create read update owner"
    )
    assert stage.can(who[403], itemType="profile", itemId=site.owner.id) == "read"
    assert stage.can_on(who[402], at) == f"{ALL_SEVEN} moderator"
    assert stage.can_on(who[402], Thing(site, 2, site.root_id)) == "create read closeOwn readOthers"
    assert stage.can(who[401], itemType="site") == (
        "create read update delete owner moderator siteOwner"
    )
    assert stage.can_on(who[401], at) == f"{ALL_SEVEN} owner moderator siteOwner"
    assert stage.can(who[401], itemType="profile", itemId=scene.regular.id) == (
        "create read update delete moderator siteOwner"
    )
    assert stage.can_on(who[404], at) == "banned"
    assert stage.can_on(who[404], own) == "banned"
    assert stage.can(who[404], itemType="profile", itemId=scene.regular.id) == "read"


def test_huddles_belong_to_their_participants(scene: Scene) -> None:
    stage, site, member = scene.stage, scene.stage.site, scene.regular
    huddle = stage.huddle(site.newcomer, member)
    stage.sql(
        """UPDATE items SET created_by = %(p)s WHERE site_id = %(s)s AND item_id = %(h)s""",
        p=site.moderator.id,
        s=site.id,
        h=huddle.id,
    )
    said = stage.make.comment(huddle, by=member)
    assert stage.can(member, itemType="huddle") == "create"
    assert stage.can_on(member, huddle) == "create read update delete"
    assert stage.can_on(site.moderator, huddle) == NONE
    assert stage.can_on(site.owner, huddle) == "moderator siteOwner"
    assert stage.can_on(None, huddle) == "guest"
    assert stage.can_on(member, said) == "create read update delete owner"
    assert stage.can_on(site.newcomer, said) == "create read"
    assert stage.can_on(site.moderator, said) == NONE


def test_a_caller_under_a_site_ban_is_refused_here(scene: Scene) -> None:
    answer = scene.stage.get("/permission?itemType=site", by=scene.stage.site.banned)
    assert (answer.status, answer.code, answer.error) == (403, 13, "Spam")


def test_a_microcosm_with_a_regular_role_of_its_own(scene: Scene) -> None:
    stage, make, site, member = scene.stage, scene.stage.make, scene.stage.site, scene.regular
    closed = make.microcosm(site)
    below = make.microcosm(site, parent=closed)
    make.join(make.role(site, closed.id, "Insiders", rights=("create", "read")), member)
    for place in (closed, below):
        assert stage.can_on(None, place) == "guest"
        assert stage.can_on(member, place) == "create read"
        assert stage.can_on(site.newcomer, place) == NONE
        assert stage.can_on(site.owner, place) == f"{ALL_SEVEN} owner moderator siteOwner"


def test_other_things_are_found_by_their_kind(scene: Scene) -> None:
    stage, site, member = scene.stage, scene.stage.site, scene.regular
    watcher = stage.watch(member, 3, site.owner.id)
    assert stage.can(member, itemType="watcher", itemId=watcher) == (
        "create read update delete owner"
    )
    assert stage.can(site.newcomer, itemType="watcher", itemId=watcher) == NONE
    assert stage.can(member, itemType="user", itemId=member.user_id) == "read update owner"
    assert stage.can(member, itemType="user", itemId=site.newcomer.user_id) == NONE
    ((update,),) = stage.sql(
        """INSERT INTO updates (site_id, profile_id, update_type_id, item_type_id, item_id, created_by)
           VALUES (%(s)s, %(p)s, 8, 6, 1, %(o)s) RETURNING update_id""",
        s=site.id,
        p=member.id,
        o=site.owner.id,
    )
    assert stage.can(member, itemType="update", itemId=update) == "read update delete owner"
    assert stage.can(site.owner, itemType="update", itemId=update) == "moderator siteOwner"
    role = stage.make.role(site, site.root_id, "Helpers", moderator=True)[1]
    assert stage.can(site.owner, itemType="role", itemId=role) == f"{ALL_SEVEN} moderator siteOwner"
    event = stage.make.conversation(site, by=member, item_type=9)
    assert "owner" in stage.can(member, itemType="event", itemId=event.id)
    assert stage.can(member, itemType="conversation", itemId=event.id) == NONE


def test_another_sites_ids_are_ids_that_never_were(scene: Scene) -> None:
    stage, mine = scene.stage, scene.stage.site
    other = stage.make.site()
    place = stage.make.microcosm(other)
    talk = stage.make.conversation(other, microcosm=place)
    said = stage.make.comment(talk)
    huddle = stage.huddle(other.member, other.newcomer)
    watcher = stage.watch(other.member, 3, other.owner.id)
    foreign = {
        "microcosm": place.id,
        "conversation": talk.id,
        "comment": said.id,
        "huddle": huddle.id,
        "profile": other.member.id,
        "watcher": watcher,
        "user": other.member.user_id,
        "site": other.id,
    }

    def ask(kind: str, id: int, by: Person | None) -> Response:
        # What guests get from memory is believed for a second after the last look: each asks at once after one.
        stage.app.sites.poll()
        return stage.get(f"/permission?itemType={kind}&itemId={id}", by=by, site=mine)

    for by in (None, scene.regular, mine.owner):
        # The site and who asks are known, whichever test was before this one.
        ask("site", mine.id, by)
        for kind, id in foreign.items():
            theirs, never = ask(kind, id, by), ask(kind, 999_999_999, by)
            assert theirs.body == never.body, kind
            assert theirs.statements == never.statements, kind
    assert stage.can(mine.owner, itemType="site", itemId=other.id) == NONE
    assert stage.can(scene.regular, microcosmId=place.id, itemType="conversation") == NONE


def test_somebody_of_another_site_gets_a_profile_of_their_own_here(scene: Scene) -> None:
    stage, mine = scene.stage, scene.stage.site
    other = stage.make.site()
    assert stage.can(other.owner, site=mine, itemType="site") == "read"
    found = stage.sql(
        "SELECT profile_id FROM profiles WHERE site_id = %(s)s AND user_id = %(u)s",
        s=mine.id,
        u=other.owner.user_id,
    )
    assert len(found) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("itemType=zebra", 0),
        ("itemId=-1&itemType=conversation", 4),
        ("microcosmId=abc", 3),
        ("itemId=1.5", 3),
        ("itemId=99999999999999999999", 3),
    ],
)
def test_a_bad_query_is_refused(scene: Scene, query: str, code: int) -> None:
    answer = scene.stage.get(f"/permission?{query}")
    assert (answer.status, answer.code) == (400, code)


def test_it_takes_one_round_trip(scene: Scene) -> None:
    stage, member, at = scene.stage, scene.regular, scene.rides
    talk = stage.make.conversation(at.site, microcosm=at)
    stage.can(member, itemType="site")
    for query, of_member, of_guest in (
        ("itemType=site", 1, 0),
        (f"microcosmId={at.id}", 1, 0),
        (f"itemType=microcosm&itemId={at.id}", 1, 0),
        (f"itemType=conversation&microcosmId={at.id}", 1, 0),
        (f"itemType=conversation&itemId={talk.id}", 1, 1),
        ("itemType=conversation&itemId=999999999", 1, 1),
    ):
        assert stage.get(f"/permission?{query}", by=member).statements == of_member, query
        stage.app.sites.poll()
        assert stage.get(f"/permission?{query}").statements == of_guest, query


def test_a_changed_role_counts_from_the_next_request_on(scene: Scene) -> None:
    stage, make, site = scene.stage, scene.stage.make, scene.stage.site
    place = make.microcosm(site)
    assert stage.can_on(site.newcomer, place) == "create read closeOwn readOthers"
    role = make.role(site, place.id, "Insiders", rights=("read",))
    assert stage.can_on(site.newcomer, place) == NONE
    make.join(role, site.newcomer)
    assert stage.can_on(site.newcomer, place) == "read"
