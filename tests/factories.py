"""Making situations: sites with their cast, microcosms, conversations, comments; through the models, committed.

Every call makes new rows with names of their own, so tests share a database without seeing each other.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

from forumapi import itemtypes
from forumapi.database.connections import Database, Transaction
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.access import identity
from forumapi.models.access.access_token import AccessToken
from forumapi.models.cases import appeal
from forumapi.models.cases.report import Report, ReportedThing
from forumapi.models.content import attendee, event, file
from forumapi.models.content.comment import Comment, CommentParent
from forumapi.models.content.event import Event, EventDetails
from forumapi.models.content.huddle import Huddle
from forumapi.models.content.item import Item
from forumapi.models.content.poll import Poll, PollChange, PollDetails
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.microcosms.microcosm import Microcosm, MicrocosmColumns
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.notifications.push_subscription import PushSubscription
from forumapi.models.notifications.webhook import KINDS, USUAL_TYPES, Webhook, WebhookSettings
from forumapi.models.people.ban import Ban
from forumapi.models.people.profile import Profile
from forumapi.models.people.user import User
from forumapi.models.roles import role_recomputation
from forumapi.models.roles.criterion import Criterion
from forumapi.models.rules.definition import RuleDefinition
from forumapi.models.rules.moderation_rule import ModerationRule, RulePlan
from forumapi.models.sites.site import Site as SiteRow
from forumapi.models.sites.site_cache import SiteCache
from forumapi.models.sites.site_domain import PROVEN, DomainProof, DueDomain, SiteDomain
from forumapi.models.sites.site_validation import SiteBody
from forumapi.models.texts import text_rendering
from forumapi.models.trust.action import Action, ActionGrounds

_number = itertools.count(1)

# Rows that no model writes yet, or that tests need in states the API does not make.
ADD_ROLE = Query(
    "test.add_role",
    """
    INSERT INTO roles (site_id, microcosm_id, title, is_moderator, is_banned, include_guests, include_users, can_create,
                       can_read, can_update, can_delete, can_close_own, can_open_own, can_read_others)
    VALUES (%(site_id)s, %(microcosm_id)s, %(title)s, %(moderator)s, %(banned)s, %(guests)s, %(users)s, %(create)s,
            %(read)s, %(update)s, %(delete)s, %(close_own)s, %(open_own)s, %(read_others)s)
 RETURNING role_id""",
)
FIND_ROLE = Query(
    "test.find_role",
    "SELECT role_id FROM roles WHERE site_id = %(site_id)s AND title = %(title)s",
)
ADD_TO_ROLE = Query(
    "test.add_to_role",
    """
    INSERT INTO role_profiles (site_id, role_id, profile_id) VALUES (%(site_id)s, %(role_id)s, %(profile_id)s)
        ON CONFLICT DO NOTHING""",
)
RENAME = Query(
    "test.rename",
    """
    UPDATE profiles SET profile_name = %(name)s, version = version + 1
     WHERE site_id = %(site_id)s AND profile_id = %(profile_id)s""",
)
IGNORE = Query(
    "test.ignore",
    """
    INSERT INTO ignores (site_id, profile_id, item_type_id, item_id)
    VALUES (%(site_id)s, %(profile_id)s, %(item_type)s, %(item_id)s) ON CONFLICT DO NOTHING""",
)
CASE_OF = Query(
    "test.case_of",
    "SELECT case_id FROM reports WHERE site_id = %(site_id)s AND report_id = %(report_id)s",
)
STATEMENT_OF = Query(
    "test.statement_of",
    "SELECT statement_id FROM statements WHERE site_id = %(site_id)s AND action_id = %(action_id)s",
)
_PEOPLE_OF = "SELECT profile_id FROM profiles WHERE site_id = %(site_id)s"
RIGHTS = ("create", "read", "update", "delete", "close_own", "open_own", "read_others")


@dataclass(frozen=True)
class Person:
    """A profile on a site, with a token."""

    site: Site = field(repr=False)
    id: int
    user_id: int
    name: str
    email: str
    token: str = field(repr=False)

    @property
    def path(self) -> str:
        """The profile's address."""
        return f"/api/v1/profiles/{self.id}"


