"""Texts of phpBB as Markdown, in both forms in which its tables hold them."""

from __future__ import annotations

import pytest

from forumapi.porting.dumps.row_values import decoded
from forumapi.porting.markup.converted_text import PostFile
from forumapi.porting.markup.phpbb_text import PhpbbText, custom_tag

SPOILER = custom_tag(
    "spoiler",
    "[spoiler={TEXT1;optional}]{TEXT2}[/spoiler]",
    "<details><summary>Spoiler: {TEXT1}</summary><div>{TEXT2}</div></details>",
)
VIDEO = custom_tag(
    "yt", "[yt]{SIMPLETEXT}[/yt]", '<a href="https://v.example/{SIMPLETEXT}">Video</a>'
)
EVIL = custom_tag("evil", "[evil]{TEXT}[/evil]", "<script>alert({TEXT})</script><b>{TEXT}</b>")
FILES = (PostFile("2", "map.png", True), PostFile("1", "list.pdf", False))


def _converter() -> PhpbbText:
    return PhpbbText({"spoiler": SPOILER, "yt": VIDEO, "evil": EVIL})


@pytest.mark.parametrize(
    ("stored", "markdown"),
    [
        ("<t>one<br/>\n<br/>\ntwo &amp;amp; &#128690;</t>", "one\n\ntwo \\&amp; 🚲"),
        (
            "<r><B><s>[b]</s>bold<e>[/b]</e></B> and <U><s>[u]</s>u<e>[/u]</e></U></r>",
            "**bold** and <u>u</u>",
        ),
        (
            '<r><QUOTE author="Bj&#xF6;rn" post_id="4" user_id="7"><s>[quote]</s>hi<e>[/quote]</e></QUOTE>\nme</r>',
            "> <cite>[Björn](old:comment/4):</cite>\n>\n> hi\n\nme",
        ),
        (
            '<r><URL url="https://a.example/?b=1&amp;c=2"><LINK_TEXT text="https://a ... c">x</LINK_TEXT></URL></r>',
            "[https&#58;//a ... c](https://a.example/?b=1&c=2)",
        ),
        (
            '<r><IMG src="https://a.example/i.png"><s>[img]</s><URL url="x">x</URL></IMG></r>',
            "![Image](https://a.example/i.png)",
        ),
        ('<r><E>:)</E> <EMOJI seq="1f600">&#128512;</EMOJI> <E>:own:</E></r>', "🙂 😀 :own:"),
        ("<r><CODE><s>[code]</s>a &lt;\n  b<e>[/code]</e></CODE></r>", "```\na <\n  b\n```"),
        (
            '<r><LIST type="decimal"><LI><s>[*]</s>one</LI>\n<LI>two</LI></LIST></r>',
            "1. one\n2. two",
        ),
        (
            '<r><ATTACHMENT filename="m" index="0"><s>[attachment=0]</s>m</ATTACHMENT></r>',
            "![m](old:attachment/2)",
        ),
        ('<r><ATTACHMENT filename="gone" index="9">gone</ATTACHMENT></r>', "gone"),
        (
            '<r><SPOILER spoiler="Who?">x</SPOILER></r>',
            "<details>\n<summary>Spoiler: Who?</summary>\n\nx\n\n</details>",
        ),
        (
            '<r><YT content="abc"><s>[yt]</s>abc<e>[/yt]</e></YT></r>',
            "[Video](https://v.example/abc)",
        ),
        ("<r><EVIL>x</EVIL></r>", "**x**"),
        ("<r><NEW>kept</NEW></r>", "kept"),
    ],
)
def test_xml_of_the_text_engine(stored: str, markdown: str) -> None:
    assert _converter().convert(stored, "abc", FILES).markdown == markdown


