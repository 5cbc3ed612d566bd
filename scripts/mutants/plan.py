"""Modules that are mutated, how much of each, and the test files that each mutant is held against."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Final

# Groups of mutants: name -> (modules, how many of 300 are drawn, share of them that must be killed).
PERMISSIONS, SITES, MODELS, DELIVERY = "permissions", "site conditions", "models", "delivery"
SHARES: Final = {PERMISSIONS: 75, SITES: 75, MODELS: 90, DELIVERY: 60}
LEAST: Final = {PERMISSIONS: 1.0, SITES: 1.0, MODELS: 0.8, DELIVERY: 0.8}

_PERMISSIONS = ("forumapi/permissions.py", "forumapi/models/tree.py")
_DELIVERY = (
    "forumapi/realtime/*.py",
    "forumapi/updates/*.py",
    "forumapi/events/*.py",
    "forumapi/webhooks.py",
)
_MODELS = ("forumapi/models/*.py",)

# The first pattern that fits decides. What a model's own tests do not hold, those of its readers may.
TESTS: Final = (
    (
        "forumapi/permissions.py",
        "tests/test_evaluator.py tests/oracle/test_differential.py tests/test_permissions.py",
    ),
    (
        "forumapi/models/tree.py",
        "tests/test_evaluator.py tests/handlers/test_microcosms.py tests/oracle/test_differential.py",
    ),
    (
        "forumapi/models/attend*.py",
        "tests/handlers/test_attendees.py tests/handlers/test_events.py",
    ),
    (
        "forumapi/models/criterion.py",
        "tests/handlers/test_criteria.py tests/oracle/test_criteria.py",
    ),
    (
        "forumapi/models/member*.py",
        "tests/handlers/test_criteria.py tests/handlers/test_roles.py tests/oracle/test_criteria.py",
    ),
    ("forumapi/models/role*.py", "tests/handlers/test_roles.py tests/handlers/test_criteria.py"),
    (
        "forumapi/models/re[am][ac]*.py",
        "tests/handlers/test_comments.py tests/handlers/test_reactions.py tests/handlers/test_huddles.py",
    ),
    (
        "forumapi/models/comment.py",
        "tests/handlers/test_comments.py tests/handlers/test_conversations.py",
    ),
    ("forumapi/models/huddle*.py", "tests/handlers/test_huddles.py"),
    ("forumapi/models/event*.py", "tests/handlers/test_events.py tests/handlers/test_attendees.py"),
    ("forumapi/models/poll*.py", "tests/handlers/test_polls.py tests/handlers/test_votes.py"),
    (
        "forumapi/models/webhook*.py",
        "tests/webhooks/test_registering.py tests/webhooks/test_delivery.py",
    ),
    ("forumapi/models/update*.py", "tests/handlers/test_updates.py tests/updates/test_dispatch.py"),
    (
        "forumapi/models/search*.py",
        "tests/handlers/test_search.py tests/handlers/test_search_words.py",
    ),
    ("forumapi/models/link.py", "tests/handlers/test_links.py"),
    ("forumapi/models/site*.py", "tests/handlers/test_sites.py tests/handlers/test_hosts.py"),
    ("forumapi/models/sign_in*.py", "tests/auth/test_methods.py tests/auth/test_second_factor.py"),
    ("forumapi/models/auth_backend.py", "tests/auth/test_methods.py tests/auth/test_openid.py"),
    ("forumapi/models/oauth*.py", "tests/auth/test_oauth.py tests/handlers/test_oauth_clients.py"),
    ("forumapi/models/device_code.py", "tests/auth/test_oauth.py"),
    ("forumapi/models/passkey.py", "tests/auth/test_passkeys.py"),
    ("forumapi/models/one_time.py", "tests/auth/test_second_factor.py"),
    ("forumapi/models/bearer.py", "tests/auth/test_passkeys.py tests/auth/test_second_factor.py"),
    ("forumapi/models/own_token.py", "tests/handlers/test_tokens.py"),
    (
        "forumapi/models/access_token.py",
        "tests/auth/test_sign_in.py tests/handlers/test_tokens.py tests/test_cli.py",
    ),
    ("forumapi/models/ban.py", "tests/handlers/test_bans.py"),
    ("forumapi/models/people.py", "tests/handlers/test_people.py tests/handlers/test_profiles.py"),
    ("forumapi/models/profile.py", "tests/handlers/test_profiles.py tests/handlers/test_people.py"),
    ("forumapi/models/user.py", "tests/handlers/test_users.py tests/auth/test_sign_in.py"),
    ("forumapi/models/enrolment.py", "tests/handlers/test_users.py"),
    ("forumapi/models/file.py", "tests/files"),
    ("forumapi/models/attachment.py", "tests/files"),
    ("forumapi/models/live.py", "tests/realtime/test_rights.py tests/realtime/test_socket.py"),
    ("forumapi/models/journal.py", "tests/test_processor.py tests/events"),
    ("forumapi/models/idempotency.py", "tests/test_idempotency.py"),
    ("forumapi/models/kept.py", "tests/test_kept.py tests/test_freshness.py"),
    (
        "forumapi/models/count*.py",
        "tests/handlers/test_microcosms.py tests/handlers/test_huddles.py",
    ),
    (
        "forumapi/models/locate*.py",
        "tests/handlers/test_permission.py tests/handlers/test_permission_batch.py tests/handlers/test_watchers.py",
    ),
    ("forumapi/models/planting.py", "tests/handlers/test_microcosms.py"),
    (
        "forumapi/models/places.py",
        "tests/handlers/test_microcosms.py tests/handlers/test_moving.py",
    ),
    (
        "forumapi/models/writing.py",
        "tests/handlers/test_conversations.py tests/handlers/test_moving.py tests/handlers/test_watchers.py",
    ),
    (
        "forumapi/models/item.py",
        "tests/handlers/test_conversations.py tests/handlers/test_microcosms.py tests/handlers/test_comments.py",
    ),
    (
        "forumapi/models/read_mark.py",
        "tests/handlers/test_comments.py tests/handlers/test_huddles.py tests/handlers/test_microcosms.py",
    ),
    (
        "forumapi/models/tally.py",
        "tests/handlers/test_profiles.py tests/chaos/test_random_writers.py",
    ),
    ("forumapi/models/suppression.py", "tests/updates/test_sending.py"),
    ("forumapi/models/ignore.py", "tests/handlers/test_ignored.py"),
    (
        "forumapi/realtime/*.py",
        "tests/realtime/test_rights.py tests/realtime/test_socket.py tests/realtime/test_streams.py",
    ),
    ("forumapi/updates/dig*.py", "tests/updates/test_digest.py"),
    ("forumapi/updates/[diru]*.py", "tests/updates/test_dispatch.py tests/updates/test_oracle.py"),
    (
        "forumapi/updates/*.py",
        "tests/updates/test_email.py tests/updates/test_mail_permissions.py tests/updates/test_sending.py",
    ),
    ("forumapi/events/*.py", "tests/events tests/realtime/test_socket.py"),
    ("forumapi/webhooks.py", "tests/webhooks/test_delivery.py tests/webhooks/test_permission.py"),
)


def group_of(module: str, operator: str, site_operator: str) -> str:
    """The group that a mutant is counted in."""
    if operator == site_operator:
        return SITES
    if any(fnmatch(module, pattern) for pattern in _PERMISSIONS):
        return PERMISSIONS
    return DELIVERY if any(fnmatch(module, pattern) for pattern in _DELIVERY) else MODELS


def modules(root: Path) -> list[str]:
    """Every module that is mutated; realtime/protocol.py declares shapes alone."""
    return sorted(
        str(path.relative_to(root))
        for pattern in (*_PERMISSIONS, *_DELIVERY, *_MODELS)
        for path in root.glob(pattern)
        if path.name not in ("__init__.py", "protocol.py")
    )


def tests_of(root: Path, module: str, group: str) -> list[str]:
    """The test files that a mutant of a module is held against."""
    if group == SITES:
        return ["tests/test_sql.py"]
    for pattern, files in TESTS:
        if fnmatch(module, pattern):
            return files.split()
    # The tests of a model without a line above are called as it is.
    named = f"tests/handlers/test_{Path(module).stem}"
    found = [f"{named}{end}.py" for end in ("s", "") if (root / f"{named}{end}.py").exists()]
    return found or ["tests/test_processor.py"]
