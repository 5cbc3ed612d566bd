"""Comments: the vectors of content 11.9, and each step of content 11 with its deviations."""

from __future__ import annotations

import re

import pytest

from forumapi.text import render
from tests.text.html_tree import tree
from tests.text.pipeline import JUMP, SITE, content, html

TABLE = (
    '<table><thead><tr><th>a</th><th align="right">b</th></tr></thead>'
    '<tbody><tr><td>1</td><td align="right">2</td></tr></tbody></table>'
)
URL = "http://example.com/a?b=1&amp;c=2"
CELL = '<td colspan="2" headers="a b" scope="col" nowrap="">b</td>'
AWAY = 'rel="nofollow noopener" target="_blank"'


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (
            "Hello **world**\nsecond line",
            "<p>Hello <strong>world</strong><br/>\nsecond line</p>\n",
        ),
        (
            "see http://example.com/a?b=1&c=2",
            f'<p>see <a href="{URL}" {AWAY}>{URL}</a></p>\n',
        ),
        ("![](http://e.com/j.png)", '<p><img class="ip" src="http://e.com/j.png"/></p>\n'),
        (
            "![alt](http://e.com/i.png)",
            '<p><img class="ip" src="http://e.com/i.png" alt="alt"/></p>\n',
        ),
        ("# Head", "<h1>Head</h1>\n"),
        ("```go\nx := 1 < 2\n```", "<pre><code>x := 1 &lt; 2\n</code></pre>\n"),
        (
            "~~del~~ snake_case_word *em*",
            "<p><del>del</del> snake_case_word <em>em</em></p>\n",
        ),
        ("a | b\n---|---:\n1 | 2", TABLE),
        ("para\n> quote", "<p>para</p>\n\n<blockquote>\n<p>quote</p>\n</blockquote>\n"),
        ("[quote=bob]hi\nthere[/quote]", "<blockquote>\n<p>hi<br/>\nthere</p>\n</blockquote>\n"),
        ("ALL SHOUTING HERE!!", "<p>all shouting here!!</p>\n"),
        ('<div class="a" style="color:red" onclick="x">t</div>', "<div>t</div>"),
        ('<a href="javascript:x">j</a>', "<p>j</p>"),
        (
            "[z](/rel) [w](mailto:a@b.c)",
            '<p><a href="/rel">z</a> <a href="mailto:a@b.c">w</a></p>\n',
        ),
        ("<center>y</center><kbd>k</kbd>", "yk"),
        ("\"q\" & 'q'", "<p>&#34;q&#34; &amp; &#39;q&#39;</p>\n"),
        ("a" * 40 + "b", f"<p>{'a' * 40}\u00adb</p>"),
        ("#123 #tag", '<p>#123 <a href="/search/?q=%23tag">#tag</a></p>'),
    ],
)
def test_the_vectors_hold(markdown: str, expected: str) -> None:
    assert tree(html(markdown)) == tree(expected)


def test_a_recorded_comment_is_rendered_the_same() -> None:
    source = (
        "Hello **world**, see http://www.example.com/page and #hashtag and @member2.\n\n"
        "> quoted\n\n* one\n* two\n\n`code`"
    )
    # But for C-51, where hashtags lead, and line breaks at the end of list items.
    expected = (
        f'<p>Hello <strong>world</strong>, see <a href="{JUMP}k0" {AWAY}>'
        'http://www.example.com/page</a> and <a href="/search/?q=%23hashtag">#hashtag</a> and '
        '<a href="/profiles/8">@member2</a>.</p>\n\n<blockquote>\n<p>quoted</p>\n</blockquote>\n\n'
        "<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n\n<p><code>code</code></p>\n"
    )
    rendered = content(source, mentions={"member2": 8}, shorten=True)
    assert tree(rendered.html) == tree(expected)
    assert rendered.mentioned == (8,)
    assert rendered.urls == ("http://www.example.com/page",)


