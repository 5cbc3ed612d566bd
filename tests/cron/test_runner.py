"""The clock: one leader, each due time once, failures stop nothing."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from forumapi.config import Config, Settings
from forumapi.cron import runner, schedule
from forumapi.cron.runner import LeadsElsewhereError, Runner
from forumapi.cron.schedule import Job, RetryPolicy
from forumapi.database.query import Query
from forumapi.events.lease import Lease
from tests.fixtures import PROJECT

NOTE = Query("test.cron.note", "INSERT INTO cron_notes (task) VALUES (%(task)s)")


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, text: str) -> None:
        self.now = at(text)

    def __call__(self) -> datetime.datetime:
        return self.now


def note(tx, config):
    tx.run(NOTE, task="note")
    return "noted"


def fail(tx, config):
    tx.run(NOTE, task="fail")
    raise ValueError("no luck")


HOURLY = Job("note", "0 * * * * 0", "hourly", note)
FAILING = Job("fail", "0 * * * * 0", "hourly", fail)


@pytest.fixture
def notes(database_url):
    """A table for jobs to write into, and what they wrote."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS cron_notes (task text)")
        connection.execute("TRUNCATE cron_notes, task_runs")

        def written() -> list[str]:
            return [row[0] for row in connection.execute("SELECT task FROM cron_notes")]

        yield written


def runs(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT task, due, outcome, detail FROM task_runs ORDER BY task, due"
        ).fetchall()


