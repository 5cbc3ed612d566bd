"""Judge of search: queries drawn by a seed from a site's own texts, each with what it has to find.

A known item is a text of which somebody remembers three rare words. Half of the queries have one typing error, a fifth
are in scripts without spaces. Another fifth use operators, and must find what scanning each text finds.
"""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode

import psycopg

from forumapi.models.discovery import search

SEED = 5
QUERIES = 200
RECALLED = 25
EXACT, FORGIVEN = 0.95, 0.8
"""The share of known items to be among the first RECALLED hits: typed right, and with an error."""
UNSPACED = 300
RARE_ONE_IN, RARE_COUNT = 500, 20
"""A word is rare that stands in one of so many texts of the site, or in so few."""
SOME = 1_000
"""Of more hits than a search finds, so many are looked at."""

_TALK = {
    "zh": (
        "自行车 轮胎 漏气 修理 补胎 链条 生锈 刹车 太软 调整 前叉 后轮 车座 高度 "
        "合适 昨天 雨天 骑行 山路 下坡 小心 头盔 便宜 商店 推荐 变速 不准 螺丝 "
        "松动 工具 借给 朋友 周末 一起 出发 早上 六点 集合 地铁 出口 照明 电池 "
        "充电"
    ),
    "ja": (
        "自転車 タイヤ 交換 チェーン 錆びる ブレーキ 調整する "
        "前輪 後輪 サドル 高さ 合わせる 昨日 雨の日 "
        "峠道 下り坂 気をつけて ヘルメット 安い お店 教えて "
        "変速機 ずれる ねじ 緩む 工具 貸した 友達 "
        "週末 一緒に 出発 早朝 集合 駅前 出口 "
        "ライト 電池 充電"
    ),
    "th": (
        "จักรยาน ยาง รั่ว ซ่อม โซ่ สนิม เบรก "
        "ปรับ ล้อหน้า ล้อหลัง เบาะ ความสูง เมื่อวาน ฝนตก "
        "ภูเขา ลงเขา ระวัง หมวก ราคาถูก ร้านค้า แนะนำ "
        "เกียร์ เพี้ยน น็อต หลวม เครื่องมือ เพื่อน วันหยุด "
        "ด้วยกัน ออกเดินทาง ตอนเช้า นัดพบ สถานี ทางออก ไฟหน้า "
        "แบตเตอรี่ ชาร์จ"
    ),
}
SENTENCES = {language: words.split() for language, words in _TALK.items()}
"""Words of talk about bicycles in scripts without spaces."""
WORD = re.compile(r"(?<!\w)[a-z]{4,20}(?!\w)")
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Find = Callable[[str], Any]
"""`data` of GET /search with a query string, as a guest."""

TEXTS = """
    SELECT 4::smallint, c.comment_id, c.markdown
      FROM comments c
      JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND NOT c.is_deleted AND NOT c.is_moderated AND NOT i.is_deleted
       AND NOT i.is_moderated AND i.microcosm_id = ANY(%(readable)s)
       AND (%(among)s::text[] IS NULL OR c.markdown = ANY(%(among)s::text[]))
     ORDER BY md5(c.comment_id::text || %(seed)s::text)
     LIMIT %(count)s"""
COUNT = "SELECT count(*) FROM comments c WHERE c.site_id = %(site_id)s"
RARITY = "SELECT w.word, w.documents FROM search_words w WHERE w.site_id = %(site_id)s AND w.word = ANY(%(words)s)"
WRITERS = """
    SELECT n.profile_id FROM profile_counters n
     WHERE n.site_id = %(site_id)s ORDER BY n.comment_count DESC, n.profile_id LIMIT 20"""
STEMS = "SELECT w.word, (ts_lexize('english_stem', w.word))[1] FROM unnest(%(words)s::text[]) AS w (word)"