@dataclass
class Site:
    """A site and its cast. `root_id` is its root microcosm."""

    id: int
    key: str
    host: str
    root_id: int
    owner: Person = field(init=False)
    moderator: Person = field(init=False)
    member: Person = field(init=False)
    newcomer: Person = field(init=False)
    banned: Person = field(init=False)

    def cast(self) -> dict[str, Person | None]:
        """Return who asks in whole-table tests, by name; the guest is None."""
        return {
            "guest": None,
            "owner": self.owner,
            "moderator": self.moderator,
            "member": self.member,
            "newcomer": self.newcomer,
            "banned": self.banned,
        }


@dataclass(frozen=True)
class Thing:
    """A microcosm, conversation or comment: its site, type, id and address."""

    site: Site = field(repr=False)
    type: int
    id: int

    @property
    def path(self) -> str:
        """The API address."""
        return itemtypes.href(self.type, self.id)


class Factory:
    """Makes things in one database. `platform_domain` is where sites get their hosts."""

    def __init__(self, database: Database, platform_domain: str) -> None:
        self.database = database
        self.platform_domain = platform_domain

    # ------------------------------------------------------------ people and sites

    def user(self, email: str = "") -> tuple[int, str]:
        """(id, address) of a new user."""
        address = email or f"person{next(_number)}@example.test"
        with self.database.write() as tx:
            return User.find_or_create(tx, address, is_verified=True).id, address

    def site(self, key: str = "", **fields: Any) -> Site:
        """A site with owner, moderator (a moderator role with every right on the root), member, newcomer, banned."""
        key = key or f"site{next(_number)}x{self.database_tag()}"
        domain = fields.pop("domain", "")
        owner_email = f"owner@{key}.test"
        body = SiteBody(
            subdomainKey=key,
            title=fields.pop("title", f"Site {key}"),
            description=fields.pop("description", "A site for tests"),
            **fields,
        )
        # One transaction: most tests begin with a site.
        with self.database.write() as tx:
            owner_id = User.find_or_create(tx, owner_email, is_verified=True).id
            id = SiteRow.insert(tx, body, user_id=owner_id, platform_domain=self.platform_domain)
            root_id, owned_by = tx.rows(_SITE_ROWS, site_id=id)[0]
            made = Site(id, key, f"{key}.{self.platform_domain}", root_id)
            made.owner = self._person(tx, made, owned_by, owner_id, "owner", owner_email)
            for name in ("moderator", "member", "newcomer", "banned"):
                setattr(made, name, self._newcomer(tx, made, name))
        moderators = self.role(made, made.root_id, "Moderators", moderator=True, rights=RIGHTS)
        self.join(moderators, made.moderator)
        with self.database.write() as tx:
            Ban.insert(tx, made.banned.user_id, site_id=id, display_reason="Spam")
        if domain:
            self.domain(made, domain)
        return made

    def domain(self, site: Site, name: str) -> None:
        """Lets the site have a domain, as though DNS had proven it."""
        with self.database.write() as tx:
            served = SiteRow.lock(tx, site.id)
            assert served is not None
            SiteDomain.update(tx, site.id, name, served.settings.domain)
            due = DueDomain(site.id, site.key, name)
            assert due.apply_proof(tx, DomainProof(True)) == PROVEN

    def database_tag(self) -> str:
        """Letters that differ between databases of one PostgreSQL; hosts are cached by name."""
        return ""

    def person(self, site: Site, name: str = "") -> Person:
        """A profile of a new user, with a token."""
        with self.database.write() as tx:
            return self._newcomer(tx, site, name or f"person{next(_number)}")

    def _newcomer(self, tx: Transaction, site: Site, name: str) -> Person:
        email = f"{name}@{site.key}.test"
        user_id = User.find_or_create(tx, email, is_verified=True).id
        id = Profile.insert(tx, site.id, user_id, name)
        return self._person(tx, site, id, user_id, name, email)

    @staticmethod
    def _person(
        tx: Transaction, site: Site, id: int, user_id: int, name: str, email: str
    ) -> Person:
        secret = AccessToken.insert_session(tx, user_id)
        tx.run(RENAME, site_id=site.id, profile_id=id, name=name)
        return Person(site, id, user_id, name, email, secret)

    def token(self, person: Person, *, days: int = 365) -> str:
        """Another token of the same person."""
        with self.database.write() as tx:
            return AccessToken.insert_session(tx, person.user_id, days=days)

    def webhook(self, site: Site) -> int:
        """The id of a webhook of the owner, at an address where nobody listens."""
        settings = WebhookSettings(
            name="",
            url="http://127.0.0.1:9/",
            kinds=list(KINDS),
            item_types=list(USUAL_TYPES),
            acts_as=site.owner.id,
            with_documents=False,
            is_enabled=False,
        )
        with self.database.write() as tx:
            return Webhook.insert(tx, Author(site.id, site.owner.id, ""), settings)[0].id

    def rule(self, site: Site) -> int:
        """The id of a rule, in shadow mode, that nothing fits."""
        grounds = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="Too long")
        made = RuleDefinition("Long", "comment.created", "hide", grounds, least_length=1_000_000)
        with self.database.write() as tx:
            return ModerationRule.insert(
                tx, site.id, site.owner.id, RulePlan(0, 0, "shadow", made, 0)
            )

    def push_subscription(self, person: Person) -> int:
        """The id of a subscription to web push, at an address where nobody listens."""
        ((token_id,),) = self.sql(
            "SELECT min(token_id) FROM access_tokens WHERE user_id = %(u)s", u=person.user_id
        )
        with self.database.write() as tx:
            return PushSubscription.insert(
                tx,
                person.site.id,
                person.id,
                token_id,
                endpoint=f"http://127.0.0.1:9/{next(_number)}",
                public_key=b"\x04" * 65,
                auth_secret=b"x" * 16,
            )

    def bot(self, owner: Person) -> int:
        """The id of a new bot of a person, without a key."""
        made = self.person(owner.site)
        self.sql(
            "UPDATE profiles SET is_bot = true, bot_owner_id = %(by)s WHERE profile_id = %(id)s RETURNING 1",
            by=owner.id,
            id=made.id,
        )
        return made.id

    def ban(self, person: Person) -> int:
        """The id of a new ban of somebody from their site."""
        with self.database.write() as tx:
            return Ban.insert(tx, person.user_id, site_id=person.site.id)

    # ------------------------------------------------------------ trust

    def report(self, thing: Thing, *, by: Person | None = None) -> tuple[int, int]:
        """(report, case) of a thing of the member in the root microcosm, reported by `by` or the newcomer."""
        site = thing.site
        report = Report(
            ReportedThing(ItemRef(thing.type, thing.id), site.root_id, site.member.id),
            "spam",
            "STATEMENT_CATEGORY_VIOLATION_TOS",
            "Buys nothing",
        )
        with self.database.write() as tx:
            report.insert(tx, site.id, (by or site.newcomer).id)
            case = tx.value(CASE_OF, site_id=site.id, report_id=report.id)
        return report.id, case

    def action(self, thing: Thing, kind: str = "delete") -> tuple[int, int]:
        """(action, statement) of a thing of the member in the root microcosm, by the moderator."""
        site = thing.site
        with self.database.write() as tx:
            author = self._author(site.moderator)
            grounds = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="Spam")
            action = Action.insert(tx, author, kind, grounds)
            assert action.plan(tx, site.id, [ItemRef(thing.type, thing.id)], [site.root_id])
            action.start(tx, author, [site.root_id])
            statement = tx.value(STATEMENT_OF, site_id=site.id, action_id=action.id)
        return action.id, statement

    def appeal(self, statement: int, by: Person) -> int:
        """The id of an appeal against a statement for `by`."""
        with self.database.write() as tx:
            return appeal.insert(tx, by.site.id, by.id, statement, "This was no spam")[0]

    # ------------------------------------------------------------ roles

    def role(
        self,
        site: Site,
        microcosm_id: int,
        title: str,
        *,
        moderator: bool = False,
        banned: bool = False,
        guests: bool = False,
        users: bool = False,
        rights: tuple[str, ...] = (),
    ) -> tuple[Site, int]:
        """(site, id) of a new role on a microcosm; `rights` are names of RIGHTS."""
        with self.database.write() as tx:
            Microcosm.lock_tree(tx, site.id)
            id = tx.value(
                ADD_ROLE,
                site_id=site.id,
                microcosm_id=microcosm_id,
                title=title,
                moderator=moderator,
                banned=banned,
                guests=guests,
                users=users,
                **{right: right in rights for right in RIGHTS},
            )
        return site, int(id)

    def join(self, role: tuple[Site, int], *people: Person) -> None:
        """Make people explicit members of a role."""
        site, role_id = role
        with self.database.write() as tx:
            for person in people:
                tx.run(ADD_TO_ROLE, site_id=site.id, role_id=role_id, profile_id=person.id)
            role_recomputation.recompute_roles(tx, site.id, [person.id for person in people])

    def criterion(
        self,
        role: tuple[Site, int],
        column: str,
        predicate: str,
        value: object,
        *,
        group: int = 0,
        attribute: str = "",
    ) -> int:
        """A criterion of a role, on a column of the profile or an attribute; its id."""
        site, role_id = role
        with self.database.write() as tx:
            role_recomputation.lock_roles(tx, site.id)
            new = Criterion.make(group, column, attribute, predicate, value)
            id = new.insert(tx, site.id, role_id, most=1_000)
            role_recomputation.recompute_role(tx, site.id, role_id)
        return id

    def settle(self, site: Site) -> None:
        """Work out the roles of everybody on a site anew."""
        ids = [row[0] for row in self.sql(_PEOPLE_OF, site_id=site.id)]
        with self.database.write() as tx:
            role_recomputation.recompute_roles(tx, site.id, ids)

    def ignore(self, person: Person, what: Thing | Person) -> None:
        """Let a person ignore something or somebody."""
        item_type = itemtypes.PROFILE if isinstance(what, Person) else what.type
        with self.database.write() as tx:
            tx.run(
                IGNORE,
                site_id=person.site.id,
                profile_id=person.id,
                item_type=item_type,
                item_id=what.id,
            )

    # ------------------------------------------------------------ content

    def microcosm(
        self,
        site: Site,
        title: str = "",
        *,
        parent: Thing | None = None,
        by: Person | None = None,
        item_types: tuple[int, ...] = (2, 6, 7, 9),
    ) -> Thing:
        """A microcosm below `parent` or the root, owned by `by` or the site's owner."""
        with self.database.write() as tx:
            Microcosm.lock_tree(tx, site.id)
            columns = MicrocosmColumns(
                title or f"Microcosm {next(_number)}", "A place", "", "public", item_types
            )
            parent_id = parent.id if parent else site.root_id
            id = Microcosm.insert(tx, self._author(by or site.owner), parent_id, columns)
        return Thing(site, itemtypes.MICROCOSM, id)

    def conversation(
        self,
        site: Site,
        *,
        by: Person | None = None,
        microcosm: Thing | None = None,
        title: str = "",
        item_type: int = itemtypes.CONVERSATION,
    ) -> Thing:
        """A conversation by `by` or the member; an event or a poll as `event` and `poll` make them."""
        if item_type == itemtypes.EVENT:
            return self.event(site, by=by, microcosm=microcosm, title=title)
        if item_type == itemtypes.POLL:
            return self.poll(site, by=by, microcosm=microcosm, title=title)
        new = Item(item_type, self._in(site, microcosm), title or f"Conversation {next(_number)}")
        return self._insert(site, new, by)

    def _in(self, site: Site, microcosm: Thing | None) -> int:
        return microcosm.id if microcosm else site.root_id

    def _insert(self, site: Site, item: Item, by: Person | None) -> Thing:
        with self.database.write() as tx:
            item.insert(tx, self._author(by or site.member), window_s=0)
        return Thing(site, item.item_type, item.id)

    def huddle(self, *people: Person, title: str = "", is_confidential: bool = False) -> Thing:
        """A huddle that the first of `people` began, with all of them in it."""
        new = Huddle(
            itemtypes.HUDDLE,
            0,
            title or f"Huddle {next(_number)}",
            is_confidential=is_confidential,
            participants=[person.id for person in people],
        )
        return self._insert(people[0].site, new, people[0])

    @staticmethod
    def clock(**ahead: float) -> datetime.datetime:
        """The time in UTC without its zone, in whole seconds, that much ahead."""
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)
        return now + datetime.timedelta(**ahead)

    def event(
        self,
        site: Site,
        *,
        by: Person | None = None,
        microcosm: Thing | None = None,
        title: str = "",
        when: datetime.datetime | None = None,
        tz: str = "UTC",
        duration_min: int = 60,
        limit: int = 0,
    ) -> Thing:
        """An event by `by` or the member, a year from now unless `when` (wall clock at `tz`) says otherwise."""
        when = when or self.clock(days=365)
        details = EventDetails(
            when_local=when,
            when_utc=event.instant(when, tz),
            tz_name=tz,
            duration_min=duration_min,
            status="upcoming",
            rsvp_limit=limit,
        )
        title = title or f"Event {next(_number)}"
        new = Event(itemtypes.EVENT, self._in(site, microcosm), title, details=details)
        return self._insert(site, new, by)

    def poll(
        self,
        site: Site,
        *,
        by: Person | None = None,
        microcosm: Thing | None = None,
        title: str = "",
        choices: tuple[str, ...] = ("Red", "Green", "Blue"),
        **more: Any,
    ) -> Thing:
        """A poll by `by` or the member; `more` are fields of PollDetails."""
        before = PollDetails()
        after = PollDetails(question="Which one?", **more)
        change = PollChange(before, after, [(None, choice) for choice in choices])
        title = title or f"Poll {next(_number)}"
        new = Poll(itemtypes.POLL, self._in(site, microcosm), title, details=change)
        return self._insert(site, new, by)

    def attend(self, event: Thing, *people: Person) -> None:
        """Let people say yes to an event, whatever they may read."""
        with self.database.write() as tx:
            locked = Event.lock(tx, event.site.id, ItemRef(event.type, event.id))
            assert locked is not None
            for person in people:
                answers = [attendee.Rsvp(person.id, attendee.YES)]
                attendee.store_answers(tx, self._author(person), locked, answers)

    def comment(
        self,
        on: Thing | Person,
        *,
        by: Person | None = None,
        markdown: str = "",
        reply_to: Thing | None = None,
    ) -> Thing:
        """A comment on an item or a profile by `by` or the member."""
        site = on.site
        with self.database.write() as tx:
            id = self._comment(tx, on, by or site.member, markdown, reply_to)
        return Thing(site, itemtypes.COMMENT, id)

    def comments(self, on: Thing, count: int, *, by: Person | None = None) -> list[Thing]:
        """`count` comments on an item, oldest first."""
        site = on.site
        with self.database.write() as tx:
            ids = [self._comment(tx, on, by or site.member, "", None) for _ in range(count)]
        return [Thing(site, itemtypes.COMMENT, id) for id in ids]

    def _comment(
        self,
        tx: Transaction,
        on: Thing | Person,
        by: Person,
        markdown: str,
        reply_to: Thing | None,
    ) -> int:
        markdown = markdown or f"Comment number {next(_number)}"
        site = SiteCache(self.database, self.platform_domain).by_id(on.site.id, tx)
        assert site is not None
        draft = text_rendering.prepare(tx, site, markdown, short_links="http://localhost/out/")
        if isinstance(on, Person):
            ref = ItemRef(itemtypes.PROFILE, on.id)
        else:
            ref = ItemRef(on.type, on.id)
        parent = CommentParent.lock(tx, on.site.id, ref, by.id)
        assert parent is not None
        microcosm_id = None if parent.is_huddle else parent.microcosm_id
        rendered = text_rendering.finish(
            tx, draft, lambda: load_tree(tx, site.id, site.acl_version), microcosm_id
        )
        comment = Comment(parent, markdown, reply_to.id if reply_to else 0)
        comment.insert(tx, self._author(by), rendered, window_s=0, per_minute=0)
        return comment.id

    def _author(self, by: Person) -> journal.Author:
        return journal.Author(by.site.id, by.id, "127.0.0.1")

    def file(self, by: Person, content: str = "") -> str:
        """The hash of a text file that `by` has uploaded; its rows alone, nothing is in the store."""
        text = content or f"File {next(_number)} of {by.id}"
        hash = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        received = file.File(hash, len(text), "a.txt", "txt", "text/plain; charset=utf-8")
        with self.database.write() as tx:
            received.insert(tx, by.site.id, by.id, file.Quota(0, 0))
        return hash

    def fold(self, site: Site) -> None:
        """Fold the site's counters."""
        microcosm_counters.fold(self.database, site.id)

    def wait_for_locks(self, count: int) -> None:
        """Return when so many connections wait for a lock. Raises AssertionError after some seconds."""
        for _ in range(300):
            ((found,),) = self.sql(
                """SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'"""
            )
            if found >= count:
                return
            self.sql("SELECT pg_sleep(0.01)")
        raise AssertionError(f"there were never {count} waiting for a lock")

    def sql(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        """Any statement, for states and looks that nothing else gives."""
        name = f"test.sql.{hash(statement)}"
        query = Query.all.get(name) or Query(name, statement)
        with self.database.write() as tx:
            return tx.rows(query, **params)


_SITE_ROWS = Query(
    "test.site_rows",
    "SELECT root_microcosm_id, owned_by FROM sites WHERE site_id = %(site_id)s",
)

hash_token = identity.token_hash
