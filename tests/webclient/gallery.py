"""Every template of the website as somebody meets it: who opens which address, or sends which form, and what is seen.

A template that extends another has a scene here, or tests/webclient/test_look.py fails.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple

import pyotp
from selenium.webdriver import Chrome

from forumapi.webclient.session import Seal, WebSession, secrets_of
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.fixtures import PLATFORM_DOMAIN
from tests.webclient.crawl import TEMPLATES, Town, build
from tests.webclient.hand import WEBSITE_SECRET
from tests.webclient.visitor import Page, Visitor

_EXTENDS: Final = re.compile(r"{%-?\s*extends '([^']+)'")


class Scene(NamedTuple):
    """Way to a page: one of the cast, an address with names of `Stage.ids`, a form to send there, words of its h1."""

    who: str
    path: str
    heading: str
    form: dict[str, str] | None = None
    # On the platform's own host.
    is_platform: bool = False


def templates() -> list[str]:
    """Every template that is a page: it extends another, and none extends it."""
    parents: dict[str, str] = {}
    for path in sorted(TEMPLATES.glob("*.html")):
        if found := _EXTENDS.search(path.read_text()):
            parents[path.name] = found[1]
    return [name for name in parents if name not in parents.values()]


SCENES: Final[dict[str, Scene]] = {
    # Reading
    "front.html": Scene("member", "/", "Site"),
    "microcosm.html": Scene("member", "/microcosms/{microcosm}/", "A place of its own"),
    "conversations.html": Scene("guest", "/conversations/", "All conversations"),
    "conversation.html": Scene("member", "/conversations/{conversation}/", "Conversation"),
    "trending.html": Scene("guest", "/trending/", "What is hot"),
    "today.html": Scene("member", "/today/", "Today"),
    "search.html": Scene("member", "/search/?q=comment", "Search"),
    "legal.html": Scene("guest", "/legal/privacy/", "Privacy"),
    "legal_versions.html": Scene("guest", "/legal/terms/versions/", "Versions of the terms"),
    "agree.html": Scene("member", "/legal/terms/agree/", "The terms have changed"),
    "legal_index.html": Scene("guest", "/legal/", "Legal texts"),
    "error.html": Scene("guest", "/nothing/here/", "There is nothing here"),
    # People
    "profiles.html": Scene("member", "/profiles/", "People"),
    "profile.html": Scene("member", "/profiles/{profile}/", "member"),
    "roles.html": Scene("moderator", "/profiles/{moderator}/roles/", "Your roles"),
    # Events and polls
    "events.html": Scene("member", "/events/", "Events"),
    "event.html": Scene("member", "/events/{event}/", "Event"),
    "attendees.html": Scene("owner", "/events/{event}/attendees/", "Event"),
    "event_form.html": Scene("member", "/microcosms/{microcosm}/create/event/", "A new event"),
    "polls.html": Scene("guest", "/polls/", "Polls"),
    "poll.html": Scene("member", "/polls/{poll}/", "Poll"),
    "poll_form.html": Scene("member", "/microcosms/{microcosm}/create/poll/", "A new poll"),
    "voters.html": Scene("member", "/polls/{poll}/voters/", "Poll"),
    # Writing, and what one marks
    "create_conversation.html": Scene(
        "member", "/microcosms/{microcosm}/create/conversation/", "New conversation"
    ),
    "edit_conversation.html": Scene(
        "moderator", "/conversations/{conversation}/edit/", "Edit the conversation"
    ),
    "edit_comment.html": Scene("member", "/comments/{comment}/edit/", "Edit a comment"),
    "delete_comment.html": Scene("member", "/comments/{comment}/delete/", "Delete"),
    "revisions.html": Scene("member", "/comments/{comment}/revisions/", "Revisions"),
    "react.html": Scene("member", "/comments/{comment}/react/", ""),
    "drafts.html": Scene("member", "/drafts/", "Drafts"),
    "bookmarks.html": Scene("member", "/bookmarks/", "Bookmarks"),
    "watchers.html": Scene("member", "/watchers/", "What you follow"),
    "ignored.html": Scene("member", "/ignored/", "What you ignore"),
    # Moderation, places, roles
    "moderation.html": Scene("moderator", "/moderation/", "Moderation"),
    "moderate.html": Scene("moderator", "/conversations/{conversation}/moderate/", "Conversation"),
    "moderate_comment.html": Scene("moderator", "/comments/{comment}/moderate/", "comment"),
    "microcosm_form.html": Scene("owner", "/microcosms/{microcosm}/edit/", "A place"),
    "place_roles.html": Scene("owner", "/microcosms/{microcosm}/roles/", "Roles in"),
    "role.html": Scene("owner", "/microcosms/{microcosm}/roles/{role}/", "Regulars"),
    "criterion.html": Scene(
        "owner", "/microcosms/{microcosm}/roles/{role}/criteria/", "Criterion of"
    ),
    # Reports, cases, actions, statements
    "report.html": Scene("newcomer", "/comments/{comment}/report/", "Report this comment"),
    "reports.html": Scene("newcomer", "/reports/", "Your reports"),
    "receipt.html": Scene("newcomer", "/reports/{report}/", "Report"),
    "cases.html": Scene("moderator", "/moderation/cases/", "Cases"),
    "case.html": Scene("moderator", "/moderation/cases/{case}/", "Case"),
    "actions.html": Scene("moderator", "/moderation/actions/", "Actions of moderators"),
    "act.html": Scene("moderator", "/moderation/act/hide/?things=/comments/{comment}/", "Hide"),
    "action.html": Scene("moderator", "/moderation/actions/{action}/", "Delete"),
    "moderate_person.html": Scene("moderator", "/profiles/{newcomer}/moderate/", "Moderate"),
    "statements.html": Scene("member", "/statements/", "Decisions"),
    "statement.html": Scene("member", "/statements/{statement}/", "Why moderators decided this"),
    "appeals.html": Scene("member", "/appeals/", "Your appeals"),
    "appeals_to_decide.html": Scene("owner", "/moderation/appeals/", "Appeals"),
    "appeal.html": Scene("owner", "/appeals/{appeal}/", "Appeal"),
    "record.html": Scene("member", "/account/record/", "Record"),
    "admin_audit.html": Scene("owner", "/admin/audit/", "Audit"),
    "admin_transparency.html": Scene("owner", "/admin/transparency/", "Transparency report"),
    "admin_checks.html": Scene("owner", "/admin/checks/", "Checks of what people write"),
    "admin_rules.html": Scene("owner", "/admin/rules/", "Rules of moderation"),
    "admin_rule.html": Scene("owner", "/admin/rules/{rule}/", "Links of newcomers"),
    "admin_rule_form.html": Scene(
        "owner", "/admin/rules/{rule}/", "Change the rule", {"do": "active"}
    ),
    # Signing in, own account
    "sign_in.html": Scene("guest", "/login/", "Sign in"),
    "provider.html": Scene("guest", "/login/", "Sign in", {"step": "provider", "method": "openid"}),
    "resend.html": Scene(
        "guest",
        "/login/",
        "You are signed in",
        {
            "step": "development",
            "email": "{member_email}",
            "next": "/comments/create/",
            "pending.markdown": "What I wrote",
            "pending.itemId": "1",
        },
    ),
    "account.html": Scene("member", "/account/", "Your account"),
    "own_profile.html": Scene("member", "/account/profile/", "Your profile"),
    "options.html": Scene("member", "/account/options/", "Options"),
    "sessions.html": Scene("member", "/account/sessions/", "Sessions"),
    "address.html": Scene("member", "/account/address/", "Address"),
    "passkeys.html": Scene("member", "/account/passkeys/", "Passkeys"),
    "factor.html": Scene("member", "/account/factor/", "Second factor"),
    "recovery_codes.html": Scene(
        "guarded", "/account/factor/", "Recovery codes", {"do": "recovery", "code": "{recovery}"}
    ),
    "keys.html": Scene("member", "/account/keys/", "API keys"),
    "key.html": Scene(
        "newcomer",
        "/account/keys/",
        "Your new key",
        {"name": "Backup", "scope": "conversations:read", "days": "7"},
    ),
    "own_data.html": Scene("member", "/account/data/", "Your data"),
    "delete_own.html": Scene("member", "/account/data/delete/", "Delete my profile or account"),
    "grants.html": Scene("member", "/account/programs/", "Programs"),
    "agents.html": Scene("member", "/account/agents/", "Agents"),
    "bots.html": Scene("member", "/account/bots/", "Bots"),
    "bot.html": Scene("member", "/account/bots/{bot}/", "Rides"),
    # Huddles and updates
    "huddles.html": Scene("owner", "/huddles/", "Messages"),
    "huddle.html": Scene("owner", "/huddles/{huddle}/", "Huddle"),
    "begin_huddle.html": Scene("member", "/huddles/create/?to={moderator}", "New message"),
    "leave_huddle.html": Scene("member", "/huddles/{huddle}/leave/", "Leave"),
    "updates.html": Scene("member", "/updates/", "Updates"),
    "update_settings.html": Scene("member", "/updates/settings/", "Updates and mail"),
    # Administration
    "admin.html": Scene("owner", "/admin/", "Administration"),
    "admin_form.html": Scene("owner", "/admin/site/", "Title, description, look"),
    "admin_rows.html": Scene("owner", "/admin/menu/", "Menu"),
    "admin_texts.html": Scene("owner", "/admin/mail/", "Mail"),
    "admin_bans.html": Scene("owner", "/admin/bans/", "Bans"),
    "admin_sign_in.html": Scene("owner", "/admin/sign-in/", "Ways to sign in"),
    "admin_figures.html": Scene("owner", "/admin/figures/", "Figures"),
    "admin_retention.html": Scene("owner", "/admin/retention/", "How long things are kept"),
    "admin_usage.html": Scene("owner", "/admin/usage/", "Plan and usage"),
    "admin_crawling.html": Scene("owner", "/admin/crawling/", "Crawlers"),
    "admin_deletion.html": Scene("owner", "/admin/deletion/", "Delete this site"),
    "admin_export.html": Scene("owner", "/admin/export/", "Export of everything"),
    "admin_import.html": Scene("owner", "/admin/import/", "Import of a forum"),
    "admin_import_leftovers.html": Scene("owner", "/admin/import/leftovers/", "left out"),
    "admin_webhooks.html": Scene("owner", "/admin/webhooks/", "Webhooks"),
    "admin_webhook.html": Scene("owner", "/admin/webhooks/{webhook}/", "http"),
    "admin_secret.html": Scene("owner", "/admin/webhooks/{webhook}/", "", {"do": "secret"}),
    "admin_clients.html": Scene("owner", "/admin/clients/", "Programs of others"),
    "admin_client.html": Scene("owner", "/admin/clients/{client}/", "Reader"),
    # The platform's host, and what is there without a connection
    "platform.html": Scene("member", "/", "Communities", is_platform=True),
    "begin_community.html": Scene("member", "/sites/create/", "Begin", is_platform=True),
    "community.html": Scene("guest", "/sites/{site}/", "Site", is_platform=True),
    "operator.html": Scene("operator", "/platform/", "All communities", is_platform=True),
    "operated_site.html": Scene("operator", "/platform/sites/{site}/", "Site", is_platform=True),
    "offline.html": Scene("guest", "/offline/", "There is no connection"),
    "shortcuts.html": Scene("guest", "/shortcuts/", "Keyboard shortcuts"),
}


class Stage:
    """Site with something of everything on it, and a browser that opens its pages as one of the cast."""

    def __init__(self, town: Town, port: int, operator: Person) -> None:
        self.town = town
        self.operator = operator
        self.ids = {name: str(value) for name, value in town.ids.items()}
        self.port = port
        self.guarded: Callable[[], Person] = lambda: operator

    @property
    def site(self) -> Site:
        """Return the site."""
        return self.town.site

    def person(self, who: str) -> Person | None:
        """Return one of the cast; None for a guest."""
        if who == "guarded":
            return self.guarded()
        return self.operator if who == "operator" else self.site.cast()[who]

    def host(self, scene: Scene) -> str:
        """Return the host of a scene, with its port."""
        return f"{PLATFORM_DOMAIN if scene.is_platform else self.site.host}:{self.port}"

    def open(self, driver: Chrome, scene: Scene, *, language: str = "en") -> None:
        """Let the browser show a page, in a language."""
        host = self.host(scene)
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd(
            "Network.setExtraHTTPHeaders", {"headers": {"Accept-Language": language}}
        )
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        person = self.person(scene.who)
        if person is not None:
            value = self._session(person, host)
            cookie = {"name": "session", "value": value, "url": f"http://{host}/", "httpOnly": True}
            driver.execute_cdp_cmd("Network.setCookie", cookie)
        address = f"http://{host}{scene.path.format(**self.ids)}"
        driver.get(address)
        if scene.form is not None:
            form = self._filled(scene.form)
            driver.execute_script(_SEND, address, form)
            deadline = time.monotonic() + 30
            while driver.execute_script("return !document.body || document.body.dataset.sent"):
                assert time.monotonic() < deadline, f"the form was not answered: {address}"
                time.sleep(0.02)
            while driver.execute_script("return document.readyState") != "complete":
                time.sleep(0.02)
        if language == "en":
            heading = driver.execute_script("return document.querySelector('h1')?.textContent")
            text = driver.execute_script("return document.documentElement.textContent")[:500]
            assert scene.heading in (heading or ""), f"{address} shows {heading!r}: {text}"

    def read(self, scene: Scene, *, language: str = "en") -> Page:
        """Return the page as the website sends it, in a language."""
        visitor = Visitor(("127.0.0.1", self.port), self.host(scene))
        person = self.person(scene.who)
        if person is not None:
            visitor.cookies["session"] = self._session(person, visitor.host)
        path = scene.path.format(**self.ids)
        if scene.form is None:
            return visitor.get(path, Accept_Language=language)
        return visitor.post(path, self._filled(scene.form), Accept_Language=language)

    def _session(self, person: Person, host: str) -> str:
        session = WebSession(person.token, int(time.time()))
        return Seal(secrets_of(WEBSITE_SECRET, Path())).seal_session(host, session)

    def _filled(self, form: dict[str, str]) -> dict[str, str]:
        return {name: text.format(**self.ids) for name, text in form.items()}


_RULE: Final = {
    "title": "Links of newcomers",
    "event": "comment.created",
    "criteria": [{"orGroup": 1, "profileColumn": "created", "predicate": "le", "value": 7}],
    "minLength": 2,
    "action": "hold",
    "reason": "We look at what new members write",
}
_SEND: Final = """
const form = document.createElement('form');
form.method = 'post';
form.action = arguments[0];
for (const [name, value] of Object.entries(arguments[1])) {
  const field = document.createElement('textarea');
  field.name = name;
  field.value = value;
  form.append(field);
}
document.body.dataset.sent = 'yes';
document.body.append(form);
form.submit();
"""


class _StandingStill(BaseHTTPRequestHandler):
    """Provider whose page is no content: a browser that is led there stays where it is."""

    def do_GET(self) -> None:
        if not self.path.startswith("/.well-known/"):
            self.send_response(204)
            self.end_headers()
            return
        here = f"http://{self.headers['Host']}"
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        found = {"issuer": here, **{name: f"{here}/{name}" for name in names}}
        body = json.dumps(
            found
            | {
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests say what happens."""


