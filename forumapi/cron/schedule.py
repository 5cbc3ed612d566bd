"""Schedule: the table of all jobs, with due times in UTC; the sixth field of a cron line is the second (platform 8,
P-64).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from forumapi.config import Config
from forumapi.cron import (
    audit_chain_maintenance,
    domain_verification,
    erasures,
    file_cleanup,
    gravatars,
    maintenance_jobs,
    orphaned_huddles,
    redacted_files,
    reminders,
    retention,
    search_indexing,
    site_deletions,
    site_exports,
    site_imports,
    trending,
    usage_billing,
)
from forumapi.database.connections import Transaction

Work = Callable[[Transaction, Config], str]


class RetryPolicy(NamedTuple):
    """Policy of retries after a failure. `times`: most retries of one due time, all before the job's next one;
    `wait_s`: seconds before the first retry, doubled for each further one.
    """

    times: int
    wait_s: int


# For jobs that run every few minutes.
NEXT_TIME: Final = RetryPolicy(0, 0)
WITHIN_THE_HOUR: Final = RetryPolicy(4, 60)  # after 1, 2, 4 and 8 minutes
WITHIN_HOURS: Final = RetryPolicy(6, 120)  # after 2, 4, 8, 16, 32 and 64 minutes


class Job(NamedTuple):
    """Scheduled job. `name`: in task_runs and on the command line; `line`: due times as a cron line, in UTC; `words`:
    the same for people.

    `work` does the job inside the transaction that also records the due time, and returns its result in words, for the
    log. `retry`: policy after a failure.
    """

    name: str
    line: str
    words: str
    work: Work
    retry: RetryPolicy = NEXT_TIME


JOBS: Final = (
    Job("fold_counters", "* * * * * 15", "every minute", maintenance_jobs.fold_counters),
    Job("online_profiles", "* * * * * 30", "every minute", maintenance_jobs.online_profiles),
    Job("event_reminders", "* * * * * 45", "every minute", reminders.event_reminders),
    Job("custom_domains", "* * * * * 40", "every minute", domain_verification.custom_domains),
    Job("trending_scores", "* * * * * 5", "every minute", trending.trending_scores),
    Job("search_documents", "* * * * * 25", "every minute", search_indexing.search_documents),
    Job("search_words", "* * * * * 55", "every minute", search_indexing.search_words),
    Job("gravatars", "* * * * * 35", "every minute", gravatars.gravatars),
    Job("erasures", "* * * * * 0", "every minute", erasures.erasures),
    Job("site_deletions", "* * * * * 5", "every minute", site_deletions.site_deletions),
    Job("redactions", "* * * * * 0", "every minute", redacted_files.redactions),
    Job("due_roles", "* * * * * 50", "every minute", maintenance_jobs.due_roles),
    Job("name_looks", "* * * * * 10", "every minute", maintenance_jobs.name_looks),
    Job("digests", "*/5 * * * * 20", "every five minutes", maintenance_jobs.digests),
    Job("usage_events", "* * * * * 20", "every minute", usage_billing.usage_events),
    Job("retention", "*/10 * * * * 35", "every ten minutes", retention.retention),
    Job(
        "site_statistics",
        "30 * * * * 0",
        "hourly at minute 30",
        maintenance_jobs.site_statistics,
        WITHIN_THE_HOUR,
    ),
    Job(
        "short_lived",
        "20 * * * * 0",
        "hourly at minute 20",
        maintenance_jobs.short_lived,
        WITHIN_THE_HOUR,
    ),
    Job(
        "audit_heads",
        "5 * * * * 30",
        "hourly at minute 5",
        audit_chain_maintenance.audit_heads,
        WITHIN_THE_HOUR,
    ),
    Job(
        "stray_objects",
        "50 * * * * 0",
        "hourly at minute 50",
        file_cleanup.stray_objects,
        WITHIN_THE_HOUR,
    ),
    Job(
        "expired_exports",
        "40 * * * * 0",
        "hourly at minute 40",
        site_exports.expired_exports,
        WITHIN_THE_HOUR,
    ),
    Job(
        "expired_imports",
        "45 * * * * 0",
        "hourly at minute 45",
        site_imports.expired_imports,
        WITHIN_THE_HOUR,
    ),
    Job(
        "event_partitions",
        "10 */6 * * * 0",
        "every six hours",
        maintenance_jobs.event_partitions,
        WITHIN_HOURS,
    ),
    Job(
        "metrics",
        "0 */4 * * * 0",
        "every four hours, in prod only",
        maintenance_jobs.metrics,
        WITHIN_HOURS,
    ),
    Job(
        "microcosm_counts",
        "0 1 * * * 0",
        "daily at 01:00",
        maintenance_jobs.microcosm_counts,
        WITHIN_HOURS,
    ),
    Job("unused_files", "0 2 * * * 0", "daily at 02:00", file_cleanup.unused_files, WITHIN_HOURS),
    Job(
        "expired_credentials",
        "0 3 * * * 0",
        "daily at 03:00",
        maintenance_jobs.expired_credentials,
        WITHIN_HOURS,
    ),
    Job("old_updates", "0 4 * * * 0", "daily at 04:00", maintenance_jobs.old_updates, WITHIN_HOURS),
    Job("old_usage", "30 4 * * * 0", "daily at 04:30", maintenance_jobs.old_usage, WITHIN_HOURS),
    Job(
        "orphaned_huddles",
        "0 5 * * * 0",
        "daily at 05:00",
        orphaned_huddles.orphaned_huddles,
        WITHIN_HOURS,
    ),
    Job(
        "profile_counts",
        "5 5 * * 0 0",
        "Sundays at 05:05",
        maintenance_jobs.profile_counts,
        WITHIN_HOURS,
    ),
)
