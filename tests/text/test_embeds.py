"""Embeds: content 11.10 with C-49 and C-55."""

from __future__ import annotations

import pytest

from forumapi.text import embeds, render
from tests.text.html_tree import assert_safe, nodes
from tests.text.pipeline import JUMP, SITE, content

YOUTUBE = ("https://www.youtube-nocookie.com/embed/abcdefghijk", "560", "315")
PLAYLIST = ("https://www.youtube-nocookie.com/embed/videoseries?list=PL_a-1", "560", "315")
VIMEO = ("https://player.vimeo.com/video/12345", "500", "281")
BIKEMAP_QUERY = "width=640&extended=1&distance_markers=1&height=480&unit=metric"
BIKEMAP = (
    f"https://www.bikemap.net/en/route/12/widget/?{BIKEMAP_QUERY}",
    "640",
    "628",
)

FRAMES = {
    "youtu.be/abcdefghijk": YOUTUBE,
    "youtu.be/abcdefghijk?t=30": YOUTUBE,
    "youtube.com/watch?v=abcdefghijk": YOUTUBE,
    "www.youtube.com/watch?v=abcdefghijk": YOUTUBE,
    "WWW.YouTube.com/watch?v=abcdefghijk": YOUTUBE,
    "m.youtube.com/watch?app=m&v=abcdefghijk&t=1m": YOUTUBE,
    "www.youtube.com/embed/abcdefghijk": YOUTUBE,
    "www.youtube.com/v/abcdefghijk": YOUTUBE,
    "www.youtube.com/shorts/abcdefghijk": YOUTUBE,
    "www.youtube.com/live/abcdefghijk?si=x-y": YOUTUBE,
    "www.youtube.com/playlist?list=PL_a-1": PLAYLIST,
    "www.youtube.com/watch?v=abcdefghijk&list=PL_a-1&index=2": PLAYLIST,
    "youtu.be/abcdefghijk?list=PL_a-1": PLAYLIST,
    "vimeo.com/12345": VIMEO,
    "www.vimeo.com/12345": VIMEO,
    "vimeo.com/video/12345": VIMEO,
    "player.vimeo.com/video/12345": VIMEO,
    "vimeo.com/groups/fixed_gear/videos/12345": VIMEO,
    "www.strava.com/segments/box-hill-12": (
        "https://www.strava.com/segments/12/embed",
        "460",
        "360",
    ),
    "app.strava.com/segments/box-hill-12": (
        "https://www.strava.com/segments/12/embed",
        "460",
        "360",
    ),
    "www.strava.com/activities/12/embed/0aF9": (
        "https://www.strava.com/activities/12/embed/0aF9",
        "590",
        "404",
    ),
    "connect.garmin.com/course/12": ("https://connect.garmin.com/course/embed/12", "560", "600"),
    "connect.garmin.com/modern/activity/12": (
        "https://connect.garmin.com/activity/embed/12",
        "465",
        "548",
    ),
    "ridewithgps.com/routes/12": ("https://ridewithgps.com/routes/12/embed", "100%", "650"),
    "ridewithgps.com/trips/12": ("https://ridewithgps.com/trips/12/embed", "100%", "500"),
    "www.plotaroute.com/route/12": (
        "https://www.plotaroute.com/embedmap/12?units=km",
        "100%",
        "650",
    ),
    "www.plotaroute.com/map/12": ("https://www.plotaroute.com/embedmap/12?units=km", "100%", "650"),
    "www.bikemap.net/route/12": BIKEMAP,
    "www.bikemap.net/en/route/12-round-the-lake/": BIKEMAP,
    "www.google.com/calendar/embed?src=a%40b.example&ctz=Europe/London&mode=AGENDA&title=x&bgcolor=y": (
        "https://www.google.com/calendar/embed?src=a%40b.example&ctz=Europe%2FLondon&mode=AGENDA",
        "100%",
        "600",
    ),
}

SOURCES = {src for src, _, _ in FRAMES.values()}

NOT_FRAMES = [
    *("https://example.com/watch?v=abcdefghijk", "https://www.youtube.com/watch?v=abcdefghij"),
    *("https://www.youtube.com/watch?v=abcdefghijkl", "https://www.youtube.com/abcdefghijk"),
    *(
        "https://www.youtube.com.evil.example/watch?v=abcdefghijk",
        "https://evilyoutube.com/v/abcdefghijk",
    ),
    *(
        "https://youtube.com@evil.example/v/abcdefghijk",
        "https://evil.example/youtu.be/abcdefghijk",
    ),
    *("https://www.youtube.com:8080/watch?v=abcdefghijk", "ftp://youtu.be/abcdefghijk"),
    *("https://vimeo.com/12345abc", "https://vimeo.com/abc", "https://vimeo.com/12345/../x"),
    *("https://www.strava.com/segments/box-hill", "https://www.strava.com/clubs/x/latest-rides/0a"),
    *("https://www.strava.com/athletes/1/activity-summary/0a", "https://strava.com/segments/x-1"),
    *("https://www.gpsies.com/map.do?fileId=x", "http://www.bikely.com/maps/bike-path/x"),
    *("http://www.everytrail.com/view_trip.php?trip_id=1", "https://connect.garmin.com/course/1a"),
    *("https://www.google.com/calendar/embed", "https://www.google.com/calendar/embed?ctz=UTC"),
    *("https://www.google.com/calendar/render?src=x", "https://www.google.com/maps?src=x"),
    *("https://ridewithgps.com/routes/1/embed", "https://www.bikemap.net/de/route/1"),
]

