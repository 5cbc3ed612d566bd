"""Rules for old addresses: what they read, and what is no rule set."""

from __future__ import annotations

from pathlib import Path

import pytest

from forumapi import itemtypes
from forumapi.wire import legacy_urls
from forumapi.wire.legacy_urls import Old, RulesError

RULES = legacy_urls.load()
MICROCOSM, PROFILE, COMMENT, HUDDLE, TALK, FILE, UPDATE = (
    itemtypes.BY_NAME[name].id
    for name in (
        "microcosm",
        "profile",
        "comment",
        "huddle",
        "conversation",
        "attachment",
        "update",
    )
)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("/forumdisplay.php?f=12", Old(MICROCOSM, "12")),
        ("https://old.example/forums/forumdisplay.php?forumid=12&page=3", Old(MICROCOSM, "12", 50)),
        ("/showthread.php?p=9&t=31", Old(COMMENT, "9")),
        ("/showthread.php?t=31&f=12", Old(MICROCOSM, "12")),
        ("/private.php?do=showpm&pmid=5", Old(HUDDLE, "5")),
        ("/showthread.php?postid=9#post9", Old(COMMENT, "9")),
        ("showthread.php?t=31&page=3", Old(TALK, "31", 100)),
        ("//old.example/showthread.php?t=31&page=1", Old(TALK, "31")),
        ("/showthread.php?threadid=0031&page=x", Old(TALK, "31")),
        ("/showthread.php?goto=newpost&t=31", Old(TALK, "31", go="newcomment")),
        ("/showthread.php?t=31&goto=lastpost", Old(TALK, "31", go="lastcomment")),
        ("/member.php?u=7", Old(PROFILE, "7")),
        ("/member.php?userid=7", Old(PROFILE, "7")),
        ("/member.php?u=0", None),
        ("/showthread.php?t=abc", None),
        ("/showthread.php?t=", None),
        ("/lastpostinthread31.html", Old(TALK, "31", go="lastcomment")),
        ("/f/newpostinthread31.html", Old(TALK, "31", go="newcomment")),
        ("/printthread31-2.html", Old(TALK, "31", 50)),
        ("/printthread31.html", Old(TALK, "31")),
        ("/thread31-4.html", Old(TALK, "31")),
        ("/thread31.html", Old(TALK, "31")),
        ("/thread31.htm", None),
        ("/post9-3.html", Old(COMMENT, "9", action="incontext")),
        ("/post9.html", Old(COMMENT, "9", action="incontext")),
        ("http://www.velo-club.example/forum12-3.html", Old(MICROCOSM, "12", 50)),
        ("/forum12.html", Old(MICROCOSM, "12")),
        ("/announcement12-rules.html", Old(MICROCOSM, "12")),
        ("/memberslist/a2.html", Old(PROFILE, "", action="search", search="a")),
        ("/memberslist/01.html", Old(PROFILE, "", action="search", search="0")),
        ("/member7-ada.html", Old(PROFILE, "7")),
        ("/attachments/44d1199-bolt.jpg", Old(FILE, "44")),
        ("/memberslist/", Old(PROFILE, "")),
        ("/memberslist", Old(PROFILE, "")),
        ("/online.php", Old(PROFILE, "", action="online")),
        ("/private.php", Old(HUDDLE, "")),
        ("/subscription.php", Old(UPDATE, "")),
        ("/usercp.php", Old(UPDATE, "")),
        ("/nothing.php", None),
        ("http://[broken", None),
        ("", None),
    ],
)
def test_vbulletin(url: str, named: Old | None) -> None:
    assert RULES["vbulletin"].read(url) == named


@pytest.mark.parametrize(
    ("product", "url", "named"),
    [
        ("phpbb", "/viewtopic.php?f=2&t=31&start=45", Old(TALK, "31", 45)),
        ("phpbb", "/viewtopic.php?p=9#p9", Old(COMMENT, "9")),
        ("phpbb", "/viewforum.php?f=2", Old(MICROCOSM, "2")),
        ("phpbb", "/memberlist.php?mode=viewprofile&u=7", Old(PROFILE, "7")),
        ("xenforo", "/threads/which-bolt.31/page-3", Old(TALK, "31", 40)),
        ("xenforo", "/threads/which-bolt.31/", Old(TALK, "31")),
        ("xenforo", "/threads/31/unread", Old(TALK, "31", go="newcomment")),
        ("xenforo", "/threads/31/latest", Old(TALK, "31", go="lastcomment")),
        ("xenforo", "/threads/which-bolt.31/post-9", Old(COMMENT, "9", action="incontext")),
        ("xenforo", "/posts/9/", Old(COMMENT, "9", action="incontext")),
        ("xenforo", "/members/ada.7/", Old(PROFILE, "7")),
        ("discourse", "/t/which-bolt/31/12", Old(TALK, "31")),
        ("discourse", "/p/9", Old(COMMENT, "9", action="incontext")),
        ("discourse", "/c/bikes/parts/12", Old(MICROCOSM, "12")),
        ("discourse", "/u/ada_l/summary", Old(PROFILE, "ada_l")),
        ("discourse", f"/u/{'a' * 65}", None),
    ],
)
def test_other_products(product: str, url: str, named: Old | None) -> None:
    assert RULES[product].read(url) == named


def test_a_folder_adds_products_and_replaces_ours(tmp_path: Path) -> None:
    (tmp_path / "myown.toml").write_text('[[query]]\nkey = "topic"\ntarget = "conversation"\n')
    (tmp_path / "phpbb.toml").write_text('[[query]]\nkey = "x"\ntarget = "profile"\n')
    (tmp_path / "notes.txt").write_text("not a rule set")

    found = legacy_urls.load(str(tmp_path))

    assert set(found) == {*RULES, "myown"}
    assert found["myown"].read("?topic=4") == Old(TALK, "4")
    assert found["phpbb"].read("?t=4") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[query]\n", "x.toml"),
        ('[[query]]\ntarget = "conversation"\n', "query 1 needs key"),
        ('[[path]]\npattern = "a"\ntarget = "site"\n', "path 1 needs"),
        ('[[path]]\npattern = "("\ntarget = "profile"\n', "path 1"),
        ('[[path]]\npattern = "a"\ntarget = "profile"\ntypo = 1\n', "path 1"),
        ('[[path]]\npattern = "a"\ntarget = "profile"\ngo = "home"\n', "go one of"),
        ('[goto]\nkey = "g"\nx = "home"\n', "[goto]"),
        ("[pages]\nbanana = 5\n", "banana"),
    ],
)
def test_what_is_no_rule_set_says_where(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(RulesError) as raised:
        legacy_urls.load(str(tmp_path))
    assert says in str(raised.value)
    assert "x.toml" in str(raised.value)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RulesError):
        legacy_urls.load(str(tmp_path / "nowhere"))
    (tmp_path / "My Forum.toml").write_text("")
    with pytest.raises(RulesError, match="named after a product"):
        legacy_urls.load(str(tmp_path))