@pytest.mark.parametrize(
    ("stored", "markdown"),
    [
        ("[b:u1]bold[/b:u1] [b]typed[/b] &lt;x&gt;", "**bold** &#91;b]typed&#91;/b] \\<x>"),
        (
            "[quote=&quot;O&#91;the]&quot;:u1]odd[/quote:u1]\nme",
            "> <cite>O\\[the\\]:</cite>\n>\n> odd\n\nme",
        ),
        ("[list=1:u1]\n[*:u1]a[/*:m:u1]\n[*:u1]b[/*:m:u1][/list:o:u1]", "1. a\n2. b"),
        ("[code:u1]&#91;b&#93;&#58;) &lt;[/code:u1]", "```\n[b]:) <\n```"),
        ("[url=https&#58;//a&#46;example/:u1]here[/url:u1]", "[here](https://a.example/)"),
        ("[url:u1]https&#58;//a&#46;example/[/url:u1]", "<https://a.example/>"),
        (
            '<!-- m --><a class="postlink" href="http://a.example/?a=1&amp;b=2">http://a ... b</a><!-- m -->',
            "[http&#58;//a ... b](http://a.example/?a=1&b=2)",
        ),
        ('<!-- s:) --><img src="{SMILIES_PATH}/x.gif" alt=":)" title="Smile" /><!-- s:) -->', "🙂"),
        (
            "x [attachment=1:u1]<!-- ia1 -->list.pdf<!-- ia1 -->[/attachment:u1]",
            "x [list.pdf](old:attachment/1)",
        ),
        (
            "[img:u1]https&#58;//a&#46;example/i&#46;png[/img:u1]",
            "![Image](https://a.example/i.png)",
        ),
        (
            "[spoiler=Who?:u1]x[/spoiler:u1]",
            "<details>\n<summary>Spoiler: Who?</summary>\n\nx\n\n</details>",
        ),
    ],
)
def test_the_form_of_3_0(stored: str, markdown: str) -> None:
    assert _converter().convert(stored, "u1", FILES).markdown == markdown


def test_flags_of_the_old_form_decide_what_is_shown() -> None:
    stored = '<!-- s:) --><img src="x" alt=":)" /><!-- s:) --> <!-- m --><a href="http://a.example">a</a><!-- m -->'

    assert _converter().convert(stored, smilies=False, links=False).markdown == ":) a"


def test_quotes_answer_the_posts_that_they_are_of() -> None:
    quote = '<QUOTE author="A" post_id="{}">x</QUOTE>'
    stored = f'<r>{quote.format(7)}<QUOTE post_id="8">{quote.format(9)}</QUOTE></r>'

    assert _converter().convert(stored).answered == ("7", "8")


def test_files_in_their_place_are_told() -> None:
    stored = '<r><ATTACHMENT filename="m" index="1">m</ATTACHMENT></r>'

    assert _converter().convert(stored, "", FILES).shown == {"1"}


@pytest.mark.parametrize(
    "stored",
    [
        '<!DOCTYPE r [<!ENTITY a "boom">]><r>&a;</r>',
        '<r><!DOCTYPE r SYSTEM "file:///etc/passwd">x</r>',
        "<r>cut <B>off",
        "<r>&undefined;</r>",
        "<r>two</r><r>roots</r>",
        "<r><B></I></r>",
    ],
)
def test_damaged_and_hostile_xml_is_its_text(stored: str) -> None:
    converter = _converter()
    markdown = converter.convert(stored).markdown

    assert "boom" not in markdown.replace('"boom"', "")
    assert "root:" not in markdown
    assert stored.startswith("<!DOCTYPE") or converter.unsaid["damaged markup"] == 1


@pytest.mark.parametrize("depth", [90, 5000])
def test_depth_costs_frames_and_no_text(depth: int) -> None:
    xml = "<r>" + "<QUOTE>" * depth + "core" + "</QUOTE>" * depth + "</r>"
    old = "[quote:u1]" * depth + "core" + "[/quote:u1]" * depth

    assert "core" in _converter().convert(xml).markdown
    assert "core" in _converter().convert(old, "u1").markdown


def test_what_markdown_cannot_say_is_counted() -> None:
    converter = _converter()
    converter.convert(
        '<r><COLOR color="red">x</COLOR><SIZE size="9">y</SIZE><FLASH url="http://a.example/m"/></r>'
    )

    assert converter.unsaid == {"colour": 1, "size of type": 1, "film": 1}


def test_entities_are_decoded_once() -> None:
    assert (
        decoded("&amp;lt; &quot;&#128690;&quot; &copy; &#x41; AT&T &#0; &#55357;")
        == '&lt; "🚲" &copy; A AT&T � �'
    )
