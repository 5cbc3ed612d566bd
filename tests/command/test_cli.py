"""The command line, as an operator uses it: exit codes, what is printed, what is true afterwards."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from forumapi import config
from forumapi.command import cli, run_everything
from forumapi.config import Config
from forumapi.cron import schedule
from tests.api import Api
from tests.factories import Factory, Site
from tests.models.journal.chains import KEY, chain, sign


@pytest.fixture
def forumapi(database_url: str, tmp_path: Path, monkeypatch, capsys):
    """Runs a command against the test's database; (exit code, standard output, standard error)."""
    file = tmp_path / "forumapi.toml"
    file.write_text(config.resource("etc/forumapi.toml").read_text())
    monkeypatch.setenv("FORUMAPI_CONFIG", str(file))
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", database_url)
    monkeypatch.setenv("FORUMAPI_DATA_DIR", str(tmp_path / "var"))

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = cli.main(arguments)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def commands(parser=None, path=()):
    """Every command there is, as its words."""
    parser = parser or cli.parser()
    groups = [action for action in parser._actions if hasattr(action, "choices") and action.choices]
    below = next((group.choices for group in groups if isinstance(group.choices, dict)), {})
    if not below:
        return [path]
    return [words for name, one in below.items() for words in commands(one, (*path, name))]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help(forumapi, words):
    code, out, _ = forumapi(*words, "--help")
    assert code == 0
    assert f"usage: forumapi {' '.join(words)}" in out


@pytest.mark.parametrize(
    "words", [(), ("rnu",), ("config",), ("seed", "--size", "XL"), ("token", "create")], ids=str
)
def test_a_command_called_wrongly_is_exit_code_2(forumapi, words):
    code, _, err = forumapi(*words)
    assert code == 2
    assert "usage:" in err


