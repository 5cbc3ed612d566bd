"""Settings: the file, the environment, reload."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import pytest
import tomlkit

from forumapi import config
from forumapi.config import Config, Settings
from forumapi.errors import ConfigError
from forumapi.observability import log

# The defaults of the release before: `grep -v '^#' etc/forumapi.toml` of it.
SETTINGS_BEFORE = Path(__file__).parent / "saved/settings_before.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file to write into."""
    return tmp_path / "forumapi.toml"


def load(file: Path, text: str, **environ: str) -> Config:
    file.write_text(text)
    return config.load(file, environ)


# ---------------------------------------------------------------- the file that is shipped


def test_the_shipped_file_holds_every_setting_at_its_default():
    path = config.resource("etc/forumapi.toml")
    written = tomlkit.parse(path.read_text()).unwrap()

    assert list(written) == list(config.SETTINGS)
    assert config.load(path, {}) == Config(path=path)


def test_above_each_setting_stands_what_it_is_for_its_unit_and_when_it_takes_effect():
    lines = config.resource("etc/forumapi.toml").read_text().splitlines()
    for name in config.SETTINGS:
        place = next(i for i, line in enumerate(lines) if line.startswith(f"{name} ="))
        assert lines[place - 1] == f"# {config.note(name)}"


def test_every_setting_says_its_unit_in_its_name_or_beside_it():
    for name, setting in config.SETTINGS.items():
        text = setting.metadata["text"]
        assert text.endswith("."), name
        if setting.type == "int":
            assert setting.metadata["unit"], name


# ---------------------------------------------------------------- reading


def test_what_the_file_says_replaces_the_default(file):
    read = load(file, 'workers = 3\nmemcached = ["a:11211", "b:11211"]\nspam_check = true\n')

    assert (read.workers, read.memcached, read.spam_check) == (3, ("a:11211", "b:11211"), True)
    assert read.path == file


def test_the_environment_goes_before_the_file(file):
    environ = {
        "FORUMAPI_WORKERS": "4",
        "FORUMAPI_LISTEN": "0.0.0.0:80",
        "FORUMAPI_DATA_DIR": "/data",
        "FORUMAPI_MEMCACHED": "a:1, b:2",
        "FORUMAPI_ADMIN_USER_IDS": "1,2",
        "FORUMAPI_DATABASE_PREPARE": "no",
        "PATH": "/bin",
    }
    read = load(file, "workers = 3\n", **environ)

    assert read.workers == 4
    assert read.listen == "0.0.0.0:80"
    assert read.data_path == Path("/data")
    assert read.memcached == ("a:1", "b:2")
    assert read.admin_user_ids == (1, 2)
    assert read.database_prepare is False


def test_the_environment_names_the_file(file):
    file.write_text("workers = 7\n")
    assert config.load(None, {"FORUMAPI_CONFIG": str(file)}).workers == 7


def test_every_setting_can_come_from_the_environment(file):
    for name in list(config.SETTINGS):
        default = getattr(Config(), name)
        text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)

        assert getattr(load(file, "", **{f"FORUMAPI_{name.upper()}": text}), name) == default


def test_an_empty_list_is_written_as_nothing(file):
    assert load(file, 'memcached = ["a:1"]', FORUMAPI_MEMCACHED="").memcached == ()


# ---------------------------------------------------------------- refusing


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worker = 3", "there is no setting worker; did you mean workers?"),
        ("gust_cache_seconds = 1", "did you mean guest_cache_seconds?"),
        ("[database]\nurl = 1", "there is no setting database; did you mean database_url?"),
        ("workers = '3'", "workers must be a whole number"),
        ("workers = true", "workers must be a whole number"),
        ("workers = 1.5", "workers must be a whole number"),
        ("workers = -1", "workers must be between 0 and 256"),
        ("database_prepare = 1", "database_prepare must be true or false"),
        ("memcached = 'a:1'", "memcached must be a list of texts"),
        ("memcached = ['a']", "memcached must look like host:port, unlike 'a'"),
        ("memcached = ['a:99999']", "memcached must look like host:port"),
        ("admin_user_ids = ['1']", "admin_user_ids must be a list of whole numbers"),
        ("environment = 'live'", "environment must be one of: empty, embedded, development, prod"),
        ("listen = '8080'", "listen must look like host:port or unix:/path"),
        ("database_url = 'mysql://x'", "database_url must be empty or an address that begins with"),
        ("trusted_proxies = ['nginx']", "trusted_proxies must be an address or a network"),
        ("platform_domain = 'Forum.Example'", "platform_domain must be a host name in lower case"),
        ("short_link_url = 'https://x/go/'", "short_link_url must be empty or an http(s) address"),
        ("operator_email = 'x'", "operator_email must be empty or an e-mail address"),
        ("access_log_format = '{status} {token}'", "access_log_format may name only time, pid,"),
        ("access_log_format = '{status'", "access_log_format is no format:"),
        ("access_log_format = '{error.__class__}'", "access_log_format may name only"),
        ("access_log_format = '{status:.1q}'", "access_log_format is no format:"),
        ("log_target = 'syslog://x'", "log_target must be stderr, stdout, a file, or udp://"),
        ("log_target = 'udp://x'", "log_target must be stderr, stdout, a file, or udp://"),
        ("riemann_url = 'http://x:1'", "riemann_url must be empty or look like udp://host:port"),
        ("sentry_dsn = 'https://sentry.example/1'", "sentry_dsn must be empty or look like https"),
        ("workers = ", "line 1"),
    ],
)
def test_a_bad_setting_is_named_with_its_rule(file, text, said):
    with pytest.raises(ConfigError) as caught:
        load(file, text)

    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_plan_has_limits_and_a_weight(file):
    read = load(file, "plans = ['free members=9 webhooks=0', 'city weight=2 sockets=5 weight=3']")

    assert config.plans(read.plans) == {
        "free": {"members": 9, "webhooks": 0},
        "city": {"sockets": 5},
    }
    assert config.plan_weights(read.plans) == {"city": 3}
    for wrong in ("city weight=0", "city weight=1000", "city members=-1", "city people=9"):
        with pytest.raises(ConfigError, match="must set limits by name=number"):
            load(file, f"plans = ['{wrong}']")