class TestCharacters:
    def test_control_and_format_characters_go_and_joiners_stay(self) -> None:
        assert html("a\x00\u202eb\u200bc 👩\u200d🚒") == "<p>abc 👩\u200d🚒</p>\n"

    @pytest.mark.parametrize("entity", ["&#x202e;", "&#0;", "&rlm;", "&#13;", "&#8203;"])
    def test_entities_do_not_bring_them_back(self, entity: str) -> None:
        for source in (f"a{entity}b", f"<div>a{entity}b</div>", f'<div title="a{entity}b">c</div>'):
            rendered = html(source)
            assert not re.search("[\x00\r\u200b-\u200f\u202e]", rendered), rendered

    def test_every_kind_of_line_end_is_one(self) -> None:
        assert html("a\r\nb\rc\nd") == html("a\nb\nc\nd")

    def test_a_text_that_is_too_long_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at most 50000"):
            html("a" * 50_001)


class TestFlavour:
    @pytest.mark.parametrize(
        ("markdown", "expected"),
        [
            ("a\nb\n\nc", "<p>a<br>b</p><p>c</p>"),
            ("#tag is no heading", None),
            ("Title\n=====", "<h1>Title</h1>"),
            ("<ana@example.org>", '<p><a href="mailto:ana@example.org">ana@example.org</a></p>'),
            ("~~~\ncode\n~~~", "<pre><code>code\n</code></pre>"),
            ("text\n```\ncode\n```", "<p>text</p><pre><code>code\n</code></pre>"),
            ("text\n* item", "<p>text</p><ul><li>item</li></ul>"),
            ("[a]\n\n[a]: /b", '<p><a href="/b">a</a></p>'),
            ("a[^1]\n\n[^1]: b", None),
            ("'a' -- \"b\"...", "<p>'a' -- \"b\"...</p>"),
            ("- [ ] open", "<ul><li>[ ] open</li></ul>"),
            ("<div>*a*</div>", "<div>*a*</div>"),
            ("a <sub>*b*</sub>", "<p>a <sub><em>b</em></sub></p>"),
            ("<!-- a -->b", "b"),
        ],
    )
    def test_markdown_is_read_as_documented(self, markdown: str, expected: str | None) -> None:
        if expected is not None:
            assert tree(html(markdown)) == tree(expected)
        else:
            assert not re.search("<h1|<sup|<section", html(markdown))

    def test_a_pre_keeps_its_blank_lines_but_the_first(self) -> None:
        assert html("<pre>\n\na\n\nb</pre>") == "<pre>a\n\nb</pre>\n"


class TestWww:
    @pytest.mark.parametrize("before", ["", "see ", "(", '"'])
    def test_a_bare_name_becomes_an_address(self, before: str) -> None:
        assert '<a href="https://www.example.com/a"' in html(f"{before}www.example.com/a x")

    def test_an_address_is_left_alone(self) -> None:
        assert '<a href="http://www.example.com"' in html("http://www.example.com")

    def test_code_is_left_alone(self) -> None:
        source = (
            "`www.a.example` ``a`www.b.example``\n\n```\nwww.c.example\n```\n> ~~~\n> www.d.example"
        )
        assert "https:" not in html(source)


class TestBBCode:
    @pytest.mark.parametrize(
        ("bbcode", "markdown"),
        [
            ("[b]a[/b] [I]b[/I] [u]c[/u] [s]d[/s]", "**a** *b* *c* ~~d~~"),
            ("[b][i]a[/i][/b]", "***a***"),
            ("[color=red]a[/color]", "a"),
            ("[list]\n[*]a\n[*] b\n[/list]", "* a\n* b"),
            ("[list=1]\n[*]a\n[/list]", "* a"),
            ("[img]http://e.com/a.png[/img]", "![](http://e.com/a.png)"),
            ("[attach]12[/attach]", "[/attachments/12](/attachments/12)"),
            ("[attach]x[/attach]", "\\[attach]x[/attach]"),
            ("[url]http://e.com/[/url]", "http://e.com/"),
            ("[url=http://e.com/]a[/url]", "[a](http://e.com/)"),
            ("[URL=\"http://e.com/\"]a[/URL] [url='/b']c[/url]", "[a](http://e.com/) [c](/b)"),
            ("[email]a@b.example[/email]", "<a@b.example>"),
            ("[email=a@b.example]write[/email]", "<a@b.example>"),
            ("[cite] Ana:[/cite] b", "*Ana*  b"),
            ("a[quote]b\nc[/quote]d", "a\n\n> b\n> c\n\nd"),
            ("[quote=Ana]a\n```\n[b]b[/b]\n```\n[/quote]c", "> a\n> ```\n> [b]b[/b]\n> ```\n\nc"),
            ("[quote]`[b]` [b]x[/b][/quote]", "> `[b]` **x**"),
            ("[b]open", "\\[b]open"),
            ("[/b]closed", "\\[/b]closed"),
            ("[spoiler]a[/spoiler]", "\\[spoiler]a\\[/spoiler]"),
        ],
    )
    def test_tags_become_markdown(self, bbcode: str, markdown: str) -> None:
        assert tree(html(bbcode)) == tree(html(markdown))

    def test_a_tag_does_not_nest_in_itself(self) -> None:
        rendered = html("[b]a[b]b[/b]c[/b]")
        assert rendered == "<p><strong>a[b]b</strong>c[/b]</p>\n"

    def test_code_is_left_alone(self) -> None:
        assert html("`[b]a[/b]`") == "<p><code>[b]a[/b]</code></p>\n"
        assert html("```\n[url=x]a[/url]\n```") == "<pre><code>[url=x]a[/url]\n</code></pre>\n"

    def test_nothing_is_written_in_private_use_characters(self) -> None:
        source = "\U000f0000[b]`a`[/b]\U000f0001[quote]`b`[/quote]\U000f0000"
        assert not re.search("[\U000f0000-\U000ffffd]", html(source))