# Each text anew, out of reach of any index; who may see what is asked of the rows themselves.
SCANNED = """
    CREATE TEMPORARY TABLE scanned AS
    SELECT 4::smallint AS kind, c.comment_id AS id, c.created_by AS author, c.created AS moment,
           i.microcosm_id AS place, search_vector('english', '', 'D', c.markdown) AS vector
      FROM comments c
      JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND NOT c.is_deleted AND NOT c.is_moderated AND NOT i.is_deleted
       AND NOT i.is_moderated AND i.microcosm_id = ANY(%(readable)s)
     UNION ALL
    SELECT 4, c.comment_id, c.created_by, c.created, NULL, search_vector('english', '', 'D', c.markdown)
      FROM comments c
      JOIN profiles p ON p.site_id = c.site_id AND p.profile_id = c.on_profile_id
     WHERE c.site_id = %(site_id)s AND NOT c.is_deleted AND NOT c.is_moderated AND p.is_visible
     UNION ALL
    SELECT i.item_type_id, i.item_id, i.created_by, i.last_activity, i.microcosm_id,
           search_vector('english', search_unescaped(i.title), 'C', search_unescaped(coalesce(e.place, o.question, '')))
      FROM items i
      LEFT JOIN events e ON e.site_id = i.site_id AND e.item_id = i.item_id
      LEFT JOIN polls o ON o.site_id = i.site_id AND o.item_id = i.item_id
     WHERE i.site_id = %(site_id)s AND NOT i.is_deleted AND NOT i.is_moderated AND i.microcosm_id = ANY(%(readable)s)
     UNION ALL
    SELECT 2, m.microcosm_id, m.created_by, m.created, m.microcosm_id,
           search_vector('english', search_unescaped(m.title), 'A', search_unescaped(m.description))
      FROM microcosms m
     WHERE m.site_id = %(site_id)s AND m.microcosm_id = ANY(%(readable)s)
     UNION ALL
    SELECT 3, p.profile_id, p.profile_id, n.last_active, NULL,
           search_vector('english', search_unescaped(p.profile_name), 'B', '')
      FROM profiles p
      JOIN profile_counters n ON n.site_id = p.site_id AND n.profile_id = p.profile_id
     WHERE p.site_id = %(site_id)s AND p.is_visible"""

BELOW = """
    WITH RECURSIVE below AS (
        SELECT m.microcosm_id FROM microcosms m WHERE m.site_id = %(site_id)s AND m.microcosm_id = %(place)s
         UNION ALL
        SELECT m.microcosm_id FROM microcosms m
          JOIN below b ON m.site_id = %(site_id)s AND m.parent_id = b.microcosm_id)
    SELECT b.microcosm_id FROM below b"""

NAMES = {2: "microcosm", 3: "profile", 4: "comment", 6: "conversation", 7: "poll", 9: "event"}


@dataclass(frozen=True)
class Known:
    """Query, and the text that it has to find."""

    query: str
    text: str
    has_error: bool
    script: str = ""


@dataclass(frozen=True)
class Operated:
    """Query with operators, and the SQL condition on `scanned` that holds for what it has to find."""

    query: str
    condition: str
    values: dict[str, Any]


