"""Plan of mutation testing: the modules that are mutated, how much of each, and the test files for each mutant."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Final

# Groups of mutants: name -> (modules, how many of 300 are drawn, share of them that must be killed).
PERMISSIONS, SITES, MODELS, DELIVERY = "permissions", "site conditions", "models", "delivery"
SHARES: Final = {PERMISSIONS: 75, SITES: 75, MODELS: 90, DELIVERY: 60}
LEAST: Final = {PERMISSIONS: 1.0, SITES: 1.0, MODELS: 0.8, DELIVERY: 0.8}

_PERMISSIONS = (
    "forumapi/permissions/evaluator.py",
    "forumapi/permissions/readable_microcosms.py",
    "forumapi/request/permission.py",
    "forumapi/models/microcosms/tree.py",
)
_DELIVERY = (
    "forumapi/realtime/*.py",
    "forumapi/updates/*.py",
    "forumapi/events/*.py",
    "forumapi/webhooks/sender.py",
)
_MODELS = ("forumapi/models/**/*.py",)

# The first pattern that fits decides. What a model's own tests do not hold, those of its readers may.
TESTS: Final = (
    (
        "forumapi/permissions/evaluator.py",
        "tests/permissions/test_evaluator.py tests/oracle/test_differential.py tests/permissions/test_table.py",
    ),
    (
        "forumapi/permissions/readable_microcosms.py",
        "tests/test_memory.py tests/handlers/content/test_new_comments.py",
    ),
    (
        "forumapi/request/permission.py",
        (
            "tests/request/test_order_of_checks.py tests/permissions/test_table.py tests/oracle/test_http.py"
            " tests/request/test_guests_read.py tests/handlers/trust/test_merging.py"
        ),
    ),
    (
        "forumapi/models/microcosms/tree.py",
        (
            "tests/permissions/test_evaluator.py tests/handlers/microcosms/test_microcosms.py"
            " tests/oracle/test_differential.py"
        ),
    ),
    ("forumapi/models/trust/carried_marks.py", "tests/handlers/trust/test_merging.py"),
    ("forumapi/models/trust/comment_relocation.py", "tests/handlers/trust/test_merging.py"),
    ("forumapi/models/trust/merge_and_split_kinds.py", "tests/handlers/trust/test_merging.py"),
    (
        "forumapi/models/trust/kept_last_activity.py",
        "tests/handlers/trust/test_last_activity.py",
    ),
    ("forumapi/models/trust/redaction.py", "tests/handlers/trust/test_redaction.py"),
    (
        "forumapi/models/trust/action_worker.py",
        "tests/handlers/trust/test_background.py tests/handlers/trust/test_killed_worker.py",
    ),
    (
        "forumapi/models/*/action*.py",
        (
            "tests/handlers/trust/test_walk.py tests/handlers/trust/test_history.py"
            " tests/handlers/trust/test_random_actions.py tests/handlers/trust/test_background.py"
        ),
    ),
    (
        "forumapi/models/trust/target*.py",
        (
            "tests/handlers/trust/test_walk.py tests/handlers/trust/test_history.py"
            " tests/handlers/trust/test_random_actions.py tests/handlers/trust/test_last_activity.py"
        ),
    ),
    (
        "forumapi/models/trust/patched_flags.py",
        (
            "tests/handlers/trust/test_audited_actions.py tests/handlers/trust/test_history.py"
            " tests/handlers/trust/test_walk.py"
        ),
    ),
    ("forumapi/models/cases/unconfirmed_guest_report.py", "tests/updates/test_guest_reports.py"),
    ("forumapi/models/cases/site_report_kinds.py", "tests/updates/test_guest_reports.py"),
    ("forumapi/models/trust/decision_words.py", "tests/updates/test_decision_mail.py"),
    (
        "forumapi/models/trust/dsa_terms.py",
        "tests/handlers/trust/test_transparency.py tests/handlers/trust/test_walk.py",
    ),
    (
        "forumapi/models/trust/*statement*.py",
        (
            "tests/handlers/trust/test_walk.py tests/handlers/trust/test_who_sees.py"
            " tests/handlers/trust/test_transparency.py"
        ),
    ),
    ("forumapi/models/trust/sanction.py", "tests/handlers/trust/test_sanctions.py"),
    ("forumapi/models/cases/appeal.py", "tests/handlers/trust/test_appeals.py"),
    ("forumapi/models/trust/transparency.py", "tests/handlers/trust/test_transparency.py"),
    (
        "forumapi/models/cases/*.py",
        (
            "tests/handlers/trust/test_queue.py tests/handlers/trust/test_walk.py"
            " tests/handlers/trust/test_who_sees.py"
        ),
    ),
    (
        "forumapi/models/*/attend*.py",
        "tests/handlers/content/test_attendees.py tests/handlers/content/test_events.py",
    ),
    (
        "forumapi/models/roles/criteri*.py",
        "tests/handlers/people/test_criteria.py tests/oracle/test_criteria.py",
    ),
    (
        "forumapi/models/*/*member*.py",
        "tests/handlers/people/test_criteria.py tests/handlers/people/test_roles.py tests/oracle/test_criteria.py",
    ),
    (
        "forumapi/models/roles/role_recomputation_*.py",
        "tests/handlers/people/test_criteria.py tests/handlers/people/test_large_roles.py",
    ),
    (
        "forumapi/models/*/role*.py",
        "tests/handlers/people/test_roles.py tests/handlers/people/test_criteria.py",
    ),
    (
        "forumapi/models/content/reaction.py",
        (
            "tests/handlers/content/test_comments.py tests/handlers/content/test_reactions.py"
            " tests/handlers/content/test_huddles.py"
        ),
    ),
    (
        "forumapi/models/content/comment*.py",
        (
            "tests/handlers/content/test_comments.py tests/handlers/content/test_conversations.py"
            " tests/handlers/content/test_huddles.py tests/handlers/microcosms/test_moderation_queue.py"
        ),
    ),
    ("forumapi/models/*/huddle*.py", "tests/handlers/content/test_huddles.py"),
    (
        "forumapi/models/*/event*.py",
        "tests/handlers/content/test_events.py tests/handlers/content/test_attendees.py",
    ),
    (
        "forumapi/models/*/poll*.py",
        "tests/handlers/content/test_polls.py tests/handlers/content/test_votes.py",
    ),
    (
        "forumapi/models/*/webhook*.py",
        "tests/webhooks/test_registering.py tests/webhooks/test_delivery.py",
    ),
    ("forumapi/models/notifications/watcher*.py", "tests/handlers/notifications/test_watchers.py"),
    (
        "forumapi/models/*/update*.py",
        (
            "tests/handlers/notifications/test_updates.py tests/updates/test_dispatch.py"
            " tests/permissions/test_limited_tokens.py"
        ),
    ),
    (
        "forumapi/models/*/search*.py",
        (
            "tests/handlers/discovery/test_search.py tests/handlers/discovery/test_search_words.py"
            " tests/permissions/test_limited_tokens.py"
        ),
    ),
    (
        "forumapi/models/discovery/latest_items.py",
        "tests/handlers/discovery/test_search.py tests/models/pages/test_page_cache.py",
    ),
    (
        "forumapi/models/content/bookmark.py",
        "tests/handlers/content/test_bookmarks.py tests/handlers/content/test_thread.py",
    ),
    ("forumapi/models/texts/short_link.py", "tests/handlers/content/test_short_links.py"),
    (
        "forumapi/models/sites/site_validation.py",
        (
            "tests/handlers/sites/test_sites.py tests/handlers/sites/test_web_url.py"
            " tests/handlers/sites/test_site_settings.py tests/handlers/sites/test_menu.py"
            " tests/handlers/sites/test_domains.py"
        ),
    ),
    (
        "forumapi/models/sites/legal.py",
        "tests/handlers/sites/test_legal.py tests/handlers/sites/test_site_settings.py",
    ),
    ("forumapi/models/sites/site_domain.py", "tests/handlers/sites/test_domains.py"),
    (
        "forumapi/models/sites/site_deletion.py",
        "tests/handlers/operators/test_site_states.py tests/cron/test_site_deletions.py",
    ),
    (
        "forumapi/models/sites/site_state.py",
        "tests/handlers/operators/test_site_states.py tests/cron/test_site_deletions.py",
    ),
    ("forumapi/models/sites/site_export.py", "tests/handlers/sites/test_site_export.py"),
    ("forumapi/models/sites/site_import.py", "tests/handlers/sites/test_site_import.py"),
    ("forumapi/models/sites/site_move_guard.py", "tests/handlers/sites/test_moving_site.py"),
    (
        "forumapi/models/sites/site_options.py",
        "tests/handlers/sites/test_site_settings.py tests/handlers/sites/test_sites.py",
    ),
    ("forumapi/models/usage/site_plan.py", "tests/handlers/operators/test_plans.py"),
    (
        "forumapi/models/usage/site_usage.py",
        "tests/handlers/operators/test_usage.py tests/cron/test_usage_billing.py",
    ),
    (
        "forumapi/models/*/site*.py",
        (
            "tests/models/sites tests/handlers/sites/test_sites.py tests/handlers/sites/test_host_lookups.py"
            " tests/handlers/sites/test_domains.py"
        ),
    ),
    (
        "forumapi/models/access/auth_backend_settings.py",
        "tests/auth/test_methods.py tests/auth/test_openid.py",
    ),
    (
        "forumapi/models/*/oauth*.py",
        "tests/auth/test_oauth.py tests/handlers/access/test_oauth_clients.py",
    ),
    ("forumapi/models/access/authorization_code.py", "tests/auth/test_oauth.py"),
    ("forumapi/models/access/device_code.py", "tests/auth/test_oauth.py"),
    ("forumapi/models/access/passkey.py", "tests/auth/test_passkeys.py"),
    ("forumapi/models/access/totp.py", "tests/auth/test_second_factor.py"),
    (
        "forumapi/models/access/account_change_user.py",
        "tests/auth/test_passkeys.py tests/auth/test_second_factor.py",
    ),
    (
        "forumapi/models/access/operator_application.py",
        "tests/auth/test_sign_in.py tests/command/test_cli.py",
    ),
    ("forumapi/models/access/api_keys_sessions.py", "tests/handlers/access/test_tokens.py"),
    (
        "forumapi/models/access/access_token.py",
        "tests/auth/test_sign_in.py tests/handlers/access/test_tokens.py tests/command/test_cli.py",
    ),
    ("forumapi/models/people/ban.py", "tests/handlers/people/test_bans.py"),
    (
        "forumapi/models/people/profile_list.py",
        "tests/handlers/people/test_profile_list.py tests/handlers/people/test_profiles.py",
    ),
    (
        "forumapi/models/people/profile_counters.py",
        (
            "tests/handlers/people/test_profiles.py tests/handlers/people/test_criteria.py"
            " tests/chaos/test_random_writers.py"
        ),
    ),
    (
        "forumapi/models/people/profile_summary.py",
        (
            "tests/handlers/people/test_profiles.py tests/handlers/people/test_bots.py"
            " tests/handlers/content/test_conversations.py tests/handlers/content/test_huddles.py"
        ),
    ),
    (
        "forumapi/models/people/profile.py",
        (
            "tests/handlers/people/test_profiles.py tests/handlers/people/test_bots.py"
            " tests/handlers/operators/test_plans.py"
        ),
    ),
    (
        "forumapi/models/people/profile*.py",
        (
            "tests/handlers/people/test_profiles.py tests/handlers/people/test_profile_list.py"
            " tests/handlers/people/test_bots.py"
        ),
    ),
    (
        "forumapi/models/people/user.py",
        "tests/handlers/people/test_users.py tests/auth/test_sign_in.py",
    ),
    ("forumapi/models/people/bulk_users.py", "tests/handlers/people/test_users.py"),
    ("forumapi/models/content/file.py", "tests/files"),
    ("forumapi/models/content/attachment.py", "tests/files"),
    (
        "forumapi/models/notifications/live_event_queries.py",
        "tests/realtime/test_rights.py tests/realtime/test_socket.py tests/realtime/test_moves.py",
    ),
    (
        "forumapi/models/journal/journal.py",
        (
            "tests/request/test_processor.py tests/events tests/updates/test_dispatch.py"
            " tests/handlers/content/test_comments.py tests/handlers/sites/test_audit.py"
        ),
    ),
    ("forumapi/models/journal/idempotency.py", "tests/request/test_idempotency.py"),
    (
        "forumapi/models/pages/page_cache.py",
        "tests/models/pages/test_page_cache.py tests/models/pages/test_freshness.py",
    ),
    (
        "forumapi/models/access/rate_counters.py",
        (
            "tests/auth/test_limits.py tests/auth/test_counting.py"
            " tests/handlers/content/test_short_links.py"
        ),
    ),
    (
        "forumapi/models/microcosms/microcosm_counters.py",
        "tests/handlers/microcosms/test_microcosms.py tests/handlers/content/test_huddles.py",
    ),
    (
        "forumapi/models/access/permission_target*.py",
        (
            "tests/handlers/access/test_permission.py tests/handlers/access/test_permission_batch.py"
            " tests/handlers/notifications/test_watchers.py tests/handlers/content/test_attendees.py"
        ),
    ),
    ("forumapi/models/microcosms/microcosm.py", "tests/handlers/microcosms/test_microcosms.py"),
    (
        "forumapi/models/microcosms/microcosm_summary.py",
        "tests/handlers/microcosms/test_microcosms.py tests/handlers/notifications/test_watchers.py",
    ),
    (
        "forumapi/models/microcosms/microcosm_links.py",
        "tests/handlers/microcosms/test_microcosms.py tests/handlers/microcosms/test_moving.py",
    ),
    (
        "forumapi/models/content/draft.py",
        "tests/handlers/content/test_drafts.py tests/handlers/content/test_thread.py",
    ),
    (
        "forumapi/models/content/item.py",
        (
            "tests/handlers/content/test_conversations.py tests/handlers/microcosms/test_moving.py"
            " tests/handlers/notifications/test_watchers.py"
        ),
    ),
    (
        "forumapi/models/content/item_page.py",
        (
            "tests/handlers/content/test_conversations.py tests/handlers/microcosms/test_microcosms.py"
            " tests/handlers/content/test_comments.py tests/handlers/microcosms/test_moderation_queue.py"
            " tests/handlers/content/test_new_comments.py"
        ),
    ),
    (
        "forumapi/models/people/read_mark.py",
        (
            "tests/handlers/content/test_comments.py tests/handlers/content/test_huddles.py"
            " tests/handlers/microcosms/test_microcosms.py tests/handlers/people/test_profiles.py"
        ),
    ),
    (
        "forumapi/models/content/item_*.py",
        (
            "tests/handlers/content/test_conversations.py tests/handlers/content/test_events.py"
            " tests/handlers/content/test_new_comments.py tests/realtime/test_documents.py"
        ),
    ),
    (
        "forumapi/models/texts/text_rendering.py",
        (
            "tests/handlers/content/test_comments.py tests/handlers/content/test_polls.py"
            " tests/porting/loading/test_loader.py"
        ),
    ),
    (
        "forumapi/models/access/identity.py",
        "tests/permissions/test_limited_tokens.py tests/handlers/people/test_ignored.py",
    ),
    ("forumapi/models/people/gravatar.py", "tests/cron/test_gravatars.py"),
    ("forumapi/models/people/email_change.py", "tests/auth/test_email_change.py"),
    ("forumapi/models/notifications/mail_suppression.py", "tests/updates/test_sending.py"),
    (
        "forumapi/models/notifications/moderation_record.py",
        "tests/webhooks/test_moderation.py",
    ),
    ("forumapi/models/people/ignore*.py", "tests/handlers/people/test_ignored.py"),
    (
        "forumapi/models/access/fresh_sign_in.py",
        (
            "tests/handlers/sites/test_site_export.py tests/handlers/people/test_erasures.py"
            " tests/handlers/people/test_personal_exports.py"
        ),
    ),
    (
        "forumapi/models/access/known_network_limit.py",
        "tests/auth/test_limits.py tests/auth/test_email_code.py",
    ),
    (
        "forumapi/models/access/platform_secret.py",
        "tests/handlers/notifications/test_mail.py tests/mail/test_outbox.py",
    ),
    ("forumapi/models/access/second_factor_rule.py", "tests/auth/test_second_factor.py"),
    ("forumapi/models/content/geocode_cache.py", "tests/handlers/content/test_geocode.py"),
    (
        "forumapi/models/texts/text_removal.py",
        "tests/cron/test_retention.py tests/handlers/trust/test_redaction.py",
    ),
    (
        "forumapi/models/content/type_specific_fields*.py",
        (
            "tests/handlers/content/test_conversations.py tests/handlers/content/test_events.py"
            " tests/handlers/content/test_polls.py tests/handlers/content/test_attendees.py"
        ),
    ),
    (
        "forumapi/models/journal/activity_buffers.py",
        "tests/handlers/people/test_profiles.py tests/handlers/people/test_profile_list.py",
    ),
    (
        "forumapi/models/journal/audit_*.py",
        "tests/models/journal tests/handlers/sites/test_audit.py",
    ),
    (
        "forumapi/models/microcosms/microcosm_moderators.py",
        "tests/handlers/microcosms/test_named_moderators.py",
    ),
    (
        "forumapi/models/notifications/push_subscription.py",
        "tests/updates/test_push.py tests/webclient/handlers/notifications/test_push.py",
    ),
    (
        "forumapi/models/pages/document_reader.py",
        "tests/models/pages/test_cold_pages.py tests/models/pages/test_freshness.py",
    ),
    (
        "forumapi/models/pages/page_of_comment.py",
        (
            "tests/handlers/content/test_comments.py tests/handlers/content/test_conversations.py"
            " tests/handlers/content/test_new_comments.py"
        ),
    ),
    (
        "forumapi/models/pages/page_with_total.py",
        (
            "tests/handlers/people/test_bans.py tests/handlers/access/test_tokens.py"
            " tests/webhooks/test_registering.py"
        ),
    ),
    ("forumapi/models/access/agent_level.py", "tests/agents/test_marks_and_levels.py"),
    ("forumapi/models/sites/legal_version.py", "tests/handlers/sites/test_consents.py"),
    ("forumapi/models/sites/sandbox*.py", "tests/handlers/sites/test_sandboxes.py"),
    (
        "forumapi/models/people/caller_profile_upkeep.py",
        "tests/handlers/people/test_whoami.py tests/porting/loading/test_claims.py",
    ),
    ("forumapi/models/people/imported_profile.py", "tests/porting/loading/test_claims.py"),
    (
        "forumapi/models/privacy/inventory.py",
        "tests/models/privacy/test_inventory.py tests/cron/test_erased_person.py",
    ),
    (
        "forumapi/models/privacy/retention_steps.py",
        "tests/cron/test_retention.py tests/handlers/sites/test_retention.py",
    ),
    (
        "forumapi/models/privacy/erasure_*.py",
        (
            "tests/handlers/people/test_erasures.py tests/cron/test_erasures.py"
            " tests/cron/test_erased_person.py"
        ),
    ),
    ("forumapi/models/privacy/quotation_page.py", "tests/handlers/people/test_erasures.py"),
    (
        "forumapi/models/rules/*.py",
        "tests/handlers/trust/test_rules.py tests/handlers/trust/test_rules_on_events.py",
    ),
    ("forumapi/models/sites/crawl_policy.py", "tests/handlers/sites/test_crawl_policy.py"),
    ("forumapi/models/sites/ownership_transfer.py", "tests/handlers/sites/test_sites.py"),
    (
        "forumapi/models/usage/platform_growth.py",
        "tests/handlers/operators/test_platform_growth.py",
    ),
    (
        "forumapi/models/usage/platform_health.py",
        "tests/request/test_health.py tests/observability/test_metrics.py",
    ),
    (
        "forumapi/models/sites/subdomain_availability.py",
        "tests/handlers/sites/test_host_lookups.py tests/handlers/sites/test_sites.py",
    ),
    ("forumapi/models/usage/usage_billing.py", "tests/cron/test_usage_billing.py"),
    (
        "forumapi/realtime/topic_names.py",
        "tests/realtime/test_socket.py tests/realtime/test_documents.py tests/realtime/test_across.py",
    ),
    (
        "forumapi/realtime/*.py",
        (
            "tests/realtime/test_rights.py tests/realtime/test_socket.py tests/realtime/test_streams.py"
            " tests/realtime/test_moves.py tests/realtime/test_presence.py tests/realtime/test_audience.py"
            " tests/realtime/test_hostile.py tests/realtime/test_away.py tests/realtime/test_pipe.py"
        ),
    ),
    (
        "forumapi/updates/unsubscribe.py",
        "tests/handlers/notifications/test_mail.py tests/updates/test_email.py",
    ),
    (
        "forumapi/updates/mail_templates.py",
        "tests/handlers/notifications/test_mail.py tests/updates/test_email.py tests/updates/test_digest.py",
    ),
    (
        "forumapi/updates/mail_rendering.py",
        "tests/updates/test_email.py tests/updates/test_digest.py",
    ),
    ("forumapi/updates/dig*.py", "tests/updates/test_digest.py"),
    ("forumapi/updates/push*.py", "tests/updates/test_push.py"),
    (
        "forumapi/updates/decision_mail.py",
        "tests/updates/test_decision_mail.py tests/updates/test_guest_reports.py",
    ),
    (
        "forumapi/updates/appeal_and_report_links.py",
        "tests/updates/test_decision_mail.py tests/updates/test_guest_reports.py",
    ),
    ("forumapi/updates/site_invitation_mail.py", "tests/updates/test_strangers.py"),
    (
        "forumapi/updates/[diru]*.py",
        (
            "tests/updates/test_dispatch.py tests/updates/test_oracle.py tests/updates/test_invitations.py"
            " tests/updates/test_push.py"
        ),
    ),
    (
        "forumapi/updates/*.py",
        (
            "tests/updates/test_email.py tests/updates/test_mail_permissions.py"
            " tests/updates/test_sending.py tests/updates/test_push.py"
        ),
    ),
    ("forumapi/events/*.py", "tests/events tests/realtime/test_socket.py"),
    (
        "forumapi/webhooks/sender.py",
        (
            "tests/webhooks/test_delivery.py tests/webhooks/test_permission.py"
            " tests/webhooks/test_moderation.py tests/realtime/test_moves.py"
        ),
    ),
)


def group_of(module: str, operator: str, site_operator: str) -> str:
    """Return the group in which a mutant is counted."""
    if operator == site_operator:
        return SITES
    if any(fnmatch(module, pattern) for pattern in _PERMISSIONS):
        return PERMISSIONS
    return DELIVERY if any(fnmatch(module, pattern) for pattern in _DELIVERY) else MODELS


def modules(root: Path) -> list[str]:
    """Return every module that is mutated. (realtime/message_schemas.py only declares structs, and is not.)"""
    return sorted(
        str(path.relative_to(root))
        for pattern in (*_PERMISSIONS, *_DELIVERY, *_MODELS)
        for path in root.glob(pattern)
        if path.name not in ("__init__.py", "message_schemas.py")
    )


def tests_of(root: Path, module: str, group: str) -> list[str]:
    """Return the test files that have to find a mutant of this module and group. Raises LookupError if none are named
    for the module and none in tests/handlers is called as the module is.
    """
    if group == SITES:
        return ["tests/database/test_sql.py"]
    for pattern, files in TESTS:
        if fnmatch(module, pattern):
            return files.split()
    # The tests of a model without a line above are called as it is, without what it reads or writes of a thing.
    stem = Path(module).stem.removesuffix("_page").removesuffix("_summary")
    found = [
        str(path.relative_to(root))
        for path in sorted((root / "tests/handlers").rglob("test_*.py"))
        if path.stem.removeprefix("test_") in (stem, f"{stem}s")
    ]
    if not found:
        raise LookupError(f"{module}: scripts/mutants/plan.py names no tests for it")
    return found