TAILS = [
    *(
        '"',
        "'",
        '"><script>alert(1)</script>',
        '" onload="alert(1)',
        "'onload='alert(1)",
        "\\",
        "<",
        ">",
    ),
    *(
        "\n",
        "/../../evil",
        "%22%3E",
        "\u2028",
        "\u00e9",
        "{0}",
        "{id}",
        "{n.__class__}",
        "\x00",
        " x",
    ),
    *("?a=<b>", '#"', "//evil.example", "@evil.example", "|", "`"),
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("address", FRAMES)
def test_an_address_has_its_frame(scheme: str, address: str) -> None:
    embed = embeds.find(f"{scheme}://{address}")
    assert embed is not None
    assert (embed.src, embed.width, embed.height) == FRAMES[address]


@pytest.mark.parametrize("url", NOT_FRAMES)
def test_another_address_has_none(url: str) -> None:
    assert embeds.find(url) is None


@pytest.mark.parametrize("address", FRAMES)
def test_a_hostile_tail_gains_nothing(address: str) -> None:
    for tail in TAILS:
        embed = embeds.find(f"https://{address}{tail}")
        if embed:
            # A tail may be part of a parameter that no frame gets; the calendar's are encoded.
            assert embed.src in SOURCES or "/calendar/" in embed.src, tail
            assert_safe(embed.html(), frames=True)
            assert not set("<>\"'\\ \n") & set(embed.src), tail
        rendered = content(f'<a href="https://{address}{tail}">x</a>', shorten=True).html
        assert_safe(rendered, frames=True)
        rendered = content(f"https://{address}{tail}", shorten=True).html
        assert_safe(rendered, frames=True)


def test_a_frame_stands_after_its_link() -> None:
    rendered = content("see https://youtu.be/abcdefghijk now", shorten=True)
    assert rendered.html == (
        f'<p>see <a href="{JUMP}k0" embed="true" rel="nofollow noopener" target="_blank">'
        "https://youtu.be/abcdefghijk</a><br />\n"
        '<iframe width="560" height="315" src="https://www.youtube-nocookie.com/embed/abcdefghijk"'
        ' frameborder="0" allowfullscreen loading="lazy"'
        ' referrerpolicy="strict-origin-when-cross-origin"></iframe><br />\n now</p>\n'
    )


def test_maps_do_not_scroll() -> None:
    frame = embeds.find("https://www.strava.com/segments/x-1")
    assert frame
    assert 'scrolling="no"' in frame.html()
    assert "allowfullscreen" not in frame.html()


def test_every_occurrence_gets_a_frame_up_to_twenty() -> None:
    rendered = content("https://youtu.be/abcdefghijk " * 25, shorten=True)
    frames = [node for node in nodes(rendered.html) if node.tag == "iframe"]
    assert len(frames) == render.MAX_EMBEDS == 20
    assert rendered.html.count('embed="true"') == 20


def test_only_a_shortened_link_gets_a_frame() -> None:
    assert "<iframe" not in content("https://youtu.be/abcdefghijk").html
    assert "<iframe" not in content("`https://youtu.be/abcdefghijk`", shorten=True).html


def test_a_code_that_begins_like_another_gets_no_frame() -> None:
    draft = render.prepare(
        "https://youtu.be/abcdefghijk https://a.example/", own_hosts=SITE, file_host=None
    )
    short = {"https://youtu.be/abcdefghijk": f"{JUMP}kd", "https://a.example/": f"{JUMP}kda"}
    rendered = render.finish(draft, mentions={}, short_links=short)
    assert rendered.html.count("<iframe") == 1
    assert f'<a href="{JUMP}kda" rel' in rendered.html


def test_an_author_cannot_write_a_frame_or_its_mark() -> None:
    source = (
        f'<a href="{JUMP}kd" embed="true">x</a><iframe src="https://youtu.be/abcdefghijk"></iframe>'
    )
    rendered = content(source, shorten=True).html
    assert "iframe" not in rendered
    assert "embed=" not in rendered
