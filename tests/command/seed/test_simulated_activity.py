"""The shape of seeded sites, before anything is stored."""

from random import Random

import pytest

from forumapi.command.seed import bench_tokens, simulated_activity
from forumapi.command.seed.corpus import Corpus


@pytest.mark.parametrize(
    "size", simulated_activity.SIZES.values(), ids=simulated_activity.SIZES.keys()
)
def test_the_sites_of_a_size_add_up_to_it(size):
    plans = simulated_activity.plan(size)

    assert len(plans) == size.sites
    assert sum(plan.profiles for plan in plans) == size.profiles
    assert sum(plan.conversations for plan in plans) == size.conversations
    assert sum(plan.comments for plan in plans) == size.comments
    assert len({plan.key for plan in plans}) == size.sites


def test_the_sizes_are_those_that_were_asked_for():
    assert {
        name: (s.sites, s.profiles, s.conversations, s.comments, s.longest)
        for name, s in simulated_activity.SIZES.items()
    } == {
        "S": (3, 500, 2_500, 12_000, 300),
        "M": (20, 20_000, 40_000, 500_000, 10_000),
        "L": (300, 275_000, 400_000, 4_000_000, 70_000),
    }


def test_half_of_everything_is_on_the_site_to_measure_on():
    bench = simulated_activity.plan(simulated_activity.SIZES["M"])[0]

    assert bench.key == "bench"
    assert (bench.profiles, bench.conversations, bench.comments) == (10_000, 20_000, 250_000)
    assert (bench.microcosms, bench.top) == (200, 20)


def test_parts_are_exact_and_near_to_their_weights():
    parts = simulated_activity.apportion(101, [1, 1, 2], least=1)

    assert sum(parts) == 101
    assert parts == [26, 25, 50]


def test_most_conversations_are_short_and_few_are_long():
    sizes = simulated_activity.sizes(20_000, 220_000)

    assert sum(sizes) == 220_000
    assert sizes.count(0) == 200
    assert sorted(sizes)[10_000] <= 6
    assert 1_000 < max(sizes) < 10_000


def test_names_are_unique_whatever_their_case_and_fit():
    names = simulated_activity.names(20_000, {3: "owner"}, Random(1))

    assert names[3] == "owner"
    assert len({name.lower() for name in names}) == 20_000
    assert all(2 <= len(name) <= 25 and " " not in name and "@" not in name for name in names)


def test_tokens_of_the_benchmark_are_always_the_same_and_look_like_tokens():
    tokens = bench_tokens()

    assert tokens == bench_tokens()
    assert list(tokens) == [f"bench_member_{n}" for n in range(1, 17)]
    assert len(set(tokens.values())) == 16
    assert all(
        len(token) == 128 and token.isalnum() and token.isascii() and token.startswith("fapi")
        for token in tokens.values()
    )


@pytest.mark.wide
@pytest.mark.slow
def test_a_site_has_the_same_shape_every_time():
    corpus = Corpus.read()
    plan = simulated_activity.plan(simulated_activity.SIZES["S"])[1]

    assert simulated_activity.site(plan, corpus) == simulated_activity.site(plan, corpus)


@pytest.mark.wide
@pytest.mark.slow
def test_posts_have_what_a_forum_has():
    corpus = Corpus.read()
    texts = [corpus.text(number) for number in range(5_000)]
    whole = "\n".join(texts)

    for part in (
        "\n> ",
        "https://",
        "](http",
        "```",
        "👍",
        "**",
        "[quote]",
        "![](",
        "| ",
        "#",
        "Спасибо",
    ):
        assert part in whole
    assert all(texts)
    assert max(map(len, texts)) < 10_000


@pytest.mark.wide
@pytest.mark.slow
def test_a_quote_stands_behind_what_it_quotes():
    corpus = Corpus.read()
    number = corpus.quoting.index(1)

    assert corpus.posts[number - 1][:20].splitlines()[0] in corpus.text(number)
