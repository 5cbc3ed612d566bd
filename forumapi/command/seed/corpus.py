"""Posts and titles for seeded forums: chats from chitchat-dataset (MIT), made forum-like.

The data set holds chats between two people: no links, quotes, code, emoji or script but Latin. A
fixed seed joins neighbouring turns to posts of a forum's length and gives some of them what a
forum's posts have. So post `n` is the same text in every run.
"""

from __future__ import annotations

import re
from importlib import resources
from random import Random
from typing import Final, NamedTuple, Self

import msgspec

from forumapi.command.seed import phrases

SEED: Final = 20_140_128
_LONGEST: Final = 4_000  # characters of a post; the longest turn of the data set has 95,000
_QUOTES: Final = 0.12  # share of posts that quote
_TYPICAL_LOG: Final = (
    4.6  # log of the median number of characters that turns are joined up to (100)
)
_SPREAD_LOG: Final = 0.9

# Left out: ways to reach the people who took part, addresses, and words that a demonstration had
# better not show. Plain searches, in a whole chat first: one pattern of all words took 4 s.
_UNWANTED: Final = (
    *("@", "http", "www.", "snapchat", "snap chat", "last name", "phone number"),
    *("fuck", "shit", "cunt", "nigg", "rape", "porn", "sex", "bitch", "dick", "puss", "slut"),
    *("horny", "suicid", "kill", "murder", "nazi", "hitler", "terroris"),
)
_UNWANTED_PATTERN: Final = re.compile(
    r"\d{3}[-. ]?\d{4}|\+[A-Za-z]"
)  # telephone numbers; what would be a mention
_SENTENCE: Final = re.compile(r"[^.!?\n]+[.!?]*")
_SPACES: Final = re.compile(r"\s+")


class SeedError(Exception):
    """Failure of seeding; the message is for the operator. Nothing was written."""


class _Utterance(msgspec.Struct, gc=False):
    text: str


class _Chat(msgspec.Struct, gc=False):
    messages: list[list[_Utterance]]
    prompt: str = ""


class Thread(NamedTuple):
    """Chat of the data set: its posts are those from `first` to `end` - 1 of the corpus; `prompt`: the topic that the
    data set gives the chat, "" without one.
    """

    first: int
    end: int
    prompt: str


class Corpus:
    """Posts of all chats, numbered from 0, chat after chat, and the chats (`threads`); within a chat each post answers
    the previous one.
    """

    def __init__(self, posts: list[str], threads: list[Thread]) -> None:
        self.posts = posts
        self.threads = threads
        opens = {thread.first for thread in threads}
        # 1 where a post quotes the one before it, so that it must stand behind it.
        self.quoting = bytearray(
            number not in opens and _draw(number).random() < _QUOTES for number in range(len(posts))
        )

    @classmethod
    def read(cls, about: tuple[str, ...] = ()) -> Self:
        """Read the data set's chats from its installed package: all (2 s) if `about` is (), else those that hold one of
        the words `about`, in any letter case, also within another word (`about` itself must be in lower case). Raises
        SeedError if the package, the extra `demo`, is missing.
        """
        try:
            data = resources.files("chitchat_dataset").joinpath("dataset.json").read_bytes()
        except ModuleNotFoundError:
            raise SeedError("no texts to seed with: install forumapi[demo]") from None
        chats = msgspec.json.decode(data, type=dict[str, _Chat])
        posts: list[str] = []
        threads: list[Thread] = []
        for number, chat in enumerate(chats.values()):
            said = "\n".join([utterance.text for turn in chat.messages for utterance in turn])
            if about and not _holds(said, about):
                continue
            first = len(posts)
            posts += _posts_of(chat, Random(SEED + number), clean=not _is_unwanted(said))
            if len(posts) > first:
                threads.append(Thread(first, len(posts), chat.prompt))
        return cls(posts, threads)

    def about(self, words: tuple[str, ...]) -> list[Thread]:
        """Return the chats with a post that holds one of the words, in any letter case, also within another word
        (`words` itself must be in lower case); the chats with most such posts first.
        """
        found = [
            (sum(_holds(post, words) for post in self.posts[t.first : t.end]), t)
            for t in self.threads
        ]
        return [t for hits, t in sorted(found, key=lambda pair: -pair[0]) if hits]

    def text(self, number: int) -> str:
        """Return post `number` as Markdown: its text, in some posts with a quotation, a link, code or such added."""
        post = self.posts[number]
        rng = _draw(number)
        draw = rng.random()
        if self.quoting[number]:
            return _quoting(self.posts[number - 1], post, rng)
        for limit, dress in _DRESSES:
            if draw < limit:
                return dress(post, rng)
        return post

    def title(self, thread: Thread, number: int, words: tuple[str, ...] = ()) -> str:
        """Return a title of at most 90 characters without markup for a conversation that begins with post `number` of
        the corpus, one of the thread's. The title is a sentence of that post or the five after it in the thread: one
        that holds one of the words (given in lower case) if there is any, a question first, else a question if there is
        any, else the first sentence. Sentences of fewer than 15 characters do not count; without longer ones the title
        is the thread's prompt or "Hello everybody". With `words` () it is sometimes the prompt. An emoji stands behind
        some titles.
        """
        rng = Random(SEED * 7_919 + number)
        if thread.prompt and not words and rng.random() < 0.12:
            return _shortened(thread.prompt)
        sentences: list[str] = []
        for post in self.posts[number : min(thread.end, number + 6)]:
            sentences += [s.strip() for s in _SENTENCE.findall(post)]
        told = [s for s in sentences if len(s) >= 15]
        asked = [s for s in told if s.endswith("?") and len(s) <= 80]
        apt = [s for s in (*asked, *told) if _holds(f" {s}", words)]
        title = _shortened((apt or asked or told or [thread.prompt or "Hello everybody"])[0])
        title = title[0].upper() + title[1:]
        return f"{title} {_pick(rng, phrases.EMOJI)}" if rng.random() < 0.04 else title

    def first_about(self, thread: Thread, words: tuple[str, ...]) -> int:
        """Return the number, in the corpus, of the thread's first post that holds one of the words (given in lower
        case) and gets no quotation; if there is no such post, of the thread's first post.
        """
        for number in range(thread.first, thread.end):
            if not self.quoting[number] and _holds(self.posts[number], words):
                return number
        return thread.first