class TestHashtags:
    @pytest.mark.parametrize("tag", ["tag", "_", "1a", "a_b_c", "A1"])
    def test_a_tag_is_linked(self, tag: str) -> None:
        link = f'<a href="/search/?q=%23{tag}">#{tag}</a>'
        for source in (f"#{tag} z", f"see #{tag}", f"z\n#{tag}.", f"* #{tag} z", f"z **x** #{tag}"):
            assert link in html(source), source

    @pytest.mark.parametrize(
        "source",
        [
            *(
                "#123 a",
                "a#tag",
                "(#tag)",
                "# tag",
                "\\##tag",
                "#caf\u00e9",
                "a **b**#tag",
                "##tag",
            ),
            *(
                "`#tag` a",
                "```\n#tag\n```",
                "[#tag](/a) b",
                "[a](/b '#tag')",
                "http://a.example/#tag",
            ),
            *("<pre>#tag</pre>", '<div title="#tag">a</div>', "![#tag](/a.png)"),
        ],
    )
    def test_anything_else_is_not(self, source: str) -> None:
        assert "/search/" not in html(source)


class TestLongWords:
    def test_every_forty_characters_get_a_soft_hyphen(self) -> None:
        assert html("a" * 81) == f"<p>{'a' * 40}\u00ad{'a' * 40}\u00ada</p>\n"

    def test_a_word_of_forty_is_whole(self) -> None:
        assert "\u00ad" not in html("a" * 40 + " " + "b" * 40)

    def test_an_entity_is_one_character(self) -> None:
        assert html("&" * 41) == f"<p>{'&amp;' * 40}\u00ad&amp;</p>\n"

    def test_link_texts_are_broken_and_addresses_are_not(self) -> None:
        url = "https://www.example.com/" + "a" * 40
        assert html(url) == f'<p><a href="{url}" {AWAY}>{url[:40]}\u00ad{url[40:]}</a></p>\n'

    def test_code_is_left_alone(self) -> None:
        assert "\u00ad" not in html("`" + "a" * 50 + "`\n\n```\n" + "a" * 50 + "\n```")

    def test_a_joined_emoji_is_not_torn(self) -> None:
        family = "👨\u200d👩\u200d👧"
        assert family in html("a" * 39 + family + "b")
        assert "e\u0301" in html("a" * 39 + "e\u0301" + "b")