@dataclass
class Report:
    """Result of all queries: how many found what they had to, and how long they took."""

    exact: list[bool] = field(default_factory=list)
    forgiven: list[bool] = field(default_factory=list)
    operated: int = 0
    compared: int = 0
    times_ms: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Return True if enough known items were found, and operators found what they must."""
        return share(self.exact) >= EXACT and share(self.forgiven) >= FORGIVEN and not self.wrong

    @property
    def p99_ms(self) -> float:
        """Return the 99th percentile, in ms, of the queries for known items, asked one at a time."""
        times = sorted(self.times_ms)
        return times[math.ceil(0.99 * len(times)) - 1]

    def document(self) -> dict[str, Any]:
        """Return the figures as a dict, for JSON."""
        return {
            "recall_exact": share(self.exact),
            "recall_forgiven": share(self.forgiven),
            "queries": [len(self.exact), len(self.forgiven), self.operated],
            "wrong": self.wrong,
            "p50_ms": statistics.median(self.times_ms),
            "p99_ms": self.p99_ms,
        }

    def words(self) -> str:
        """Return the figures as text for people."""
        return (
            f"search: {share(self.exact):.1%} of {len(self.exact)} known items among the first {RECALLED} "
            f"(≥ {EXACT:.0%}), {share(self.forgiven):.1%} of {len(self.forgiven)} with a typing error "
            f"(≥ {FORGIVEN:.0%}); "
            f"{self.operated - len(self.wrong)} of {self.operated} queries with operators find what a scan finds "
            f"({self.compared:,} hits); p50 {statistics.median(self.times_ms):.0f} ms, p99 {self.p99_ms:.0f} ms"
        )


def share(found: Sequence[bool]) -> float:
    """Return the share, 0 to 1, of True among `found`."""
    return sum(found) / len(found) if found else 0.0


def sentences(random: Random, count: int) -> list[str]:
    """Make `count` texts in scripts without spaces, by language in turn: twelve of the language's words in two
    sentences.
    """
    made = []
    for number in range(count):
        words = random.sample(list(SENTENCES.values())[number % len(SENTENCES)], 12)
        made.append("".join(words[:6]) + "。" + "".join(words[6:]))
    return made


def mistyped(random: Random, word: str) -> str:
    """Return the word with one typing error: a letter more, fewer, wrong, or exchanged with its neighbour."""
    while True:
        at, letter = random.randrange(len(word)), random.choice(LETTERS)
        kind = random.randrange(4)
        made = (
            word[:at] + letter + word[at:],
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at + 1 :],
            word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
        )[kind]
        if made != word:
            return made


def mistyped_unspaced(random: Random, word: str, others: Sequence[str]) -> str:
    """Return a word of a script without spaces with one typing error; its letters come from `others`."""
    while True:
        at, letter = random.randrange(len(word)), random.choice(random.choice(others))
        made = random.choice(
            (
                word[:at] + letter + word[at:],
                word[:at] + letter + word[at + 1 :],
                word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
            )
        )
        if made != word:
            return made


class Judge:
    """Drawer of queries from one site's texts, which compares what they find. `readable`: microcosms that a guest may
    read.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        site_id: int,
        readable: Sequence[int],
        find: Find,
        *,
        seed: int = SEED,
    ) -> None:
        self._connection = connection
        self._site = {"site_id": site_id, "readable": list(readable)}
        self._find = find
        self._random = Random(seed)
        self._seed = seed

    def run(self, count: int = QUERIES, *, scans: bool = True) -> Report:
        """Ask `count` queries: of each five, three with words, one in a script without spaces, one with operators.

        Those with operators only if it `scans`: scanning each text takes minutes where there are millions.
        """
        report = Report()
        fifth = count // 5
        texts = self._texts(30 * count)
        for known in (*self._spaced(texts, 3 * fifth), *self._unspaced(texts, fifth)):
            self._ask(known, report)
        if scans:
            self._scan(self._operated(texts, fifth), report)
        return report

    def _rows(self, query: str, **values: Any) -> list[Any]:
        return self._connection.execute(query, self._site | values).fetchall()

    def _texts(self, count: int) -> list[str]:
        rows = self._rows(TEXTS, seed=self._seed, count=count, among=None)
        planted = sentences(Random(self._seed), UNSPACED)
        rows += self._rows(TEXTS, seed=self._seed, count=count, among=planted)
        return list(dict.fromkeys(row[2] for row in rows))

    def _by_rarity(self, texts: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
        """Return for each text its words with the number of texts that have each, the rarest first; of words with one
        stem only one.
        """
        words = sorted({word for text in texts for word in WORD.findall(text.lower())})
        seen = dict(self._rows(RARITY, words=words))
        stems = dict(self._rows(STEMS, words=words))
        found = {}
        for text in texts:
            own = {
                stems[word]: word
                for word in WORD.findall(text.lower())
                if word in seen and stems[word]
            }
            found[text] = sorted((seen[word], word) for word in own.values())
        return found

    def _spaced(self, texts: Sequence[str], count: int) -> list[Known]:
        made: list[Known] = []
        latin = [text for text in texts if text.isascii()]
        most = max(RARE_COUNT, self._rows(COUNT)[0][0] // RARE_ONE_IN)
        for text, known in self._by_rarity(latin).items():
            if len(made) == count:
                break
            words = [word for seen, word in known if seen <= most]
            if len(words) < 3:
                continue
            chosen = words[:3]
            # Two thirds of these and half of those without spaces: half of all but the ones with operators, and more.
            has_error = len(made) % 3 != 0
            if has_error:
                at = self._random.randrange(3)
                chosen[at] = mistyped(self._random, chosen[at])
            self._random.shuffle(chosen)
            made.append(Known(" ".join(chosen), text, has_error))
        return made

    def _unspaced(self, texts: Sequence[str], count: int) -> list[Known]:
        planted = set(sentences(Random(self._seed), UNSPACED))
        made: list[Known] = []
        for text in texts:
            if text not in planted or len(made) == count:
                continue
            words = [
                word
                for known in SENTENCES.values()
                for word in known
                if word in text and len(word) > 1
            ]
            chosen = self._random.sample(words, 3)
            has_error = len(made) % 2 != 0
            if has_error:
                longest = max(range(3), key=lambda at: len(chosen[at]))
                # A word that is typed wrong has something left that is right.
                if len(chosen[longest]) < 3:
                    chosen[longest] = text[: len(chosen[longest]) + 2]
                chosen[longest] = mistyped_unspaced(self._random, chosen[longest], words)
            made.append(Known(" ".join(chosen), text, has_error, script="unspaced"))
        return made

    def _ask(self, known: Known, report: Report) -> None:
        began = time.monotonic()
        data = self._find(urlencode({"q": known.query, "limit": RECALLED}))
        report.times_ms.append((time.monotonic() - began) * 1000)
        texts = {
            entry["item"].get("markdown", entry["item"].get("title"))
            for entry in data["results"]["items"]
        }
        # A text that stands there several times is found in any place.
        is_found = known.text in texts
        (report.forgiven if known.has_error else report.exact).append(is_found)
        if not is_found:
            report.missed.append(f"{known.query!r} in {known.text[:200]!r}")

    # ---------------------------------------------------------------- operators

    def _operated(self, texts: Sequence[str], count: int) -> list[Operated]:
        found = self._by_rarity([text for text in texts if text.isascii()]).values()
        common = [words[len(words) // 4][1] for words in found if len(words) > 8]
        pairs = [
            (first, second)
            for text in texts
            if text.isascii()
            for first, second in re.findall(r"\b([a-z]{4,12}) ([a-z]{4,12})\b", text)[:1]
        ]
        made: list[Operated] = []
        for number in range(count):
            a, b, c = (self._random.choice(common) for _ in range(3))
            first, second = self._random.choice(pairs)
            made.append(self._one(number % 8, a, b, c, first, second))
        return made

    def _one(self, kind: int, a: str, b: str, c: str, first: str, second: str) -> Operated:
        has = "vector @@ plainto_tsquery('public.forum_english', %({})s)"
        values: dict[str, Any] = {"a": a, "b": b, "c": c, "phrase": f"{first} {second}"}
        if kind == 0:
            query, condition = (
                {"q": f'"{first} {second}"'},
                ("vector @@ phraseto_tsquery('public.forum_english', %(phrase)s)"),
            )
        elif kind == 1:
            query, condition = {"q": f"{a} OR {b}"}, f"({has.format('a')} OR {has.format('b')})"
        elif kind == 2:
            query, condition = {"q": f"{a} -{b}"}, f"{has.format('a')} AND NOT {has.format('b')}"
        elif kind == 3:
            query, condition = {"q": f"{a} type:comment"}, f"{has.format('a')} AND kind = 4"
        elif kind == 4:
            query = {"q": f"{a} inTitle:true"}
            condition = "ts_filter(vector, '{a,b,c}') @@ plainto_tsquery('public.forum_english', %(a)s) AND kind <> 4"
        elif kind == 5:
            place: object = self._random.choice(self._site["readable"])  # type: ignore[arg-type]
            query = {"q": f"{a} OR {b} OR {c}", "forumId": str(place)}
            condition = f"({has.format('a')} OR {has.format('b')} OR {has.format('c')}) AND place IN ({BELOW})"
            values["place"] = place
        elif kind == 6:
            query = {"q": f"{a} since:2000-01-01 -{b} -{c}"}
            condition = f"{has.format('a')} AND NOT {has.format('b')} AND NOT {has.format('c')}"
        else:
            rows = self._rows(WRITERS)
            author = self._random.choice(rows)[0]
            query = {"q": f"{a} OR {b}", "authorId": str(author)}
            condition = f"({has.format('a')} OR {has.format('b')}) AND author = %(author)s"
            values["author"] = author
        return Operated(urlencode(query), condition, values)

    def _scan(self, queries: Sequence[Operated], report: Report) -> None:
        self._connection.execute("DROP TABLE IF EXISTS scanned")
        # The role's limit is meant for requests; reading every text takes minutes.
        self._connection.execute("SET statement_timeout = 0")
        self._connection.execute(SCANNED, self._site)
        for one in queries:
            rows = self._rows(f"SELECT kind, id FROM scanned WHERE {one.condition}", **one.values)
            expected = {(NAMES[kind], id) for kind, id in rows}
            too_many = len(expected) > search.MOST
            found = self._hits(one.query, SOME if too_many else len(expected) + 1)
            report.operated += 1
            report.compared += len(found)
            # Of more than a search finds, there must be enough, and each must be right.
            is_right = (
                set(found) <= expected and len(found) >= SOME
                if too_many
                else set(found) == expected
            )
            if not is_right or len(set(found)) != len(found):
                odd = sorted(set(found) ^ expected)[:3]
                report.wrong.append(
                    f"{one.query}: {len(found)} found, {len(expected)} there: {odd}"
                )

    def _hits(self, query: str, most: int) -> list[tuple[str, int]]:
        """Return the first `most` or a few more hits of a query, page by page; [] if only corrected words found any."""
        found: list[tuple[str, int]] = []
        while True:
            data = self._find(f"{query}&limit=250&offset={len(found)}")
            if data.get("forgiving"):
                return []  # nothing holds the words as they are
            results = data["results"]
            found += [(entry["itemType"], entry["item"]["id"]) for entry in results["items"]]
            if len(found) >= min(most, results["total"]) or not results["items"]:
                return found