def attempts(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT attempts FROM task_runs ORDER BY due")]


def make(url: str, clock: Clock, *jobs: Job) -> Runner:
    return Runner(url, Settings(Config()), jobs, clock)


@pytest.mark.parametrize("job", schedule.JOBS, ids=lambda job: job.name)
def test_every_job_has_a_due_time_a_name_and_words(job):
    assert runner.next_due(job, at("2026-01-01")) > at("2026-01-01")
    assert job.words
    assert job.name == job.work.__name__
    assert job.work.__doc__


@pytest.mark.parametrize(
    ("name", "after", "due"),
    [
        ("online_profiles", "2026-03-29T00:59:31", "2026-03-29T01:00:30"),
        ("site_statistics", "2026-03-29T00:30:00", "2026-03-29T01:30:00"),
        ("metrics", "2026-10-25T00:00:00", "2026-10-25T04:00:00"),
        ("microcosm_counts", "2026-01-01T01:00:00", "2026-01-02T01:00:00"),
        ("profile_counts", "2026-01-01T00:00:00", "2026-01-04T05:05:00"),
    ],
)
def test_jobs_are_due_when_the_table_says_in_utc(name, after, due):
    job = next(job for job in schedule.JOBS if job.name == name)
    assert runner.next_due(job, at(after)) == at(due)


def test_the_last_due_time_may_be_now():
    assert runner.last_due(HOURLY, at("2026-01-01T05:00:00")) == at("2026-01-01T05:00:00")
    assert runner.last_due(HOURLY, at("2026-01-01T04:59:59")) == at("2026-01-01T04:00:00")


@pytest.mark.parametrize("fraction", [".000001", ".5", ".999999"])
def test_a_due_time_a_fraction_of_a_second_ahead_has_not_come(fraction):
    before, after = at(f"2026-01-01T04:59:59{fraction}"), at(f"2026-01-01T05:00:00{fraction}")
    assert runner.last_due(HOURLY, before) == at("2026-01-01T04:00:00")
    assert runner.last_due(HOURLY, after) == at("2026-01-01T05:00:00")


def test_what_never_ran_runs_at_once_in_the_last_second_before_its_next_time_too(
    database_url, notes
):
    clock = Clock("2026-01-01T04:59:59.5")
    assert make(database_url, clock, HOURLY).run_pending() == 0
    assert notes() == ["note"]
    assert [row[1] for row in runs(database_url)] == [at("2026-01-01T04:00:00")]


def test_a_job_and_its_due_time_are_written_together(database_url, notes):
    clock = Clock("2026-01-01T05:00:00")

    assert make(database_url, clock, HOURLY).perform(HOURLY, clock.now) == "noted"

    assert notes() == ["note"]
    assert runs(database_url) == [("note", clock.now, "done", "noted")]


def test_a_due_time_takes_effect_once_however_many_try(database_url, notes):
    clock = Clock("2026-01-01T05:00:00")
    runners = [make(database_url, clock, HOURLY) for _ in range(4)]
    threads = [threading.Thread(target=one.perform, args=[HOURLY, clock.now]) for one in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert notes() == ["note"]


def test_missed_due_times_fold_into_one_run(database_url, notes):
    clock = Clock("2026-01-01T05:00:00")
    before = make(database_url, clock, HOURLY)
    before.perform(HOURLY, clock.now)
    clock.now = at("2026-01-01T11:20:00")
    after = make(database_url, clock, HOURLY)

    after.plan()
    after.run_due(HOURLY)

    assert notes() == ["note", "note"]
    assert [row[1] for row in runs(database_url)] == [
        at("2026-01-01T05:00:00"),
        at("2026-01-01T11:00:00"),
    ]


def test_a_failing_job_leaves_no_effect_is_recorded_and_does_not_stop_the_next(database_url, notes):
    clock = Clock("2026-01-01T05:00:00")
    both = make(database_url, clock, FAILING, HOURLY)

    both.perform(FAILING, clock.now)
    both.perform(HOURLY, clock.now)

    assert notes() == ["note"]
    assert [(row[0], row[2], row[3]) for row in runs(database_url)] == [
        ("fail", "failed", "ValueError: no luck"),
        ("note", "done", "noted"),
    ]


def test_a_job_without_a_rule_is_tried_again_at_its_next_due_time(database_url, notes):
    clock = Clock("2026-01-01T05:00:00")
    first = make(database_url, clock, FAILING)
    first.plan()
    clock.now = at("2026-01-01T06:00:00")
    assert not first.run_due(FAILING)
    second = make(database_url, clock, FAILING)

    second.plan()

    for one in (first, second):
        assert one._due["fail"] == at("2026-01-01T07:00:00")


class Stubborn:
    """Work that fails as often as it is told to."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, tx, config):
        tx.run(NOTE, task="tried")
        if self.left:
            self.left -= 1
            raise ValueError("not yet")
        return "at last"


def stubborn(times: int, tries: int = 3) -> Job:
    return Job("stubborn", "0 * * * * 0", "hourly", Stubborn(times), RetryPolicy(tries, 60))


def test_a_failed_run_is_tried_again_by_its_own_rule_until_it_succeeds(database_url, notes):
    clock = Clock("2026-01-01T04:30:00")
    job = stubborn(2)
    one = make(database_url, clock, job)
    one.plan()
    due = clock.now = at("2026-01-01T05:00:00")

    moments = []
    for _ in range(3):
        done = one.run_due(job)
        moments.append((done, one._due["stubborn"]))
        clock.now = one._due["stubborn"]

    assert moments == [
        (False, at("2026-01-01T05:01:00")),
        (False, at("2026-01-01T05:03:00")),
        (True, at("2026-01-01T06:00:00")),
    ]
    # What failed left nothing; its due time has one row, whatever it took.
    assert notes() == ["tried"]
    assert runs(database_url) == [("stubborn", due, "done", "at last")]
    assert attempts(database_url) == [3]


def test_a_run_that_fails_too_often_waits_for_its_next_due_time(database_url, notes):
    clock = Clock("2026-01-01T04:30:00")
    job = stubborn(99, tries=2)
    one = make(database_url, clock, job)
    one.plan()
    clock.now = at("2026-01-01T05:00:00")
    for _ in range(3):
        one.run_due(job)
        clock.now = one._due["stubborn"]

    assert clock.now == at("2026-01-01T06:00:00")
    assert [row[2] for row in runs(database_url)] == ["failed"]
    assert attempts(database_url) == [3]
    one.run_due(job)
    assert attempts(database_url) == [3, 1]


def test_another_leader_goes_on_where_the_last_one_failed(database_url, notes):
    clock = Clock("2026-01-01T04:30:00")
    job = stubborn(1)
    first = make(database_url, clock, job)
    first.plan()
    clock.now = at("2026-01-01T05:00:00")
    first.run_due(job)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE task_runs SET finished = '2026-01-01T05:00:01Z'")
    second = make(database_url, clock, job)

    second.plan()

    assert second._due["stubborn"] == at("2026-01-01T05:01:01")
    clock.now = at("2026-01-01T05:01:01")
    assert second.run_due(job)
    assert runs(database_url) == [("stubborn", at("2026-01-01T05:00:00"), "done", "at last")]
    assert attempts(database_url) == [2]


def test_a_due_time_that_comes_meanwhile_takes_the_place_of_a_try(database_url, notes):
    clock = Clock("2026-01-01T04:30:00")
    job = stubborn(1)
    one = make(database_url, clock, job)
    one.plan()
    clock.now = at("2026-01-01T05:00:00")
    one.run_due(job)
    clock.now = at("2026-01-01T09:10:00")

    assert one.run_due(job)

    assert [(row[1], row[2]) for row in runs(database_url)] == [
        (at("2026-01-01T05:00:00"), "failed"),
        (at("2026-01-01T09:00:00"), "done"),
    ]


def test_a_clock_that_is_set_back_does_nothing_twice(database_url, notes):
    clock = Clock("2026-01-01T04:30:00")
    one = make(database_url, clock, HOURLY)
    one.plan()
    clock.now = at("2026-01-01T05:00:00")
    one.run_due(HOURLY)
    clock.now = at("2026-01-01T04:00:00")
    again = make(database_url, clock, HOURLY)
    again.plan()
    assert again._due["note"] == at("2026-01-01T06:00:00")
    assert again.perform(HOURLY, at("2026-01-01T05:00:00")) == ""
    assert notes() == ["note"]


def test_runs_of_a_clock_that_was_ahead_keep_nothing_back(database_url, notes):
    clock = Clock("2027-06-01T05:00:00")
    make(database_url, clock, HOURLY).run_pending()
    clock.now = at("2026-01-01T04:30:00")
    leader = make(database_url, clock, HOURLY)
    leader.plan()
    assert leader._due["note"] == at("2026-01-01T05:00:00")
    assert make(database_url, clock, HOURLY).run_pending() == 0
    clock.now = at("2026-01-01T05:30:00")
    assert make(database_url, clock, HOURLY).run_pending() == 0
    assert notes() == ["note"] * 3


@pytest.mark.wide
def test_a_leader_whose_clock_is_set_back_plans_anew(database_url, notes):
    every_second = Job("note", "* * * * * *", "every second", note)
    clock = Clock("2027-06-01T05:00:00")
    leader = make(database_url, clock, every_second)
    assert leader._lease.take()
    thread = threading.Thread(target=leader.lead)
    thread.start()
    deadline = time.monotonic() + 30
    while "note" not in leader._due and time.monotonic() < deadline:
        time.sleep(0.01)
    clock.now = at("2026-01-01T05:00:00")
    while leader._due["note"] > at("2026-01-02") and time.monotonic() < deadline:
        time.sleep(0.01)
    leader.stop()
    thread.join(30)
    leader._lease.release()

    assert leader._due["note"] <= at("2026-01-02")


def test_what_is_due_is_run_once_for_who_has_a_scheduler_of_their_own(database_url, notes):
    clock = Clock("2026-01-01T05:00:10")
    assert make(database_url, clock, HOURLY, FAILING).run_pending() == 1
    assert notes() == ["note"]
    assert make(database_url, clock, HOURLY).run_pending() == 0
    clock.now = at("2026-01-01T08:00:00")
    assert make(database_url, clock, HOURLY).run_pending() == 0
    assert notes() == ["note", "note"]
    leader = Lease("cron", database_url)
    assert leader.take()
    with pytest.raises(LeadsElsewhereError):
        make(database_url, clock, HOURLY).run_pending()
    leader.release()


@pytest.mark.wide
def test_a_leader_that_is_frozen_before_its_commit_is_replaced_and_can_not_commit(
    database_url, notes
):
    clock = Clock("2026-01-01T05:00:10")
    frozen = subprocess.Popen(
        [sys.executable, "-m", "tests.cron.frozen", database_url],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert frozen.stdout is not None
    try:
        assert frozen.stdout.readline() == "frozen\n"
        deadline = time.monotonic() + 30
        while True:
            try:
                assert make(database_url, clock, HOURLY).run_pending() == 0
            except LeadsElsewhereError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                break
        assert notes() == ["note"]
        frozen.send_signal(signal.SIGCONT)
        assert frozen.stdout.readline() == "1 failed\n"
    finally:
        frozen.kill()
        frozen.wait()

    assert notes() == ["note"]
    assert [row[2:] for row in runs(database_url)] == [("done", "noted")]


def test_only_one_leads_and_another_takes_over_when_it_is_gone(database_url):
    first, second = Lease("cron", database_url), Lease("cron", database_url)

    assert first.take()
    assert not second.take()
    assert first.holds()
    first.release()
    assert not first.holds()
    assert second.take()
    second.release()


@pytest.mark.wide
def test_a_leader_whose_connection_was_cut_knows_it(database_url):
    leader, standby = Lease("cron", database_url), Lease("cron", database_url)
    assert leader.take()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(backend) FROM leases WHERE name = 'cron'")

    deadline = time.monotonic() + 60
    while not standby.take():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while leader.holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    standby.release()
    leader.release()


@pytest.mark.wide
@pytest.mark.slow
def test_the_process_runs_what_falls_due_and_ends_when_asked(database_url, notes):
    every_second = Job("note", "* * * * * *", "every second", note)
    process = Runner(database_url, Settings(Config()), [every_second])
    thread = threading.Thread(target=process.run)
    thread.start()
    deadline = time.monotonic() + 60
    while len(notes()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.stop()
    thread.join(60)

    assert not thread.is_alive()
    assert 2 <= len(notes()) == len(runs(database_url))


@pytest.mark.wide
@pytest.mark.slow
def test_another_process_takes_over_within_five_seconds_of_a_kill(database_url, tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
    env = kept | {
        "FORUMAPI_DATABASE_URL": database_url,
        "FORUMAPI_DATA_DIR": str(tmp_path),
        "FORUMAPI_PLATFORM_DOMAIN": "forum.test",
        "FORUMAPI_LOG_LEVEL": "info",
    }
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    started: list[subprocess.Popen[bytes]] = []

    def leads(log: Path, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if "this process leads" in log.read_text():
                return True
            time.sleep(0.02)
        return False

    try:
        for log in logs:
            with log.open("wb") as output:
                started.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "forumapi", "cron"],
                        env=env,
                        stdout=output,
                        stderr=output,
                        cwd=PROJECT,
                    )
                )
            if log is logs[0]:
                assert leads(log, 30)
        time_out = time.monotonic() + 30
        while "started with" not in logs[1].read_text() and time.monotonic() < time_out:
            time.sleep(0.02)
        assert "this process leads" not in logs[1].read_text()
        started[0].kill()
        assert leads(logs[1], 5)
    finally:
        for process in started:
            process.kill()
            process.wait()


FAKETIME = shutil.which("faketime")


@pytest.mark.wide
@pytest.mark.skipif(FAKETIME is None, reason="faketime is not installed (make testdb installs it)")
@pytest.mark.parametrize("offset", ["+600s", "-3600s"])
def test_due_times_are_those_of_the_database_where_the_clock_of_the_machine_is_off(
    database_url: str, offset: str
) -> None:
    told = (
        "import datetime, sys; from forumapi.events.lease import Lease; lease = Lease('cron', sys.argv[1]);"
        " lease.take();"
        "print(lease.now().isoformat(), datetime.datetime.now(datetime.UTC).isoformat())"
    )
    before = datetime.datetime.now(datetime.UTC)
    done = subprocess.run(
        [str(FAKETIME), "-f", offset, sys.executable, "-c", told, database_url],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    after = datetime.datetime.now(datetime.UTC)

    ours, machine = (datetime.datetime.fromisoformat(text) for text in done.stdout.split())
    assert before <= ours <= after
    assert not before <= machine <= after
