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
        ("discourse", "/t/which-bolt/31/12", Old(TALK, "31", 11)),
        ("discourse", "/p/9", Old(COMMENT, "9", action="incontext")),
        ("discourse", "/c/bikes/parts/12", Old(MICROCOSM, "12")),
        ("discourse", "/u/ada_l/summary", Old(PROFILE, "@ada_l")),
        ("discourse", f"/u/{'a' * 65}", None),
    ],
)
def test_other_products(product: str, url: str, named: Old | None) -> None:
    assert RULES[product].read(url) == named


@pytest.mark.parametrize(
    ("product", "url", "named"),
    [
        # phpBB: a private message is no comment, a thumbnail no conversation.
        ("phpbb", "/ucp.php?i=pm&mode=view&p=7", Old(HUDDLE, "7")),
        ("phpbb", "/ucp.php?i=pm&mode=view&f=0&p=7", Old(HUDDLE, "7")),
        ("phpbb", "/ucp.php?i=pm&mode=compose&u=58", Old(PROFILE, "58")),
        ("phpbb", "/ucp.php?i=pm&folder=inbox", Old(HUDDLE, "")),
        ("phpbb", "/ucp.php?i=profile", Old(UPDATE, "")),
        ("phpbb", "/download/file.php?id=20&t=1", Old(FILE, "20")),
        ("phpbb", "/download/file.php?avatar=58_1331001233.png", Old(FILE, "avatar:58")),
        ("phpbb", "/memberlist.php?mode=viewprofile&un=Mira+Tannen", Old(PROFILE, "@mira tannen")),
        ("phpbb", "/memberlist.php?mode=group&g=8", None),
        ("phpbb", "/memberlist.php?mode=team", Old(PROFILE, "")),
        ("phpbb", "/viewtopic.php?t=31&view=unread#unread", Old(TALK, "31", go="newcomment")),
        ("phpbb", "/app.php/feed/topic/31", Old(TALK, "31")),
        ("phpbb", "/app.php/post/9/report", Old(COMMENT, "9")),
        ("phpbb", "/search.php?author_id=58&sr=posts", Old(PROFILE, "58")),
        ("phpbb", "/search.php?keywords=a+b", Old(TALK, "", action="search", search="a b")),
        ("phpbb", "/nothing.php?t=31", None),
        ("phpbb", "/", Old(MICROCOSM, "")),
        # HTML-escaped, as it stands in old pages and feeds.
        ("phpbb", "/viewtopic.php?f=6&amp;t=31&amp;start=30", Old(TALK, "31", 30)),
        ("vbulletin", "/showthread.php?12-Some-Title", Old(TALK, "12")),
        ("vbulletin", "/showthread.php?12-%D0%98/page3", Old(TALK, "12", 100)),
        ("vbulletin", "/showthread.php?12", Old(TALK, "12")),
        ("vbulletin", "/forumdisplay.php?3-Name", Old(MICROCOSM, "3")),
        ("vbulletin", "/member.php?7-Ada", Old(PROFILE, "7")),
        ("vbulletin", "/attachment.php?attachmentid=4&d=1", Old(FILE, "4")),
        ("discourse", "/t/31/12", Old(TALK, "31", 11)),
        ("discourse", "/t/slug/31/last", Old(TALK, "31", go="lastcomment")),
        ("discourse", "/t/slug/31?page=3", Old(TALK, "31", 40)),
        ("discourse", "/u/%D0%98%D0%BC%D1%8F", Old(PROFILE, "@имя")),
        ("smf", "/smf/index.php?topic=12.30", Old(TALK, "12", 30)),
        ("smf", "/smf/index.php?board=2.0;topic=12.15;wap2", Old(TALK, "12", 15)),
        ("smf", "/smf/index.php?topic=12.msg345#msg345", Old(COMMENT, "345")),
        ("smf", "/smf/index.php?topic=12.new#new", Old(TALK, "12", go="newcomment")),
        ("smf", "/smf/index.php/topic,12.30.html", Old(TALK, "12", 30)),
        ("smf", "/smf/index.php?msg=345", Old(COMMENT, "345")),
        ("smf", "/smf/index.php?board=6.20", Old(MICROCOSM, "6", 20)),
        ("smf", "/smf/index.php?action=dlattach;topic=12.0;attach=2", Old(FILE, "2")),
        ("smf", "/smf/index.php?action=profile;u=7", Old(PROFILE, "7")),
        ("smf", "/smf/index.php?action=profile;user=Wilma%20W", Old(PROFILE, "@wilma w")),
        ("smf", "/smf/index.php?action=help", None),
        ("smf", "/smf/index.php", Old(MICROCOSM, "")),
        ("nodebb", "/topic/12/title", Old(TALK, "12")),
        ("nodebb", "/topic/12/title/27", Old(TALK, "12", 26)),
        ("nodebb", "/topic/12/title?page=2", Old(TALK, "12", 20)),
        ("nodebb", "/topic/12/%D0%98", Old(TALK, "12")),
        ("nodebb", "/post/9", Old(COMMENT, "9")),
        ("nodebb", "/category/5/talk", Old(MICROCOSM, "5")),
        ("nodebb", "/user/Ada-L", Old(PROFILE, "@ada-l")),
        ("nodebb", "/uid/7", Old(PROFILE, "7")),
        ("nodebb", "/assets/uploads/files/1-a.png", Old(FILE, "files/1-a.png")),
        ("nodebb", "/recent", Old(TALK, "")),
        ("misago", "/t/title/12/", Old(TALK, "12")),
        ("misago", "/t/title/12/2/", Old(TALK, "12", 18)),
        ("misago", "/t/title/12/post/9/", Old(COMMENT, "9")),
        ("misago", "/t/title/12/last/", Old(TALK, "12", go="lastcomment")),
        ("misago", "/c/talk/3/", Old(MICROCOSM, "3")),
        ("misago", "/u/ada/7/", Old(PROFILE, "7")),
        ("misago", "/p/secret/5/", Old(HUDDLE, "5")),
        ("misago", f"/a/{'e9' * 32}/4/", Old(FILE, "4")),
    ],
)
def test_what_each_product_wrote(product: str, url: str, named: Old | None) -> None:
    assert RULES[product].read(url) == named


def test_a_post_that_was_not_imported_leaves_its_topic() -> None:
    found = list(RULES["smf"].read_all("/smf/index.php?topic=12.msg345"))

    assert found == [Old(COMMENT, "345"), Old(TALK, "12")]


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