def test_a_bad_setting_stops_every_command_with_its_name(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_WORKERS", "many")
    code, _, err = forumapi("site", "list")
    assert code == 1
    assert "FORUMAPI_WORKERS" in err


# ---------------------------------------------------------------- settings


def test_config_show_shows_every_setting_and_no_secret(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_SMTP_URL", "smtp://me:hunter2@mail.example")
    code, out, _ = forumapi("config", "show", "--notes")

    assert code == 0
    assert "hunter2" not in out
    for name in config.SETTINGS:
        assert f"\n{name} = " in out
        assert config.note(name) in out


@pytest.mark.wide
def test_config_get_prints_the_value_alone(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_MEMCACHED", "a:1,b:2")
    assert forumapi("config", "get", "workers")[:2] == (0, "0\n")
    assert forumapi("config", "get", "database_prepare")[:2] == (0, "true\n")
    assert forumapi("config", "get", "memcached")[:2] == (0, "a:1,b:2\n")
    code, _, err = forumapi("config", "get", "wrokers")
    assert (code, "did you mean workers?" in err) == (1, True)


@pytest.mark.wide
@pytest.mark.slow
def test_config_set_writes_and_says_what_it_takes(forumapi):
    code, out, _ = forumapi("config", "set", "token_days", "30")
    assert (code, "SIGHUP" in out) == (0, True)
    assert forumapi("config", "get", "token_days")[1] == "30\n"
    assert "no request is lost" in forumapi("config", "set", "workers", "3")[1]
    assert "next start" in forumapi("config", "set", "listen", "127.0.0.1:81")[1]
    assert forumapi("config", "set", "token_days", "-1")[0] == 1
    assert "goes before it" in forumapi("config", "set", "data_dir", "/srv")[1]


def test_config_set_takes_an_old_name(forumapi, monkeypatch):
    assert forumapi("config", "set", "sites_per_user", "5")[:2] == (
        0,
        "written; SIGHUP to the web and the cron process applies it\n",
    )
    assert forumapi("config", "get", "max_sites_per_user")[1] == "5\n"
    for variable in ("FORUMAPI_SITES_PER_USER", "FORUMAPI_MAX_SITES_PER_USER"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "7")
            for name in ("sites_per_user", "max_sites_per_user"):
                told = forumapi("config", "set", name, "6")[1]
                assert told == f"written, but {variable} in the environment goes before it\n"


def test_config_set_writes_nothing_where_no_settings_file_is_named(forumapi, monkeypatch):
    came_along = config.resource("etc/forumapi.toml")
    before = came_along.read_text()
    monkeypatch.delenv("FORUMAPI_CONFIG")
    code, out, err = forumapi("config", "set", "token_days", "30")

    assert (code, out) == (1, "")
    assert "FORUMAPI_CONFIG" in err and "--config" in err
    assert came_along.read_text() == before


def test_config_check_says_what_is_not_at_its_default(forumapi):
    code, out, _ = forumapi("config", "check")
    assert code == 0
    assert "data_dir = " in out
    assert "token_days" not in out


# ---------------------------------------------------------------- one plain line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'environment = "prod\n', "line 1"),
        (b"workers = 1\n\nworkers = 2\n", "line 3"),
        (b"[server]\nworkers = 2\n", "server"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_broken_settings_file_is_one_line_that_says_where(forumapi, tmp_path, text, said):
    file = tmp_path / "broken.toml"
    file.write_bytes(text)
    code, _, err = forumapi("--config", str(file), "run")

    assert (code, err.count("\n")) == (1, 1)
    assert str(file) in err and said in err
    assert "\\u" not in err and "codec" not in err


@pytest.mark.wide
def test_a_folder_that_can_not_be_written_is_one_line(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_PLATFORM_DOMAIN", "forum.example")
    # An address that nobody has: what gets that far ends there.
    monkeypatch.setenv("FORUMAPI_LISTEN", "192.0.2.1:80")
    monkeypatch.setenv("FORUMAPI_DATA_DIR", "/proc/nowhere")
    for said in started(forumapi, ["run", "--open-to-others"], ["hold"]):
        assert "/proc/nowhere: " in said
        assert "data_dir" in said


@pytest.mark.wide
def test_an_address_that_is_taken_is_one_line(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_PLATFORM_DOMAIN", "forum.example")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("FORUMAPI_LISTEN", address)
        for said in started(forumapi, ["run"], ["serve"], ["hold"]):
            assert f"{address}: Address already in use" in said
            assert "FORUMAPI_LISTEN" in said
    monkeypatch.setenv("FORUMAPI_LISTEN", "unix:/nowhere/forumapi.sock")
    (said,) = started(forumapi, ["serve"])
    assert "unix:/nowhere/forumapi.sock: No such file or directory" in said


# ---------------------------------------------------------------- database


@pytest.mark.wide
@pytest.mark.slow
def test_migrate_check_is_exit_code_1_while_something_is_pending(
    forumapi, monkeypatch, empty_database
):
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", empty_database)

    code, out, _ = forumapi("migrate", "--check")
    assert (code, "pending: 0001_initial" in out) == (1, True)
    code, _, err = forumapi("site", "list")
    assert (code, "not migrated" in err) == (1, True)
    assert forumapi("migrate")[0] == 0
    assert forumapi("migrate", "--check") == (0, "", "")
    assert forumapi("migrate")[1] == "nothing to do\n"


@pytest.mark.wide
def test_a_database_that_is_away_is_said_in_one_line(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    for words in (("migrate",), ("site", "list"), ("cron", "run", "metrics"), ("cron", "list")):
        code, _, err = forumapi(*words)
        assert code == 1, words
        assert err.startswith("forumapi: "), words
        assert "Traceback" not in err


def test_serve_and_cron_say_what_to_do_without_a_database(forumapi, monkeypatch):
    monkeypatch.delenv("FORUMAPI_DATABASE_URL")
    monkeypatch.setenv("FORUMAPI_ENVIRONMENT", "development")
    code, _, err = forumapi("cron")
    assert (code, "forumapi run" in err) == (1, True)


@pytest.mark.wide
@pytest.mark.slow
def test_a_job_can_be_run_by_hand_and_its_runs_are_kept(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_PLATFORM_DOMAIN", "forum.example")
    code, out, _ = forumapi("cron", "run", "site_statistics")
    assert (code, "sites" in out) == (0, True)
    assert forumapi("cron", "run", "nothing")[0] == 1
    assert forumapi("cron", "run")[0] == 1
    (run, *_) = json.loads(forumapi("cron", "history", "site_statistics", "--json")[1])
    assert (run["job"], run["outcome"], run["tries"]) == ("site_statistics", "done", 1)
    assert run["what it did"] == out.strip()
    assert forumapi("cron", "history", "nothing")[0] == 1


@pytest.mark.wide
@pytest.mark.slow
def test_the_schedule_is_a_table_with_words_the_latest_run_and_what_is_next(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_PLATFORM_DOMAIN", "forum.example")
    forumapi("cron", "run", "profile_counts")
    listed = {job["job"]: job for job in json.loads(forumapi("cron", "list", "--json")[1])}
    assert set(listed) == {job.name for job in schedule.JOBS}
    one = listed["profile_counts"]
    assert (one["schedule"], one["in words, UTC"]) == ("5 5 * * 0 0", "Sundays at 05:05")
    assert one["outcome"] == "done"
    assert one["next"].endswith("05:05:00")
    assert all(job["what it does"].endswith(".") for job in listed.values())
    head, *lines = forumapi("cron", "list")[1].splitlines()
    assert head.split()[:3] == ["job", "schedule", "in"]
    assert len(lines) == len(schedule.JOBS)


@pytest.mark.wide
@pytest.mark.slow
def test_what_is_due_can_be_run_without_a_process_that_stays(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_PLATFORM_DOMAIN", "forum.example")
    assert forumapi("cron", "--once")[0] == 0
    runs = json.loads(forumapi("cron", "history", "--json", "--limit", "10000")[1])
    assert {job.name for job in schedule.JOBS} <= {run["job"] for run in runs}


# ---------------------------------------------------------------- sites, bans, tokens


@pytest.mark.wide
def test_a_site_is_made_with_its_owner_and_listed(forumapi):
    code, out, _ = forumapi(
        "site", "create", "gardens", "--title", "Gardens", "--owner", "gardener@example.test"
    )
    assert (code, "gardens.localhost" in out) == (0, True)

    sites = json.loads(forumapi("site", "list", "--json")[1])
    made = next(site for site in sites if site["key"] == "gardens")
    assert (made["title"], made["owner"], made["state"]) == (
        "Gardens",
        "gardener@example.test",
        "live",
    )
    assert "gardens" in forumapi("site", "list")[1]


@pytest.mark.parametrize("key", ["api", "_._", "root"])
def test_a_site_needs_a_free_and_well_formed_key(forumapi, key):
    code, _, err = forumapi("site", "create", key, "--title", "T", "--owner", "o@example.test")
    assert (code, err.startswith("forumapi: ")) == (1, True)


@pytest.mark.wide
def test_a_token_is_made_by_address_or_by_profile_and_works(forumapi, make: Factory, api, bikes):
    by_email = forumapi("token", "create", "--email", bikes.member.email)[1].strip()
    by_profile = json.loads(
        forumapi("token", "create", "--site", bikes.key, "--profile", "member", "--json")[1]
    )["token"]

    for secret in (by_email, by_profile):
        assert len(secret) == 128
        answer = api.get(
            "/api/v1/whoami", site=bikes, headers={"Authorization": f"Bearer {secret}"}
        )
        assert answer.data["id"] == bikes.member.id


@pytest.mark.wide
def test_a_token_is_limited_to_scopes(forumapi, api, bikes):
    words = ("token", "create", "--email", bikes.member.email, "--name", "reader", "--scope")
    secret = forumapi(*words, "conversations:read", "--scope", "comments:read")[1].strip()

    assert api.get("/api/v1/conversations", site=bikes, token=secret).status == 200
    assert api.get("/api/v1/whoami", site=bikes, token=secret).data["scope"] == "profile:read"
    listed = json.loads(forumapi("token", "list", "--email", bikes.member.email, "--json")[1])
    made = next(token for token in listed if token["name"] == "reader")
    assert (made["kind"], made["scopes"]) == ("key", "comments:read conversations:read")
    code, _, err = forumapi(*words, "everything")
    assert (code, "there is no scope everything" in err) == (1, True)
    for name in ("", "x" * 1000):
        code, _, err = forumapi("token", "create", "--email", bikes.member.email, "--name", name)
        assert (code, "name" in err) == (1, True)


def test_a_period_before_the_calendar_is_refused(forumapi, bikes):
    words = ("site", "usage", bikes.key, "--until", "0001-01-02T00:00:00Z")
    code, _, err = forumapi(*words)
    assert (code, "--since" in err) == (1, True), err


@pytest.mark.wide
def test_tokens_are_listed_without_their_secrets_and_revoked(forumapi, bikes):
    secret = forumapi("token", "create", "--email", bikes.member.email, "--name", "phone")[
        1
    ].strip()
    code, out, _ = forumapi("token", "list", "--email", bikes.member.email, "--json")
    listed = json.loads(out)
    phone = next(token for token in listed if token["name"] == "phone")

    assert code == 0
    assert secret not in out
    assert secret.startswith(phone["prefix"])
    assert forumapi("token", "revoke", "--id", str(phone["id"]))[1] == "1 tokens revoked\n"
    assert forumapi("token", "revoke", "--secret", secret)[0] == 1
    assert forumapi("token", "revoke")[0] == 1


@pytest.mark.wide
@pytest.mark.slow
def test_the_one_asked_for_must_exist(forumapi, bikes):
    for words in (
        ("token", "create", "--email", "none@example.test"),
        ("token", "create", "--site", bikes.key, "--profile", "nosuchname"),
        ("token", "create", "--site", "nosuchsite", "--profile", "member"),
        ("token", "create", "--profile", "member"),
        ("ban", "add", "--email", bikes.member.email),
    ):
        code, _, err = forumapi(*words)
        assert (code, err.startswith("forumapi: ")) == (1, True), words


@pytest.mark.wide
def test_a_ban_is_made_listed_and_lifted(forumapi, make: Factory):
    site = make.site()
    who = ("--site", site.key, "--profile", "newcomer")

    assert forumapi("ban", "add", *who, "--days", "3", "--reason", "Cool down")[0] == 0
    bans = json.loads(forumapi("ban", "list", "--site", site.key, "--json")[1])
    found = next(ban for ban in bans if ban["profile_name"] == "newcomer")
    assert (found["display_reason"], found["site_id"]) == ("Cool down", site.id)
    assert forumapi("ban", "add", *who, "--reason", "<b>A & B</b>", "--note", "1 < 2")[0] == 0
    bans = json.loads(forumapi("ban", "list", "--site", site.key, "--json")[1])
    reasons = [ban["display_reason"] for ban in bans if ban["profile_name"] == "newcomer"]
    assert "A &amp; B" in reasons
    code, _, err = forumapi("ban", "add", *who, "--reason", "x" * 10_000)
    assert (code, "reason" in err) == (1, True)
    assert forumapi("ban", "lift", *who)[1] == "2 bans lifted\n"
    assert forumapi("ban", "lift", *who)[0] == 1


def test_the_owner_of_a_site_is_not_banned_from_it(forumapi, make: Factory):
    site = make.site()
    assert forumapi("ban", "add", "--site", site.key, "--profile", "owner")[0] == 1


@pytest.mark.wide
def test_an_email_domain_is_banned_and_let_in_again(forumapi, make: Factory):
    site = make.site()
    domain = f"{site.key}.test"
    assert forumapi("ban", "add", "--site", site.key, "--domain", f"@{domain}")[0] == 0
    bans = json.loads(forumapi("ban", "list", "--site", site.key, "--json")[1])
    assert domain in [ban["domain"] for ban in bans]
    assert forumapi("ban", "add", "--site", site.key, "--domain", "no domain")[0] == 1
    assert forumapi("ban", "lift", "--site", site.key, "--domain", domain)[1] == "1 bans lifted\n"
    assert forumapi("ban", "lift", "--site", site.key, "--domain", domain)[0] == 1


@pytest.mark.wide
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_ban_of_their_domain_is_recorded_of_all_but_the_owner(
    forumapi, make: Factory, everywhere: bool
):
    site = make.site()
    where = ("--everywhere",) if everywhere else ("--site", site.key)
    for verb in ("add", "lift"):
        assert forumapi("ban", verb, *where, "--domain", f"{site.key}.test")[0] == 0

    recorded = make.sql(
        "SELECT item_id FROM audit_log WHERE site_id = %(id)s AND detail ->> 'verb' IN ('ban', 'lift')",
        id=site.id,
    )
    assert recorded.count((site.member.id,)) == 2
    assert (site.owner.id,) not in recorded


@pytest.mark.wide
def test_options_and_legal_texts_of_a_site(forumapi, make: Factory, tmp_path: Path):
    site = make.site()
    code, shown, _ = forumapi("site", "options", site.key, "--json")
    assert code == 0
    assert json.loads(shown) == [
        {
            "members_create_microcosms": False,
            "send_email": True,
            "send_sms": False,
            "agents": "off",
            "members_make_bots": False,
            "second_factor": False,
        }
    ]
    changed = ("--members-create-microcosms", "yes", "--second-factor", "yes", "--send-email", "no")
    changed_to = (*changed, "--agents", "draft", "--members-make-bots", "yes", "--json")
    shown = json.loads(forumapi("site", "options", site.key, *changed_to)[1])
    assert shown[0] == {
        "members_create_microcosms": True,
        "send_email": False,
        "send_sms": False,
        "agents": "draft",
        "members_make_bots": True,
        "second_factor": True,
    }
    assert forumapi("site", "options", "nosuchsite")[0] == 1

    text = tmp_path / "terms.html"
    text.write_text("<p>Be kind on $site_title</p><script>x()</script>")
    packaged = forumapi("site", "legal", site.key, "terms")[1]
    assert forumapi("site", "legal", site.key, "terms", "--file", str(text))[0] == 0
    assert forumapi("site", "legal", site.key, "terms")[1] == "<p>Be kind on $site_title</p>\n"
    link = ("--link", "https://club.example/terms")
    assert forumapi("site", "legal", site.key, "terms", *link)[1] == f"{link[1]}\n"
    assert forumapi("site", "legal", site.key, "terms", "--reset")[1] == packaged
    assert forumapi("site", "legal", site.key, "service")[0] == 1
    assert forumapi("site", "legal", site.key, "terms", "--link", "nowhere")[0] == 1
    assert forumapi("site", "legal", site.key, "terms", "--file", str(tmp_path / "none"))[0] == 1
    assert forumapi("site", "legal", site.key, "terms", *link, "--consent", "ask")[0] == 0
    assert forumapi("site", "legal", site.key, "terms", *link)[0] == 1
    assert forumapi("site", "legal", site.key, "terms", *link, "--consent", "none")[0] == 0
    assert forumapi("site", "legal", site.key, "terms", "--consent", "ask")[0] == 1
    assert forumapi("site", "legal", "root", "service", *link)[0] == 0
    assert forumapi("site", "legal", "root", "service", "--reset")[0] == 0


@pytest.mark.wide
def test_a_site_gets_an_owner_the_platforms_own_too(forumapi, make: Factory):
    site = make.site()
    address = f"root@{site.key}.test"
    for key, name in (("root", "root"), (site.key, "user")):
        for _ in range(2):
            assert forumapi("site", "owner", key, "--email", address)[0] == 0
        sites = json.loads(forumapi("site", "list", "--json")[1])
        assert next(one["owner"] for one in sites if one["key"] == key) == address
        ((found,),) = make.sql(
            """SELECT p.profile_name FROM sites s
                 JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
                WHERE s.subdomain_key = %(key)s""",
            key=key,
        )
        assert found.startswith(name)
    assert forumapi("site", "owner", "nosuchsite", "--email", address)[0] == 1
    assert forumapi("site", "owner", site.key, "--email", "nonsense")[0] == 1


@pytest.mark.wide
@pytest.mark.slow
def test_a_spammers_posts_go_with_the_ban_and_the_counters_follow(forumapi, make: Factory):
    site = make.site()
    make.comments(make.conversation(site, by=site.newcomer), 2, by=site.newcomer)
    chat = make.conversation(site)
    make.comment(chat, by=site.newcomer)
    kept = [make.comment(chat, by=site.member)]
    huddle = make.huddle(site.member, site.newcomer)
    make.comment(huddle, by=site.newcomer)
    kept.append(make.comment(huddle, by=site.member))

    code, out, _ = forumapi(
        "ban", "add", "--site", site.key, "--profile", "newcomer", "--delete-posts"
    )

    assert (code, "5 items and comments deleted" in out) == (0, True)
    left = make.sql(
        "SELECT comment_id FROM comments c WHERE site_id = %(id)s AND NOT is_deleted", id=site.id
    )
    assert sorted(left) == [(comment.id,) for comment in kept]
    assert make.sql(
        "SELECT comment_count FROM items i WHERE site_id = %(id)s AND item_id = %(huddle)s",
        id=site.id,
        huddle=huddle.id,
    ) == [(1,)]
    make.fold(site)
    counted = make.sql(
        "SELECT item_count, comment_count FROM microcosm_counts WHERE microcosm_id = %(id)s",
        id=site.root_id,
    )
    assert counted == [(1, 1)]


@pytest.mark.wide
@pytest.mark.slow
def test_posts_that_went_with_a_ban_come_back_by_an_undo(forumapi, make: Factory, api: Api):
    site = make.site()
    chat = make.conversation(site)
    said = make.comments(chat, 60, by=site.newcomer)
    make.conversation(site, by=site.newcomer)
    code, out, _ = forumapi(
        "ban",
        "add",
        "--site",
        site.key,
        "--profile",
        "newcomer",
        "--delete-posts",
        "--reason",
        "Spam",
    )
    assert code == 0
    (id,) = re.findall(r"action (\d+)", out)
    shown = api.get(f"/api/v1/actions/{id}", by=site.moderator).data
    assert (shown["state"], shown["kind"], shown["counts"]["done"]) == ("done", "delete", 61)
    assert (shown["createdBy"], shown["reason"]) == (None, "Spam")
    assert make.sql(
        """SELECT DISTINCT a.profile_id, a.detail ->> 'verb', a.detail ? 'operator' FROM audit_log a
            WHERE a.site_id = %(s)s AND a.item_type_id = 4 AND a.item_id = ANY(%(ids)s) AND a.detail ? 'verb'""",
        s=site.id,
        ids=[one.id for one in said],
    ) == [(None, "delete", True)]
    undone = api.post(f"/api/v1/actions/{id}/undo", {}, by=site.moderator).data
    assert undone["counts"]["undone"] == 61
    assert api.get(chat.path, by=site.member).data["comments"]["total"] == 60


def audited(make: Factory, site: Site) -> list[tuple[object, ...]]:
    """(what, which, who, verb, whether an operator's account is named) of the site's audit, without its making."""
    return make.sql(
        """SELECT a.item_type_id, a.item_id, a.profile_id, a.action, a.detail ->> 'verb', a.detail ? 'operator'
             FROM audit_log a
            WHERE a.site_id = %(id)s AND a.audit_id > %(after)s ORDER BY a.item_type_id, a.item_id, a.audit_id""",
        id=site.id,
        after=make.sql(
            "SELECT max(audit_id) FROM audit_log WHERE site_id = %(id)s AND action = 'C'",
            id=site.id,
        )[0][0],
    )


@pytest.mark.wide
@pytest.mark.slow
def test_the_audit_of_bans_has_an_entry_for_each_thing_and_names_the_operator(
    forumapi, make: Factory
):
    site = make.site()
    chat = make.conversation(site, by=site.newcomer)
    comments = make.comments(make.conversation(site), 62, by=site.newcomer)
    huddle = make.huddle(site.member, site.newcomer)
    where = ("--site", site.key)

    out = forumapi(
        "ban", "add", *where, "--profile", "newcomer", "--reason", "Spam", "--delete-posts"
    )[1]
    assert "63 items and comments deleted" in out
    assert forumapi("ban", "lift", *where, "--profile", "newcomer")[0] == 0
    domain = site.member.email.partition("@")[2]
    assert forumapi("ban", "add", *where, "--domain", domain)[0] == 0
    assert forumapi("ban", "lift", *where, "--domain", domain)[0] == 0
    everywhere = ("--everywhere", "--email", site.newcomer.email)
    assert forumapi("ban", "add", *everywhere)[0] == 0
    assert forumapi("ban", "lift", *everywhere)[0] == 0

    found = audited(make, site)
    rows = make.sql(
        """SELECT p.profile_id FROM profiles p JOIN users u USING (user_id)
            WHERE p.site_id = %(id)s AND u.email LIKE '%%@' || %(domain)s""",
        id=site.id,
        domain=domain,
    )
    # No ban shuts the owner out.
    people = [row[0] for row in rows if row[0] != site.owner.id]
    expected = [
        *((3, site.newcomer.id, None, "U", verb, True) for verb in ("ban", "lift", "ban", "lift")),
        *((3, id, None, "U", verb, True) for id in people for verb in ("ban", "lift")),
        *((4, comment.id, None, "U", "delete", True) for comment in comments),
        (5, huddle.id, None, "U", "leave", True),
        (6, chat.id, None, "U", "delete", True),
    ]
    assert sorted(map(str, found)) == sorted(map(str, expected))


@pytest.mark.wide
def test_the_audit_is_verified_listed_and_erased(
    forumapi, make: Factory, database_url: str, monkeypatch, caplog
):
    monkeypatch.setenv("FORUMAPI_AUDIT_KEY", KEY)
    site = make.site()
    make.comments(make.conversation(site, by=site.owner), 3, by=site.member)
    chain(make, database_url, site)
    head = sign(make, site)
    verify = ("audit", "verify", "--site", site.key)

    code, out, _ = forumapi(*verify, str(head))
    assert (code, f"{head.number} entries, 1 to {head.number}" in out) == (0, True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"12:00 audit head {head}\nsomething else\n"))
    code, out, _ = forumapi(*verify, "-", "--json")
    assert [(one["signed"], one["faults"]) for one in json.loads(out)] == [(str(head), [])]
    assert forumapi("audit", "verify", "nonsense")[0] == 1
    listed = json.loads(
        forumapi("audit", "list", "--site", site.key, "--profile", str(site.member.id), "--json")[1]
    )
    assert [one["type"] for one in listed[:3]] == ["comment"] * 3
    code, out, _ = forumapi("audit", "erase", "--site", site.key, "--profile", str(site.member.id))
    assert (code, "details of 4 entries erased" in out) == (0, True)
    assert forumapi(*verify, str(head))[0] == 0
    make.sql(
        "UPDATE audit_entries SET actor_id = actor_id + 1 WHERE site_id = %(id)s AND number = 2 RETURNING 1",
        id=site.id,
    )
    code, out, _ = forumapi(*verify)
    assert (code, "  entry 2 was changed\n" in out) == (1, True)
    # Of a site that is not in the tables at all a head still tells.
    gone = head._replace(site_id=987_654)
    code, out, _ = forumapi("audit", "verify", str(gone))
    assert (code, "site 987654" in out) == (1, True)


@pytest.mark.wide
def test_an_application_is_registered_listed_and_removed(forumapi, make: Factory):
    code, secret, _ = forumapi("client", "create", "Our pages")
    assert code == 0
    assert re.fullmatch(r"[A-Za-z0-9]{128}\n", secret)
    made = json.loads(forumapi("client", "create", "Our app", "--json")[1])
    assert (made["name"], len(made["clientSecret"])) == ("Our app", 128)

    _, out, _ = forumapi("client", "list", "--json")
    by_name = {one["name"]: one for one in json.loads(out)}
    assert by_name["Our app"]["id"] == made["clientId"]
    assert secret.strip() not in out
    assert made["clientSecret"] not in out
    assert forumapi("client", "remove", str(made["clientId"]))[0] == 0
    assert "Our app" not in forumapi("client", "list")[1]
    assert forumapi("client", "remove", str(made["clientId"]))[0] == 1
    for name in ("", " ", "x" * 51):
        code, _, err = forumapi("client", "create", name)
        assert (code, "name" in err) == (1, True)


def tokens_of(make: Factory, client_id: int) -> int:
    """Return how many tokens an application has got for people."""
    return int(
        make.sql("SELECT count(*) FROM access_tokens WHERE client_id = %(c)s", c=client_id)[0][0]
    )


@pytest.mark.wide
@pytest.mark.parametrize("keeps", [False, True])
def test_with_an_application_go_its_tokens_unless_they_are_kept(
    forumapi, make: Factory, keeps: bool
):
    site = make.site()
    made = json.loads(forumapi("client", "create", "Pages", "--json")[1])
    make.sql(
        "UPDATE access_tokens SET client_id = %(c)s WHERE user_id = %(u)s",
        c=made["clientId"],
        u=site.member.user_id,
    )
    assert tokens_of(make, made["clientId"]) == 1
    listed = json.loads(forumapi("client", "list", "--json")[1])
    assert [one["tokens"] for one in listed if one["id"] == made["clientId"]] == [1]
    words = ["client", "remove", str(made["clientId"]), *(["--keep-tokens"] if keeps else [])]
    assert forumapi(*words)[0] == 0

    left = make.sql(
        "SELECT count(*) FROM access_tokens WHERE user_id = %(u)s", u=site.member.user_id
    )
    assert left == [(int(keeps),)]


@pytest.mark.wide
def test_a_client_of_a_site_is_not_the_operators_to_remove(forumapi, make: Factory):
    site = make.site()
    ((client_id,),) = make.sql(
        "INSERT INTO oauth_clients (site_id, created_by, name, secret_hash)"
        " VALUES (%(s)s, %(p)s, 'Theirs', 'x') RETURNING client_id",
        s=site.id,
        p=site.owner.id,
    )
    assert forumapi("client", "remove", str(client_id))[0] == 1
    assert "Theirs" not in forumapi("client", "list")[1]


# ---------------------------------------------------------------- looking


def test_routes_prints_every_address_with_its_methods(forumapi):
    code, out, _ = forumapi("routes")
    assert code == 0
    assert any(line.split()[:2] == ["site", "GET"] for line in out.splitlines())
    assert not [
        line for line in forumapi("routes", "--host", "root")[1].splitlines() if line[:4] == "site"
    ]


@pytest.mark.wide
@pytest.mark.slow
def test_openapi_prints_the_document(forumapi):
    assert json.loads(forumapi("openapi")[1])["openapi"].startswith("3.1")


@pytest.mark.wide
@pytest.mark.slow
def test_doctor_looks_at_everything_and_tells_how_to_mend(forumapi, monkeypatch):
    code, out, _ = forumapi("doctor")
    for subject in (
        "python",
        "packages",
        "data folder",
        "database",
        "migrations",
        "memcached",
        "mail",
    ):
        assert subject in out
    assert code == (1 if "FAIL" in out else 0)

    monkeypatch.setenv("FORUMAPI_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    code, out, _ = forumapi("doctor")
    assert code == 1
    assert "FAIL  database" in out
    assert "-> start PostgreSQL, or mend database_url" in out


@pytest.mark.wide
def test_migrate_waits_for_a_database_and_says_why_it_gave_up(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    code, _, err = forumapi("migrate", "--check", "--wait", "0.2")

    assert code == 1
    assert err.startswith("waiting: ")
    assert "forumapi: connection" in err


def test_the_defaults_are_those_of_production():
    assert not Config().is_embedded
    assert Config().mode == "prod"


STARTS = (["serve"], ["hold"], ["cron", "--once"], ["cron", "run", "metrics"])


def started(forumapi, *commands: list[str]) -> list[str]:
    """Return what each of these says as a process of its own, where it ends with exit code 1 after one line."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "forumapi", *words], stderr=subprocess.PIPE, text=True
        )
        for words in commands
    ]
    said = []
    try:
        for process in running:
            _, err = process.communicate(timeout=20)
            assert (process.returncode, err.count("\n")) == (1, 1), err
            said.append(err)
    finally:
        for process in running:
            process.kill()
            process.wait()
    return said


@pytest.mark.wide
def test_without_settings_nothing_starts_and_what_is_missing_is_named(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_LISTEN", "0.0.0.0:0")
    assert all("platform_domain" in said for said in started(forumapi, *STARTS))

    monkeypatch.delenv("FORUMAPI_DATABASE_URL")
    (said,) = started(forumapi, ["serve"])
    assert "platform_domain, database_url" in said


@pytest.mark.wide
def test_the_embedded_mode_is_what_run_starts_and_nothing_else(forumapi, monkeypatch):
    monkeypatch.setenv("FORUMAPI_ENVIRONMENT", "embedded")
    monkeypatch.setenv("FORUMAPI_LISTEN", "127.0.0.1:0")
    assert all("`forumapi run`" in said for said in started(forumapi, *STARTS))


@pytest.mark.wide
def test_run_lets_in_nobody_from_elsewhere_unless_told_twice(forumapi, monkeypatch):
    for name in ("LISTEN", "ADMIN_LISTEN"):
        monkeypatch.setenv(f"FORUMAPI_{name}", "0.0.0.0:0")
        (said,) = started(forumapi, ["run"])
        assert name.lower() in said
        assert "--open-to-others" in said
        monkeypatch.delenv(f"FORUMAPI_{name}")

    for outside in (":8080", "[::]:8080", "192.0.2.1:8080", "nowhere.invalid:8080"):
        assert not run_everything.is_loopback(outside), outside
    for here in ("127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/run/x"):
        assert run_everything.is_loopback(here), here


@pytest.mark.wide
def test_doctor_says_before_an_upgrade_what_will_not_start_after_it(forumapi, monkeypatch):
    code, out, _ = forumapi("doctor")
    assert code == 1
    assert re.search(r"FAIL  production +.*platform_domain", out)
    assert "docs/upgrading.md" in out

    monkeypatch.setenv("FORUMAPI_PLATFORM_DOMAIN", "forum.example")
    assert re.search(r"ok    production", forumapi("doctor")[1])

    monkeypatch.setenv("FORUMAPI_ENVIRONMENT", "embedded")
    assert re.search(r"FAIL  production +.*embedded", forumapi("doctor")[1])


@pytest.mark.wide
def test_ways_to_sign_in_are_set_up_for_one_site_or_for_all(
    forumapi, make: Factory, monkeypatch: pytest.MonkeyPatch
):
    site = make.site()
    monkeypatch.setattr("sys.stdin", io.StringIO("hush\n"))
    given = ("issuer=https://id.test", "clientId=x", "redirectUris=https://a.test/,https://b.test/")
    code, out, _ = forumapi("sign-in", "set", "openid", *given, "--site", site.key)
    assert (code, out) == (0, "openid: on, but not complete\n")
    args = ("sign-in", "set", "openid", "clientSecret=-", "--site", site.key)
    assert forumapi(*args)[1] == "openid: on\n"

    _, out, _ = forumapi("sign-in", "list", "--site", site.key, "--json")

    shown = {one["method"]: one for one in json.loads(out)}
    assert shown["openid"]["state"] == "on"
    assert shown["openid"]["set_by"] == "site"
    assert "issuer=https://id.test" in shown["openid"]["settings"]
    assert "hush" not in out
    assert shown["google"]["missing"] == "clientId clientSecret"
    everywhere = {
        one["method"]: one for one in json.loads(forumapi("sign-in", "list", "--json")[1])
    }
    assert everywhere["openid"]["set_by"] == "default"
    # On one's own machine alone: elsewhere it does not exist, nor can it be set up.
    assert "development" not in shown
    assert "development" not in everywhere
    assert forumapi("sign-in", "clear", "openid", "--site", site.key)[0] == 0
    _, out, _ = forumapi("sign-in", "list", "--site", site.key, "--json")
    assert {one["method"]: one for one in json.loads(out)}["openid"]["set_by"] == "default"


@pytest.mark.parametrize(
    "words",
    [
        ("set", "pigeon"),
        ("clear", "pigeon"),
        ("set", "google", "nonsense"),
        ("set", "google", "surprise=1"),
        ("set", "openid", "issuer=javascript:x"),
        ("list", "--site", "nosuchsite"),
    ],
)
def test_a_way_to_sign_in_that_can_not_be_set_up_so_is_refused(forumapi, words):
    code, _, err = forumapi("sign-in", *words)
    assert code == 1
    assert err


@pytest.mark.wide
def test_a_lost_second_factor_is_taken_away(forumapi, make: Factory):
    person = make.person(make.site())
    assert forumapi("sign-in", "reset", "--email", person.email)[:2] == (1, "there was none\n")
    make.sql(
        "INSERT INTO one_time_secrets (user_id, secret, confirmed) VALUES (%(u)s, 'x', now())",
        u=person.user_id,
    )
    assert forumapi("sign-in", "reset", "--email", person.email)[:2] == (
        0,
        "the second factor is off\n",
    )