class TestLinks:
    @pytest.mark.parametrize(
        ("url", "href"),
        [
            ("http://bikes.example/a/b?c=d#e", "/a/b?c=d#e"),
            ("HTTPS://BIKES.example.", "/"),
            ("https://bikes.forum.example:8443?a=b", "/?a=b"),
            ("//bikes.example/a", "/a"),
            ("https://bikes.example/api/v1/files/ab.png", "/api/v1/files/ab.png"),
        ],
    )
    def test_links_to_the_own_site_become_relative(self, url: str, href: str) -> None:
        assert html(f'<a href="{url}">a</a>') == f'<p><a href="{href}">a</a></p>\n'

    def test_an_own_link_never_turns_into_another_host(self) -> None:
        url = "http://bikes.example//evil.example/"
        assert html(f"[a]({url})") == f'<p><a href="{url}">a</a></p>\n'

    def test_a_file_on_the_subdomain_keeps_its_address(self) -> None:
        url = "https://bikes.forum.example/api/v1/files/ab.png"
        for source in (f"[a]({url})", f"[a]({url[:-6]}cd.png)"):
            rendered = content(source, file_host="bikes.forum.example", shorten=True)
            assert re.fullmatch(
                r'<p><a href="https://bikes\.forum\.example/api/v1/files/..\.png">a</a></p>\n',
                rendered.html,
            )
            assert rendered.urls == ()

    @pytest.mark.parametrize(
        "url",
        [
            *("http://evil.example/bikes.example", "http://bikes.example.evil.example/"),
            *("http://bikes.example@evil.example/", "http://evilbikes.example/"),
            *("//evil.example/a", "/\\evil.example", "\\\\evil.example", "http:\\\\evil.example"),
            *("http://evil.example\\@bikes.example/", "http:evil.example", "http:/evil.example"),
            *("http://bikes.example:x@evil.example/", "/\t/evil.example", "http://[::1]/"),
        ],
    )
    def test_links_elsewhere_say_so(self, url: str) -> None:
        rendered = html(f'<a href="{url}">a</a>')
        assert AWAY in rendered
        assert "bikes.example" not in rendered or "evil" in rendered

    def test_external_urls_are_shortened_once_each(self) -> None:
        source = "http://a.example/ [b](https://b.example/?x=1&y=2) http://a.example/"
        rendered = content(source, shorten=True)
        assert rendered.urls == ("http://a.example/", "https://b.example/?x=1&y=2")
        assert re.findall('href="([^"]+)" ' + AWAY, rendered.html) == [
            f"{JUMP}k0",
            f"{JUMP}k1",
            f"{JUMP}k0",
        ]
        assert ">http://a.example/</a>" in rendered.html

    def test_a_url_without_a_short_link_stays_plain(self) -> None:
        draft = render.prepare(
            "http://a.example/ http://b.example/", own_hosts=SITE, file_host=None
        )
        rendered = render.finish(draft, mentions={}, short_links={"http://b.example/": f"{JUMP}kb"})
        assert f'<a href="http://a.example/" {AWAY}>http://a.example/</a>' in rendered.html
        assert f'<a href="{JUMP}kb" {AWAY}>http://b.example/</a>' in rendered.html
        assert rendered.urls == ("http://b.example/",)

    @pytest.mark.parametrize(
        "source",
        [
            *("[a](//b.example/)", "[a](mailto:a@b.example)", "[a](/b)", "[a](#b)", "[a]()"),
            *(f"[a]({JUMP}kb)", '<a href="http://b.example/"></a>', "`http://b.example/`"),
            *("![a](http://b.example/c.png)", "[a](http://b.example/" + "c" * 2_000 + ")"),
        ],
    )
    def test_other_links_are_not_shortened(self, source: str) -> None:
        assert content(source, shorten=True).urls == ()

    def test_at_most_a_hundred_urls_are_shortened(self) -> None:
        rendered = content(" ".join(f"http://a.example/{n}" for n in range(150)), shorten=True)
        assert len(rendered.urls) == 100
        assert rendered.html.count("<a ") == 150

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "javascript:alert(1)",
                "JaVaScRiPt:alert(1)",
                "java\nscript:alert(1)",
                "data:text/html,a",
            ),
            *(
                "&#106;avascript:alert(1)",
                "vbscript:a",
                "ftp://a.example/",
                "blob:a",
                " javascript:a",
            ),
            *("http://", "http://[", "http://1.2.3.999/", "http://a.example:99999/"),
        ],
    )
    def test_a_link_that_may_not_be_is_unwrapped_and_such_an_image_goes(self, url: str) -> None:
        assert html(f'<a href="{url}">a</a>') == "<p>a</p>\n"
        assert html(f'<div>a<img src="{url}"></div>') == "<div>a</div>\n"

    def test_an_entity_in_an_address_needs_its_semicolon(self) -> None:
        assert '"/a?b=1&amp;copy=2"' in html('<a href="/a?b=1&copy=2">a</a>')
        assert '"/a?b=1&amp;c=2"' in html('<a href="/a?b=1&amp;c=2">a</a>')

    def test_a_written_link_around_an_address_is_one_link(self) -> None:
        rendered = html('<a href="http://a.example/">see http://b.example/ there</a> b')
        assert (
            rendered
            == f'<p><a href="http://a.example/" {AWAY}>see http://b.example/ there</a> b</p>\n'
        )


