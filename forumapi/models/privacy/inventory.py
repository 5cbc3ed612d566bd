"""Persons' inventory, as data: what each column of each table holds of a person, how it is exported and how it is
erased.

`tests/models/privacy/test_inventory.py` compares it with the catalog of the database, and fails for a table or column
without its line; personal_export.py makes copies by it, and the test of erasing wants a row of each table in it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from forumapi import itemtypes

# What becomes of a column when its person is erased.
DELETED: Final = "deleted"  # the row goes, or the value
NOBODYS: Final = "nobody's"  # the number stays; the profile or user that it names is nobody by then
CHOSEN: Final = "chosen"  # words: they stay without their author, or go, as the person chose
RENAMED: Final = (
    "renamed"  # text of others: the name in it is replaced where it mentions the person
)
KEPT: Final = "kept"  # `why` says why and for how long
FATES: Final = (DELETED, NOBODYS, CHOSEN, RENAMED, KEPT)


class Line(NamedTuple):
    """Line of the inventory, for columns of one table with the same fate at an erasure. `columns`: their names with
    spaces between; `fate`: one of FATES; `why`: for KEPT, the reason, and for how long; else a remark on the fate, ""
    for none.
    """

    columns: str
    fate: str
    why: str = ""


class Export(NamedTuple):
    """Rows and columns of a table that a person's copy holds, as SQL texts in which the table is called `t`.

    `rows`: a condition, which may name the parameters site_id, profile_id and user_id; `columns`: names, each behind
    `t.`, with commas between.
    """

    rows: str
    columns: str


class PersonTable(NamedTuple):
    """Table that names people or holds what they write. `lines`: its columns that do, with what becomes of them at an
    erasure; `plain`: names, with spaces between, of columns of text or bytes that hold nothing of a person.

    `export` None: no row of it belongs to the person; `not_exported` then says why.
    """

    name: str
    lines: tuple[Line, ...]
    export: Export | None = None
    plain: str = ""
    not_exported: str = ""


_MINE: Final = "t.site_id = %(site_id)s AND t.profile_id = %(profile_id)s"
_BY_ME: Final = "t.site_id = %(site_id)s AND t.created_by = %(profile_id)s"
_USER: Final = "t.user_id = %(user_id)s"
_OF_THE_PROFILE: Final = (
    "t.site_id = %(site_id)s AND t.item_id = %(profile_id)s"
    f" AND t.item_type_id = {itemtypes.PROFILE}"
)
_SECRET: Final = "it proves who somebody is, and is no use as a copy"
_SITES: Final = "it belongs to the site"

PERSON_TABLES: Final = (
    # ---------------------------------------------------------------- the account
    PersonTable(
        "users",
        (
            Line("email canonical_email person_key", DELETED),
            Line("language gender state", DELETED),
            Line("user_id", KEPT, "a ban in force needs it, until it ends; else deleted"),
        ),
        Export(
            _USER,
            "t.email, t.language, t.gender, t.dob_day, t.dob_month, t.dob_year, t.email_verified, t.created",
        ),
    ),
    PersonTable(
        "access_tokens",
        (Line("user_id token_hash token_prefix name user_agent ip last_ip", DELETED),),
        Export(
            _USER,
            "t.kind, t.name, t.token_prefix, t.scopes, t.user_agent, t.ip, t.last_ip, t.created, t.expires,"
            " t.last_used, t.audience",
        ),
        plain="kind scopes audience",
    ),
    PersonTable(
        "refresh_tokens",
        (Line("user_id token_hash", DELETED),),
        plain="scopes",
        not_exported=_SECRET,
    ),
    PersonTable(
        "oauth_grants",
        (Line("user_id code_hash", DELETED),),
        Export(
            f"t.site_id = %(site_id)s AND {_USER}",
            "t.client_id, t.scopes, t.audience, t.created, t.refreshed",
        ),
        plain="scopes audience",
    ),
    PersonTable(
        "one_time_secrets",
        (Line("user_id secret", DELETED),),
        Export(_USER, "t.created, t.confirmed"),
    ),
    PersonTable("recovery_codes", (Line("user_id code_hash", DELETED),), not_exported=_SECRET),
    PersonTable(
        "passkeys",
        (Line("user_id credential_id public_key name", DELETED),),
        Export(_USER, "t.name, t.rp_id, t.created, t.last_used"),
        plain="rp_id",
    ),
    PersonTable(
        "sign_in_places",
        (Line("user_id place_hash", DELETED),),
        Export(_USER, "t.seen"),
    ),
    PersonTable(
        "single_use",
        (
            Line(
                "subject payload secret_hash",
                DELETED,
                "codes of a person; others expire in minutes",
            ),
        ),
        plain="kind",
        not_exported=_SECRET,
    ),
    PersonTable(
        "attempt_counters",
        (Line("subject", DELETED, "by e-mail address; counters of networks end after two days"),),
        plain="kind",
        not_exported="it counts attempts, by whomever",
    ),
    PersonTable(
        "right_changes",
        (Line("user_id", DELETED),),
        not_exported="it tells caches that something has changed, for an hour",
    ),
    PersonTable(
        "bans",
        (
            Line("user_id", KEPT, "until the ban ends; its user has no address then"),
            Line("display_reason admin_reason", DELETED, "with the account"),
            Line("created_by", NOBODYS),
            Line("email_domain", KEPT, "a domain is no person"),
        ),
        Export(
            f"{_USER} AND (t.site_id = %(site_id)s OR t.site_id IS NULL)",
            "t.created, t.expires, t.display_reason",
        ),
    ),
    PersonTable(
        "mail_suppressions",
        (Line("address_hash", KEPT, "no mail goes to an address that bounced; only a keyed hash"),),
        plain="reason detail",
        not_exported="a keyed hash, which names nobody",
    ),
    PersonTable(
        "invitation_refusals",
        (Line("address_hash", KEPT, "who refused invitations gets none; only a keyed hash"),),
        not_exported="a keyed hash, which names nobody",
    ),
    PersonTable(
        "spam_verdicts",
        (Line("address_hash", KEPT, "only a keyed hash, for as long as the check says"),),
        plain="verdict",
        not_exported="a keyed hash, which names nobody",
    ),
    # ---------------------------------------------------------------- the profile
    PersonTable(
        "profiles",
        (
            Line("user_id", NOBODYS, "a user of its own, which nobody is"),
            Line("profile_name name_looks gender avatar_url", DELETED, "another name in its place"),
            Line("profile_id avatar_id bio_comment_id", NOBODYS),
            Line("bot_owner_id", DELETED, "of the person's bots, whose keys end"),
        ),
        Export(
            "t.site_id = %(site_id)s AND %(profile_id)s IN (t.profile_id, t.bot_owner_id)",
            "t.profile_id, t.profile_name, t.gender, t.is_visible, t.style_id, t.avatar_url, t.is_member, t.created,"
            " t.role_ids, t.is_bot",
        ),
    ),
    PersonTable(
        "profile_counters",
        (Line("profile_id", NOBODYS), Line("name_key", DELETED, "the new name in its place")),
        Export(_MINE, "t.item_count, t.comment_count, t.unread_huddles, t.last_active"),
    ),
    PersonTable(
        "profile_options",
        (Line("profile_id", NOBODYS), Line("time_zone digest", DELETED)),
        Export(
            _MINE,
            "t.show_dob, t.show_dob_year, t.send_email, t.send_sms, t.time_zone, t.digest, t.digest_due, t.agents",
        ),
        plain="agents",
    ),
    PersonTable(
        "role_profiles", (Line("profile_id", DELETED),), Export(_MINE, "t.role_id, t.created")
    ),
    PersonTable(
        "attributes",
        (
            Line(
                "string_value key", DELETED, "of the profile; of what the person wrote, as chosen"
            ),
            Line("written_by", NOBODYS),
        ),
        Export(
            _OF_THE_PROFILE,
            "t.key, t.string_value, t.date_value, t.number_value, t.boolean_value, t.written",
        ),
    ),
    PersonTable(
        "erasures",
        (
            Line("profile_id", KEPT, "which profiles were erased, for good: it names no person"),
            Line("old_name old_email", DELETED),
        ),
        Export(_MINE, "t.words, t.requested, t.due"),
        plain="words state",
    ),
    PersonTable(
        "account_erasures",
        (Line("user_id", DELETED),),
        Export(_USER, "t.words, t.requested, t.due"),
        plain="words state",
    ),
    PersonTable(
        "personal_exports",
        (Line("profile_id object", DELETED),),
        Export(_MINE, "t.state, t.requested, t.finished, t.bytes"),
        plain="state",
    ),
    PersonTable(
        "site_exports",
        (
            Line("user_id profile_id object", DELETED),
            Line("sha256 hash reason", DELETED),
        ),
        Export(_MINE, "t.state, t.created, t.finished, t.bytes"),
        plain="state",
    ),
    PersonTable(
        "site_imports",
        (
            Line("user_id profile_id object", DELETED),
            Line("title granted reason", DELETED),
        ),
        Export(_MINE, "t.state, t.task, t.created, t.finished, t.bytes"),
        plain="product prefix encoding addresses task state phase plan verification undoing",
    ),
    PersonTable(
        "imported_profiles",
        (Line("profile_id person_key email", DELETED),),
        Export(_MINE, "t.email, t.send_email"),
    ),
    PersonTable(
        "site_offers",
        (Line("profile_id offered_by", DELETED),),
        Export(
            "t.site_id = %(site_id)s AND %(profile_id)s IN (t.profile_id, t.offered_by)",
            "t.profile_id, t.offered_by, t.created",
        ),
    ),
    PersonTable(
        "imported_items",
        (
            Line(
                "old_id detail",
                DELETED,
                "of the profile; its number on the former forum stays, of another id a hash, so that no import brings"
                " the person back",
            ),
        ),
        Export(
            _OF_THE_PROFILE,
            "t.old_id, t.detail",
        ),
        plain="written",
    ),
    PersonTable(
        "consents",
        (
            Line(
                "profile_id", DELETED, "with the profile's other rows: it proves nothing of nobody"
            ),
        ),
        Export(_MINE, "t.name, t.version, t.given"),
        plain="name",
    ),
    PersonTable(
        "withdrawn_consents",
        (Line("profile_id", DELETED, "as the consents in force"),),
        Export(_MINE, "t.name, t.version, t.given, t.withdrawn"),
        plain="name",
    ),
    # ---------------------------------------------------------------- what the person set up to read
    PersonTable(
        "watchers",
        (Line("profile_id", DELETED),),
        Export(_MINE, "t.item_type_id, t.item_id, t.send_email, t.send_sms, t.created"),
    ),
    PersonTable(
        "ignores",
        (Line("profile_id", DELETED),),
        Export(_MINE, "t.item_type_id, t.item_id, t.created"),
    ),
    PersonTable(
        "bookmarks",
        (Line("profile_id", DELETED),),
        Export(_MINE, "t.item_type_id, t.item_id, t.created"),
    ),
    PersonTable(
        "drafts",
        (Line("profile_id content", DELETED),),
        Export(
            _MINE,
            "t.place_type_id, t.place_id, t.writes_type_id, t.content, t.created, t.edited, t.by_agent",
        ),
    ),
    PersonTable(
        "read_marks",
        (Line("profile_id", DELETED),),
        Export(_MINE, "t.item_type_id, t.item_id, t.read_at"),
    ),
    PersonTable(
        "carried_marks",
        (Line("profile_id", DELETED),),
        plain="kind",
        not_exported="the follows, bookmarks and read marks that it notes are exported themselves",
    ),
    PersonTable(
        "updates",
        (Line("profile_id", DELETED), Line("created_by", NOBODYS)),
        Export(_MINE, "t.update_type_id, t.item_type_id, t.item_id, t.created, t.created_by"),
    ),
    PersonTable(
        "update_options",
        (Line("profile_id", DELETED),),
        Export(_MINE, "t.update_type_id, t.send_email, t.send_sms, t.send_push"),
    ),
    PersonTable(
        "push_subscriptions",
        (Line("profile_id endpoint endpoint_hash public_key auth_secret", DELETED),),
        Export(_MINE, "t.endpoint, t.created, t.last_sent"),
    ),
    PersonTable(
        "push_messages",
        (Line("profile_id by_profile_id cause last_error", DELETED, "after a day in any case"),),
        plain="state",
        not_exported="it names what the list of updates has, and holds no text",
    ),
    PersonTable(
        "idempotency_keys",
        (Line("profile_id key path body_hash location", DELETED),),
        plain="method",
        not_exported="it tells a repeated request from a new one, for a day",
    ),
    # ---------------------------------------------------------------- words
    PersonTable(
        "items",
        (
            Line("created_by edited_by last_comment_by", NOBODYS),
            Line("title edit_reason", CHOSEN),
            Line("reactions", NOBODYS, "only counts"),
        ),
        Export(
            _BY_ME,
            "t.item_id, t.item_type_id, t.microcosm_id, t.title, t.created, t.edited, t.edit_reason, t.is_deleted,"
            " t.by_agent",
        ),
    ),
    PersonTable(
        "comments",
        (
            Line("created_by edited_by on_profile_id", NOBODYS),
            Line("markdown html", CHOSEN, "mentions of the person in others' say the new name"),
            Line("reactions", NOBODYS, "only counts"),
        ),
        Export(
            _BY_ME,
            "t.comment_id, t.item_id, t.on_profile_id, t.in_reply_to, t.created, t.edited, t.is_deleted, t.by_agent,"
            " t.markdown, t.html",
        ),
    ),
    PersonTable(
        "comment_revisions",
        (Line("created_by", NOBODYS), Line("markdown", CHOSEN, "with the comment")),
        Export(
            "t.site_id = %(site_id)s AND EXISTS (SELECT FROM comments c WHERE c.site_id = t.site_id"
            " AND c.comment_id = t.comment_id AND c.created_by = %(profile_id)s)",
            "t.comment_id, t.revision, t.markdown, t.created",
        ),
    ),
    PersonTable(
        "comment_mentions",
        (Line("profile_id", NOBODYS),),
        Export(_MINE, "t.comment_id"),
    ),
    PersonTable(
        "item_authors", (Line("profile_id", NOBODYS),), not_exported="it counts the comments"
    ),
    PersonTable(
        "events",
        (Line("place", CHOSEN),),
        Export(
            "t.site_id = %(site_id)s AND EXISTS (SELECT FROM items i WHERE i.site_id = t.site_id"
            " AND i.item_id = t.item_id AND i.created_by = %(profile_id)s)",
            "t.item_id, t.when_utc, t.tz_name, t.duration_min, t.place, t.lat, t.lon, t.status",
        ),
        plain="tz_name status",
    ),
    PersonTable(
        "polls",
        (Line("question", CHOSEN),),
        Export(
            "t.site_id = %(site_id)s AND EXISTS (SELECT FROM items i WHERE i.site_id = t.site_id"
            " AND i.item_id = t.item_id AND i.created_by = %(profile_id)s)",
            "t.item_id, t.question, t.is_multi, t.is_poll_open, t.closes",
        ),
        plain="results",
    ),
    PersonTable(
        "poll_choices",
        (Line("choice", CHOSEN),),
        Export(
            "t.site_id = %(site_id)s AND EXISTS (SELECT FROM items i WHERE i.site_id = t.site_id"
            " AND i.item_id = t.item_id AND i.created_by = %(profile_id)s)",
            "t.item_id, t.choice_id, t.choice",
        ),
    ),
    PersonTable(
        "links",
        (Line("url url_hash host lead", CHOSEN, "when no text holds it any more"),),
        plain="code",
        not_exported="the addresses are in the texts",
    ),
    PersonTable(
        "search_documents",
        (
            Line("vector", CHOSEN, "follows the text"),
            Line("author_id person_id", NOBODYS),
        ),
        not_exported="it is made of the texts",
    ),
    PersonTable(
        "search_words",
        (Line("word", CHOSEN, "the job search_words takes it off when no text has it"),),
        not_exported="it is made of the texts",
    ),
    PersonTable(
        "search_gone",
        (Line("words", CHOSEN, "until the job search_words has run, within a minute"),),
        not_exported="it is made of the texts",
    ),
    # ---------------------------------------------------------------- taking part
    PersonTable(
        "huddle_participants", (Line("profile_id", DELETED),), Export(_MINE, "t.item_id, t.joined")
    ),
    PersonTable(
        "attendees",
        (Line("profile_id created_by edited_by", NOBODYS),),
        Export(_MINE, "t.item_id, t.state_id, t.rsvpd_on, t.waiting_since, t.created"),
    ),
    PersonTable(
        "poll_ballots",
        (Line("user_id", NOBODYS),),
        Export(f"t.site_id = %(site_id)s AND {_USER}", "t.item_id, t.choice_ids, t.cast_at"),
    ),
    PersonTable(
        "reactions",
        (Line("profile_id", NOBODYS),),
        Export(_MINE, "t.item_type_id, t.item_id, t.name, t.created"),
        plain="name",
    ),
    # ---------------------------------------------------------------- files
    PersonTable(
        "file_uploads",
        (
            Line("profile_id", NOBODYS, "the row goes unless a text links to the file"),
            Line("file_name", DELETED),
            Line("file_hash", CHOSEN),
        ),
        Export(_MINE, "t.file_hash, t.file_name, t.file_ext, t.created"),
        plain="file_ext",
    ),
    PersonTable(
        "attachments",
        (
            Line("profile_id", NOBODYS),
            Line("file_hash file_name", CHOSEN, "of the profile: deleted"),
        ),
        Export(_MINE, "t.item_type_id, t.item_id, t.file_hash, t.file_name, t.created"),
        plain="file_ext",
    ),
    PersonTable(
        "files",
        (Line("file_hash file_name", CHOSEN, "when nobody has the file any more"),),
        plain="file_ext mime_type",
        not_exported="the bytes are in the export",
    ),
    PersonTable(
        "file_variants",
        (Line("file_hash variant_hash", CHOSEN, "with the file"),),
        plain="state",
        not_exported="they are made of the files",
    ),
    PersonTable(
        "file_strays",
        (Line("file_hash", DELETED, "with the object"),),
        not_exported="hashes of objects that are about to be deleted",
    ),
    PersonTable("file_usage", (Line("profile_id", NOBODYS),), Export(_MINE, "t.bytes")),
    # ---------------------------------------------------------------- traces
    PersonTable(
        "audit_log",
        (Line("profile_id ip ip_hash detail salt", DELETED, "what the chain lacks yet: emptied"),),
        Export(_MINE, "t.action, t.item_type_id, t.item_id, t.ip, t.created"),
        plain="action",
    ),
    PersonTable(
        "audit_entries",
        (
            Line("actor_id subject_id", NOBODYS),
            Line("detail_hash hash signature", KEPT, "salted hashes, as long as the audit is kept"),
        ),
        plain="action",
        not_exported="audit_log has what was done",
    ),
    PersonTable(
        "event_log",
        (Line("actor_id", NOBODYS, "for seven days"), Line("detail", NOBODYS, "only numbers")),
        plain="kind",
        not_exported="the audit has the same",
    ),
    PersonTable(
        "mail_outbox",
        (
            Line("profile_id recipient by_profile_id headers cause last_error", DELETED),
            Line(
                "subject text_body html_body",
                DELETED,
                "also what others were sent about the person",
            ),
        ),
        Export(_MINE, "t.subject, t.text_body, t.created, t.sent"),
        plain="state",
    ),
    PersonTable(
        "webhook_deliveries",
        (Line("last_error", KEPT, "an answer of the receiver, for 30 days"),),
        plain="state kind",
        not_exported=_SITES,
    ),
    # ---------------------------------------------------------------- what the person did for the site
    PersonTable(
        "sites",
        (
            Line("created_by owned_by", NOBODYS, "an owner hands the site over first"),
            Line("title description", KEPT, _SITES),
        ),
        plain=(
            "subdomain_key domain logo_url favicon_url background_url background_color background_position link_color"
            " ga_web_property_id auth0_domain auth0_client_id auth0_client_secret web_url"
        ),
        not_exported=_SITES,
    ),
    PersonTable(
        "microcosms",
        (
            Line("created_by owned_by edited_by", NOBODYS),
            Line("edit_reason", CHOSEN),
            Line("title description", KEPT, _SITES),
        ),
        plain="logo_url visibility",
        not_exported=_SITES,
    ),
    PersonTable(
        "roles",
        (
            Line("created_by edited_by", NOBODYS),
            Line("edit_reason", CHOSEN),
            Line("title", KEPT, _SITES),
        ),
        not_exported=_SITES,
    ),
    # ---------------------------------------------------------------- trust and safety
    PersonTable(
        "reports",
        (
            Line("reporter_id", NOBODYS),
            Line("text", DELETED, "also of reports about the person"),
            Line("guest_email guest_name guest_key", DELETED, "of guests with the same address"),
            Line(
                "reporter_hash",
                KEPT,
                "a keyed hash of thing and address, made at the erasure, until half a year after the decision",
            ),
        ),
        Export(
            "t.site_id = %(site_id)s AND t.reporter_id = %(profile_id)s",
            "t.item_type_id, t.item_id, t.kind, t.category, t.text, t.created",
        ),
        plain="kind category",
    ),
    PersonTable(
        "cases",
        (Line("author_id taken_by decided_by assigned_to", NOBODYS),),
        plain="state outcome",
        not_exported="it tells who reported, and what moderators do",
    ),
    PersonTable(
        "content_checks",
        (
            Line("author_id", NOBODYS),
            Line("verdicts", DELETED, "with the rows, which end after 90 days"),
        ),
        plain="state text_hash",
        not_exported="it is between moderators",
    ),
    PersonTable(
        "case_notes",
        (Line("created_by", NOBODYS), Line("text", DELETED, "also of notes about the person")),
        not_exported="it is between moderators",
    ),
    PersonTable(
        "actions",
        (
            Line("actor_id undone_by", NOBODYS),
            Line("reason note", DELETED, "of actions on the person's things alone"),
            Line("rule", KEPT, "it names a term or a law"),
            Line(
                "title",
                KEPT,
                "of a conversation that a moderator has split off, as everybody read it",
            ),
        ),
        plain="kind state ground category operator",
        not_exported="statements have what concerns the person",
    ),
    PersonTable(
        "rule_versions",
        (Line("created_by", NOBODYS),),
        plain="mode event definition",
        not_exported=_SITES,
    ),
    PersonTable(
        "rule_plans",
        (Line("created_by", NOBODYS),),
        plain="mode event definition",
        not_exported=_SITES,
    ),
    PersonTable(
        "action_changes",
        (Line("author_id", NOBODYS), Line("before after", DELETED)),
        plain="state conflict",
        not_exported="statements have what concerns the person",
    ),
    PersonTable(
        "statements",
        (Line("profile_id", NOBODYS),),
        Export(_MINE, "t.statement_id, t.action_id, t.created, t.revoked"),
    ),
    PersonTable(
        "sanctions",
        (Line("profile_id", DELETED),),
        Export(_MINE, "t.microcosm_id, t.is_ban, t.ends"),
    ),
    PersonTable(
        "appeals",
        (Line("profile_id decided_by", NOBODYS),),
        Export(_MINE, "t.appeal_id, t.statement_id, t.state, t.created, t.decided"),
        plain="state",
    ),
    PersonTable(
        "appeal_messages",
        (
            Line("created_by", NOBODYS),
            Line("text", DELETED, "with the answers to the person's appeals"),
        ),
        Export(_BY_ME, "t.appeal_id, t.text, t.created"),
    ),
    PersonTable(
        "oauth_clients",
        (
            Line("created_by", NOBODYS),
            Line("name secret_hash redirect_uris metadata_url", KEPT, _SITES),
        ),
        plain="scopes",
        not_exported=_SITES,
    ),
    PersonTable(
        "webhooks",
        (
            Line("created_by acts_as", NOBODYS),
            Line("url secret old_secret name last_error", KEPT, _SITES),
        ),
        plain="kinds disabled",
        not_exported=_SITES,
    ),
)

# Tables with texts, bytes or numbers that are nobody's, and why.
NOBODYS_TABLES: Final = {
    "attendee_states": "constants",
    "audit_heads": "hashes and signatures of the audit",
    "blocked_link_domains": "domains that the operator blocks",
    "criteria": "rules of the site",
    "deletions": "which comments and items are deleted, and since when",
    "event_cursors": "how far readers are",
    "event_heads": "numbers of events",
    "rule_hits": "ids of things that rules fitted",
    "rules": "rules of the site",
    "event_sequence": "numbers of events",
    "event_sequencer": "numbers of transactions",
    "geocode_cache": "places, by whomever they were asked for",
    "huddles": "marks a huddle as confidential; title and participants are in items and huddle_participants",
    "import_marks": "digests of rows of a former forum, made of its ids and values",
    "import_leftouts": "numbers of things of a former forum that were left out",
    "import_origins": "former forums of a site",
    "item_types": "constants",
    "item_views": "counts",
    "leases": "which process leads",
    "legal_versions": "texts of the site",
    "link_hits": "counts",
    "link_uses": "which comment holds which link",
    "menus": "links of the site",
    "metrics": "counts of the platform",
    "microcosm_counts": "counts",
    "microcosm_deltas": "counts",
    "platform_options": "switches of the platform",
    "platform_secrets": "keys of the platform",
    "redactions": "which things were removed, until every cache has forgotten them",
    "reserved_subdomains": "constants",
    "role_settlings": "roles to work out anew",
    "sandboxes": "sites that are deleted after a day, and when",
    "schema_migrations": "migrations",
    "search_progress": "how far indexing is",
    "search_work": "what is to be indexed",
    "site_auth_backends": "settings of the site",
    "site_changes": "which pages have changed, for an hour",
    "site_domains": "domains of the site",
    "site_deletion_files": "hashes of files of a site that is being deleted, until it is",
    "site_deletions": "receipts of deleted sites, in numbers; a site's names, which say nothing of people",
    "site_states": "what holds a site back, and since when",
    "usage_billing": "how far usage was sent to the biller",
    "site_usage": "counts of requests, bytes and time by hour",
    "site_gravatar": "how far the import of pictures is",
    "site_moves": "how far a move of a site to another platform is",
    "site_plans": "plan of the site, as the operator set it",
    "plan_notices": "which limits the owner was told of",
    "site_options": "settings of the site",
    "site_people": "counts",
    "site_settings": "settings of the site",
    "site_stats": "counts",
    "site_templates": "texts of the site",
    "task_runs": "what jobs have done, in numbers",
    "themes": "constants",
    "trending_scores": "scores of items",
    "update_types": "constants",
    "value_types": "constants",
}