def _draw(number: int) -> Random:
    return Random(SEED * 1_000_003 + number)


def _posts_of(chat: _Chat, rng: Random, clean: bool) -> list[str]:
    """Return a chat's turns joined in order into posts, whose lengths are drawn from `rng`; a post is cut after 4,000
    characters. Messages with words unfit for a demonstration are left out of their turns, unless the chat is known to
    have none (`clean`). A turn that is then empty or still longer than 4,000 characters is left out.
    """
    posts: list[str] = []
    parts: list[str] = []
    length, wanted = 0, 0.0
    for turn in chat.messages:
        text = "\n".join(
            [u.text.strip() for u in turn if clean or not _is_unwanted(u.text)]
        ).strip()
        if not text or len(text) > _LONGEST:
            continue
        if not parts:
            wanted = rng.lognormvariate(_TYPICAL_LOG, _SPREAD_LOG)
        parts.append(text)
        length += len(text)
        if length >= wanted:
            posts.append("\n\n".join(parts)[:_LONGEST])
            parts, length = [], 0
    if parts:
        posts.append("\n\n".join(parts)[:_LONGEST])
    return posts


def _is_unwanted(text: str) -> bool:
    return _holds(text, _UNWANTED) or _UNWANTED_PATTERN.search(text) is not None


def _holds(text: str, words: tuple[str, ...]) -> bool:
    lowered = text.lower()
    return any(word in lowered for word in words)


def _pick(rng: Random, choices: tuple[str, ...]) -> str:
    return choices[int(rng.random() * len(choices))]


def _shortened(sentence: str) -> str:
    sentence = _SPACES.sub(" ", sentence).strip()
    return sentence if len(sentence) <= 80 else sentence[:78].rsplit(" ", 1)[0] + "…"


def _quoting(before: str, post: str, rng: Random) -> str:
    quoted = before[:400]
    if rng.random() < 0.15:  # what old imports look like
        return f"[quote]{quoted}[/quote]\n{post}"
    return "> " + quoted.replace("\n", "\n> ") + f"\n\n{post}"


def _with_emoji(post: str, rng: Random) -> str:
    return f"{post} {_pick(rng, phrases.EMOJI)}"


def _with_link(post: str, rng: Random) -> str:
    url = _pick(rng, phrases.LINKS)
    if rng.random() < 0.4:
        return f"{post}\n\n[{_pick(rng, phrases.LINK_TEXTS)}]({url})"
    return f"{post}\n{url}"


def _with_code(post: str, rng: Random) -> str:
    return f"{post}\n\n{_pick(rng, phrases.CODE)}"


def _with_script(post: str, rng: Random) -> str:
    phrase = _pick(rng, phrases.SCRIPTS)
    return f"{phrase}\n\n{post}" if rng.random() < 0.5 else f"{post}\n\n{phrase}"


def _with_emphasis(post: str, rng: Random) -> str:
    words = post.split(" ")
    at = int(rng.random() * len(words))
    mark = _pick(rng, ("**", "*", "~~", "`"))
    if "\n" not in words[at] and words[at].isalnum():
        words[at] = f"{mark}{words[at]}{mark}"
    return " ".join(words)


def _as_list(post: str, rng: Random) -> str:
    mark = _pick(rng, ("- ", "* ", "1. "))
    return mark + f"\n{mark}".join(line for line in post.splitlines() if line.strip())


def _with_picture(post: str, rng: Random) -> str:
    return f"{post}\n\n![]({_pick(rng, phrases.PICTURES)})"


def _with_heading(post: str, rng: Random) -> str:
    return f"## {_pick(rng, phrases.HEADINGS)}\n\n{post}\n\n{_pick(rng, phrases.TABLES)}"


def _with_hashtag(post: str, rng: Random) -> str:
    return f"{post} {_pick(rng, phrases.HASHTAGS)}"


# Share of posts, added up; below _QUOTES stand the quotes (and a few emoji).
_DRESSES: Final = (
    (0.20, _with_emoji),
    (0.26, _with_link),
    (0.29, _with_code),
    (0.33, _with_script),
    (0.38, _with_emphasis),
    (0.41, _as_list),
    (0.43, _with_picture),
    (0.44, _with_heading),
    (0.46, _with_hashtag),
)