class TestMentions:
    PEOPLE = {"bob": 7, "ana_k": 41, "tom&amp;jerry": 9, "é": 12, "smith(x)": 13}

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("@bob", '<a href="/profiles/7">@bob</a>'),
            ("+Bob!", '<a href="/profiles/7">+Bob</a>!'),
            ("hi @BOB, you", 'hi <a href="/profiles/7">@BOB</a>, you'),
            ("(see @ana_k)", '(see <a href="/profiles/41">@ana_k</a>)'),
            ("(@ana_k).", '(<a href="/profiles/41">@ana_k</a>).'),
            ('"@bob"?!', '"<a href="/profiles/7">@bob</a>"?!'),
            ("**@bob** x", '<strong><a href="/profiles/7">@bob</a></strong> x'),
            ("@Tom&Jerry", '<a href="/profiles/9">@Tom&amp;Jerry</a>'),
            ("@e\u0301", '<a href="/profiles/12">@e\u0301</a>'),
            ("@smith(x)", '<a href="/profiles/13">@smith(x)</a>'),
        ],
    )
    def test_a_name_is_linked_as_typed(self, source: str, expected: str) -> None:
        assert tree(html(source, mentions=self.PEOPLE)) == tree(f"<p>{expected}</p>")

    @pytest.mark.parametrize(
        "source",
        [
            *(
                "@bobby",
                "@bo",
                "a@bob",
                "`@bob`",
                "```\n@bob\n```",
                "[@bob](/a)",
                "@ bob",
                "@nobody",
            ),
            *(
                "<pre>@bob</pre>",
                "<code>@bob</code>",
                '<div title="@bob">a</div>',
                "![@bob](/a.png)",
            ),
            *("http://a.example/@bob", "[a](/b '@bob')"),
        ],
    )
    def test_nothing_else_is(self, source: str) -> None:
        rendered = content(source, mentions=self.PEOPLE)
        assert "/profiles/" not in rendered.html
        assert rendered.mentioned == ()

    def test_one_name_inside_another_does_not_break_it(self) -> None:
        rendered = content("@bob and @bobby", mentions={"bob": 7, "bobby": 8})
        assert rendered.html == (
            '<p><a href="/profiles/7">@bob</a> and <a href="/profiles/8">@bobby</a></p>\n'
        )
        assert rendered.mentioned == (7, 8)

    def test_names_are_asked_for_in_lower_case_with_and_without_brackets(self) -> None:
        draft = render.prepare("@Ana_K) +BOB. a@x", own_hosts=SITE, file_host=None)
        assert draft.mention_names == {"ana_k)", "ana_k", "bob"}

    def test_a_person_is_notified_once_and_at_most_twenty_are(self) -> None:
        people = {f"p{n}": 100 + n for n in range(30)}
        source = "@p1 @P1 " + " ".join(f"@p{n}" for n in range(30))
        rendered = content(source, mentions=people)
        assert rendered.mentioned == (101, 100, *range(102, 120))
        assert rendered.html.count("/profiles/") == 32

    def test_not_more_than_two_hundred_names_are_asked_for(self) -> None:
        draft = render.prepare(
            " ".join(f"@p{n}" for n in range(5_000)), own_hosts=SITE, file_host=None
        )
        assert len(draft.mention_names) == render.MAX_NAMES