def test_a_bad_value_in_the_environment_names_the_variable(file):
    with pytest.raises(ConfigError, match="FORUMAPI_WORKERS in the environment: workers must be"):
        load(file, "", FORUMAPI_WORKERS="many")
    with pytest.raises(ConfigError, match=r"FORUMAPI_WORKER in the environment: .*mean workers"):
        load(file, "", FORUMAPI_WORKER="2")


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        config.load(tmp_path / "none.toml", {})


# ---------------------------------------------------------------- changing


def test_changes_are_split_into_what_applies_at_once_and_what_waits_for_a_restart():
    old = Config()
    new = dataclasses.replace(
        old, guest_cache_seconds=0, listen="0.0.0.0:80", token_days=1, memory_cache_mb=8
    )

    changes = config.diff(old, new)

    assert changes.applied == ["guest_cache_seconds", "token_days"]
    assert changes.replaced == ["memory_cache_mb"]
    assert changes.needs_restart == ["listen"]


def test_only_where_it_listens_and_keeps_its_data_needs_a_restart():
    fixed = {name for name in config.SETTINGS if config.effect(name) == "restart"}

    assert fixed == {"environment", "listen", "admin_listen", "webclient_listen", "data_dir"}


def test_a_reload_applies_what_it_may_and_names_the_rest(file):
    settings = Settings(load(file, "workers = 1\ntoken_days = 10\n"), {})
    file.write_text("workers = 2\ntoken_days = 20\n")

    changes = settings.reload()

    assert settings.current.token_days == 20
    assert settings.current.workers == 1
    assert changes == (["token_days"], ["workers"], [])


def test_who_replaces_the_processes_has_what_new_ones_will_have(file):
    settings = Settings(load(file, "workers = 1\ntoken_days = 10\nlisten = '127.0.0.1:1'\n"), {})
    file.write_text("workers = 2\ntoken_days = 20\nlisten = '127.0.0.1:2'\n")

    changes = settings.reload(replaces=True)

    assert changes == (["token_days"], ["workers"], ["listen"])
    assert (settings.current.token_days, settings.current.workers) == (20, 2)
    assert settings.current.listen == "127.0.0.1:1"


@pytest.mark.parametrize("text", ["token_days = 'x'", "tokendays = 1", "token_days = ", "\xff"])
def test_a_bad_reload_changes_nothing(file, text):
    before = load(file, "token_days = 10\n")
    settings = Settings(before, {})
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(ConfigError):
        settings.reload()

    assert settings.current is before


def test_setting_a_value_keeps_comments_order_and_everything_else(file):
    file.write_text("# first\nworkers = 1  # how many\n\n# last\ntoken_days = 10\n")

    read = config.set_value(file, "workers", "4")

    assert file.read_text() == "# first\nworkers = 4  # how many\n\n# last\ntoken_days = 10\n"
    assert read.workers == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_who_could_read_the_file_can_still_read_it(file):
    file.write_text("workers = 1\n")
    os.chown(file, 65534, 12345)
    file.chmod(0o640)

    config.set_value(file, "workers", "4")

    found = file.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (65534, 12345, 0o640)


def test_setting_a_bad_value_writes_nothing(file):
    file.write_text("workers = 1\n")

    with pytest.raises(ConfigError, match="between 0 and 256"):
        config.set_value(file, "workers", "1000")
    with pytest.raises(ConfigError, match="did you mean workers"):
        config.set_value(file, "wrokers", "1")

    assert file.read_text() == "workers = 1\n"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("depth", [150, 2000])