@contextmanager
def staged(make: Factory, api: Api, operator: Person) -> Iterator[Stage]:
    """Build the site of all scenes on the web process that `api` asks; `operator` runs the platform there."""
    town = build(make)
    site = town.site
    server = ThreadingHTTPServer(("127.0.0.1", 0), _StandingStill)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        stage = Stage(town, api.address[1], operator)
        _furnish(stage, make, api, f"http://127.0.0.1:{server.server_address[1]}")
        stage.ids |= {
            "moderator": str(site.moderator.id),
            "newcomer": str(site.newcomer.id),
            "site": str(site.id),
            "member_email": site.member.email,
        }
        yield stage
    finally:
        server.shutdown()
        server.server_close()


def _furnish(stage: Stage, make: Factory, api: Api, issuer: str) -> None:
    """Add what only the API makes."""
    site, ids = stage.site, stage.ids

    def put(path: str, body: dict[str, object], by: Person) -> None:
        done = api.put(f"/api/v1/{path}", body, by=by)
        assert done.status in (200, 302), (path, done.body)

    words = (
        "> A sentence that is quoted.\n\nSome *words*, a [link](https://example.org/), `code`, and\n\n"
        "```\nlines of code that are rather longer than a narrow screen is wide, as they often are\n```\n\n"
        "- one\n- two\n\nAWordThatIsLongerThanAnyOtherOneAndThanTheScreenOfASmallPhoneIsWideInAnyCase"
    )
    make.comment(stage.town.things[1], by=site.moderator, markdown=words)
    poll = make.poll(site, is_named=True)
    make.comment(poll)
    ids["poll"] = str(poll.id)
    role = make.role(
        site, int(ids["microcosm"]), "Regulars", rights=("read", "create", "read_others")
    )
    make.criterion(role, "commentCount", "ge", 3)
    make.join(role, site.newcomer)
    ids["role"] = str(role[1])
    put(f"comments/{ids['comment']}", {"markdown": "Some words, *changed*."}, site.member)
    for kind in ("conversation", "event"):
        put(f"{kind}s/{ids[kind]}/bookmark", {}, site.member)
        put("watchers", {"itemType": kind, "itemId": int(ids[kind])}, site.member)
    put("ignored", {"itemType": "profile", "itemId": site.newcomer.id}, site.member)
    put(
        f"conversations/{ids['conversation']}/draft", {"content": {"markdown": "Half"}}, site.member
    )
    hidden = stage.town.things[5]
    made = api.patch(hidden.path, ("moderated", True), by=site.moderator)
    assert made.status == 200, made.body
    ids["webhook"] = str(make.webhook(site))
    make.sql(
        """INSERT INTO site_imports (site_id, user_id, profile_id, token_id, title, product, state, reason)
           VALUES (%(site)s, %(user)s, %(owner)s, 1, 'Old board', 'phpbb', 'failed', 'Line 7 is cut off')""",
        site=site.id,
        user=site.owner.user_id,
        owner=site.owner.id,
    )
    # The site's row does not say so: only this page asks, and everybody goes on writing.
    make.sql(
        """WITH versions AS (
               INSERT INTO legal_versions (site_id, name, version, body, asks_again)
               VALUES (%(site)s, 'terms', 1, '<h1>Terms</h1><p>Be kind.</p>', true),
                      (%(site)s, 'terms', 2, '<h1>Terms</h1><p>Be kind and brief.</p>', true)),
           consent AS (
               INSERT INTO consents (site_id, profile_id, name, version) VALUES (%(site)s, %(member)s, 'terms', 1))
           INSERT INTO site_templates (site_id, name, body, version, asked_since)
           VALUES (%(site)s, 'legal.terms', '<h1>Terms</h1><p>Be kind and brief.</p>', 2, 2) RETURNING 1""",
        site=site.id,
        member=site.member.id,
    )
    reported = make.conversation(site, title="Too loud")
    ids["report"], ids["case"] = map(str, make.report(reported))
    removed = make.comment(make.conversation(site))
    ids["action"], ids["statement"] = map(str, make.action(removed))
    _, appealed = make.action(make.comment(make.conversation(site)))
    ids["appeal"] = str(make.appeal(appealed, site.member))
    client = api.post(
        "/api/v1/oauth/clients",
        {
            "name": "Reader",
            "confidential": True,
            "redirectUris": ["https://client.example/back"],
            "scopes": ["conversations:read"],
        },
        by=site.owner,
    )
    assert client.status == 200, client.body
    ids["client"] = str(client.data["id"])
    plan = api.request("POST", "/api/v1/rules/dry-run", by=site.owner, json=_RULE)
    assert plan.status == 200, plan.body
    rule = api.post("/api/v1/rules", {"ticket": plan.data["ticket"]}, by=site.owner).location
    ids["rule"] = str(rule).rpartition("/")[2]

    def guarded() -> Person:
        """Return somebody new with a second factor. New recovery codes end the ones before, so each is good once."""
        person = make.person(site)
        begun = api.post("/api/v1/auth/totp", by=person)
        code = {"code": pyotp.TOTP(begun.data["secret"]).now()}
        codes = api.put("/api/v1/auth/totp", code, by=person)
        ids["recovery"] = codes.data["recoveryCodes"][0]
        return person

    stage.guarded = guarded
    key = {"name": "Mine", "scopes": ["conversations:read"], "days": 30}
    assert api.post("/api/v1/keys", key, by=site.member).status == 200
    put("site/options", {"membersMakeBots": True}, site.owner)
    bot = api.post(
        "/api/v1/bots", {"profileName": "Rides", "scopes": ["profile:read"]}, by=site.member
    )
    assert bot.status == 200, bot.body
    ids["bot"] = str(bot.data["id"])
    back = f"http://{site.host}:{stage.port}/login/"
    settings = {
        "issuer": issuer,
        "clientId": "forum",
        "clientSecret": "of two",
        "redirectUris": [back],
        "title": "Club",
    }
    put("site/auth/openid", {"settings": settings}, site.owner)