class TestPolicy:
    @pytest.mark.parametrize(
        "kept",
        [
            '<p dir="rtl">a</p>',
            '<p lang="en">a</p>',
            '<p title="A b-c, [d]!">a</p>',
            '<details open=""><summary>a</summary>b</details>',
            '<blockquote cite="http://a.example/">a</blockquote>',
            '<time datetime="2026-03-01T18:22:07Z">a</time>',
            '<del cite="a" datetime="2026-03-01">b</del>',
            '<ul type="square"><li value="3">a</li></ul>',
            f'<table height="1" width="50%" summary="a"><tbody><tr align="left">{CELL}</tr></table>',
            '<meter value="0.5" min="0" max="1">a</meter>',
            '<progress value="1" max="2"></progress>',
            '<img class="ip" src="/a.png" alt="a" align="left" height="10" width="50%">',
            "<ruby>a<rp>(</rp><rt>b</rt><rp>)</rp></ruby>",
            '<bdo dir="rtl">a</bdo>',
            '<a title="x">a</a>',
        ],
    )
    def test_what_is_allowed_stays(self, kept: str) -> None:
        assert tree(html(f"<div>{kept}</div>")) == tree(f"<div>{kept}</div>")

    @pytest.mark.parametrize(
        ("source", "left"),
        [
            ('<p id="comment123">a</p>', "<p>a</p>"),
            ('<p title="a<b">a</p>', "<p>a</p>"),
            ('<p title="a:b">a</p>', "<p>a</p>"),
            ('<p dir="up">a</p>', "<p>a</p>"),
            ('<td width="1px">a</td>', "a"),
            ('<table width="1;x"></table>', "<table></table>"),
            (
                '<img src="/a.png" usemap="#m" onerror="x" class="y" alt="">',
                '<img class="ip" src="/a.png">',
            ),
            ('<map name="m"><area href="/a"></map>a', "a"),
            (
                '<a href="/a" rel="opener" target="_top" ping="x" download>a</a>',
                '<a href="/a">a</a>',
            ),
            ("<a>a</a><a name=x>b</a>", "ab"),
            ("<blockquote cite='javascript:x'>a</blockquote>", "<blockquote>a</blockquote>"),
            ("<time datetime='now'>a</time>", "<time>a</time>"),
            ("<script>x</script><style>x</style><title>x</title>a", "a"),
            ("<iframe src=/a>x</iframe><object>x</object><noscript>x</noscript>a", "a"),
            (
                "<frameset>x</frameset><noembed>x</noembed><noframes>x</noframes><nostyle>x</nostyle>a",
                "a",
            ),
            (
                "<svg><b>a</b></svg><math>b</math><form><input><button>c</button></form>",
                "<b>a</b>bc",
            ),
            ("<audio src=x>a</audio><video>b</video><embed src=x><font>c</font>", "abc"),
            ("<textarea><b>a</b></textarea><xmp>b</xmp><plaintext>c", "<b>a</b>bc"),
        ],
    )
    def test_what_is_not_goes(self, source: str, left: str) -> None:
        assert tree(html(f"<div>{source}</div>")) == tree(f"<div>{left}</div>")

    def test_a_value_that_looks_like_an_image_is_not_touched(self) -> None:
        rendered = html('![<img onerror=alert(1) ">](/a.png)')
        assert rendered == (
            '<p><img class="ip" src="/a.png" alt="&lt;img onerror=alert(1) &quot;&gt;"></p>\n'
        )

    @pytest.mark.parametrize(
        ("source", "nested"),
        [
            ("<b>a<i>b</b>c</i>", "<p><b>a<i>b</i></b>c</p>"),
            ("<b>one\n\ntwo</b>", "<p><b>one</b></p><p>two</p>"),
            ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
            ("<table><tr><td>a<td>b<tr><td>c</table>", None),
            ("<div><p>a<div>b</div></div>", "<div><p>a</p><div>b</div></div>"),
            ("<dl><dt>a<dd>b<dt>c</dl>", "<dl><dt>a</dt><dd>b</dd><dt>c</dt></dl>"),
            ("<div>a</p></b></td></div>b", "<div>a</div>b"),
        ],
    )
    def test_bad_nesting_is_mended(self, source: str, nested: str | None) -> None:
        expected = nested or (
            "<table><tbody><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></tbody></table>"
        )
        assert tree(html(source)) == tree(expected)

    def test_what_is_too_deep_loses_its_tags_but_not_its_text(self) -> None:
        rendered = html("> " * 80 + "deep\n\nshallow")
        assert rendered.count("<blockquote>") == 50
        assert "deep" in rendered
        assert rendered.endswith("<p>shallow</p>\n")