def test_a_file_with_deeply_nested_values_is_named(file, depth):
    file.write_text(f"workers = {'[' * depth}{']' * depth}\n")

    with pytest.raises(ConfigError, match="nested"):
        config.set_value(file, "workers", "1")
    with pytest.raises(ConfigError):
        config.load(file, {})


def test_a_list_is_set_with_commas(file):
    file.write_text("")
    config.set_value(file, "trusted_proxies", "10.0.0.0/8, 127.0.0.1")

    assert config.load(file, {}).trusted_proxies == ("10.0.0.0/8", "127.0.0.1")


def test_secrets_are_not_shown():
    assert config.shown("smtp_url", "smtp://u:hunter2@mail") == '"(set)"'
    assert config.shown("smtp_url", "") == '""'
    assert config.shown("memcached", ("a:1",)) == '["a:1"]'


def test_whatever_sounds_secret_is_marked_secret():
    for name, setting in config.SETTINGS.items():
        if re.search(r"(secret|_key|password|smtp_url|database.*_url|dsn)", name):
            assert setting.metadata["secret"] or name == "aws_access_key", name


# ---------------------------------------------------------------- what follows from settings


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"environment": "embedded"}, "http://localhost:8080/out/"),
        ({"environment": "embedded", "listen": "127.0.0.1:80"}, "http://localhost/out/"),
        ({"environment": "prod", "platform_domain": "f.example"}, "https://f.example/out/"),
        ({"public_scheme": "https", "public_port": 8443}, "https://localhost:8443/out/"),
        ({"short_link_url": "https://s.example/out/"}, "https://s.example/out/"),
    ],
)
def test_short_links_point_at_the_platform_domain(changed, expected):
    assert dataclasses.replace(Config(), **changed).short_links == expected


def test_no_workers_means_one_for_each_core():
    assert Config().worker_count >= 1
    assert dataclasses.replace(Config(), workers=5).worker_count == 5


@pytest.mark.parametrize(("old", "new"), config.RENAMED.items())
def test_a_setting_answers_to_its_old_name_for_one_release(
    file: Path, caplog: pytest.LogCaptureFixture, old: str, new: str
) -> None:
    default = config.SETTINGS[new].default
    written = tomlkit.item(list(default) if isinstance(default, tuple) else default).as_string()
    log.logger.propagate = True

    assert load(file, f"{old} = {written}\n") == Config(path=file)
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}: {old} is the old name of the setting {new}"
    ]
    with pytest.raises(ConfigError, match=f"{old} is the old name of {new}, which is set too"):
        load(file, f"{old} = {written}\n{new} = {written}\n")


def test_an_old_name_in_the_environment_and_in_config_set(file: Path) -> None:
    settings = load(file, "debug_counts = false\n", FORUMAPI_DEBUG_COUNTS="true")
    assert settings.server_timing_header
    with pytest.raises(ConfigError, match="FORUMAPI_DEBUG_COUNTS in the environment"):
        load(file, "", FORUMAPI_DEBUG_COUNTS="true", FORUMAPI_SERVER_TIMING_HEADER="true")

    file.write_text("workers = 2\ndebug_counts = false\n")
    assert config.set_value(file, "debug_counts", "true").server_timing_header
    assert file.read_text() == "workers = 2\nserver_timing_header = true\n"


def test_every_setting_of_the_release_before_is_known() -> None:
    before = tomlkit.parse(SETTINGS_BEFORE.read_text()).unwrap()
    assert {config.RENAMED.get(name, name) for name in before} <= set(config.SETTINGS)


def test_the_upgrade_guide_has_a_section_for_each_changed_default():
    before = tomlkit.parse(SETTINGS_BEFORE.read_text()).unwrap()
    guide = config.resource("docs/upgrading.md").read_text()
    sections = guide.split("\n## ")[1:]
    changed = [
        name
        for name, value in before.items()
        if config.SETTINGS[config.RENAMED.get(name, name)].default
        != (tuple(value) if isinstance(value, list) else value)
    ]
    assert "environment" in changed
    for name in changed:
        assert any(f"`{name}`" in section for section in sections), name


def test_what_keeps_one_caller_from_the_others_is_on_by_default() -> None:
    config = Config()
    # Schools and carriers share addresses.
    assert config.connections_per_address >= 200
    assert config.header_timeout_s == 10
    for name in (
        "link_misses_per_address",
        "invitations_per_owner",
        "invitations_per_site",
        "invitations_per_email",
        "invitations_per_front_end",
        "guest_concurrency_per_address",
        "rate_limit_address_per_minute",
        "rate_limit_token_per_minute",
    ):
        assert getattr(config, name) > 0, name
