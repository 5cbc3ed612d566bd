"""Phrases that forums have and the corpus's chats lack: emoji, links, code, other scripts, tables, names.

All texts are our own; hosts in links are reserved names or those that every forum links to.
"""

from __future__ import annotations

from typing import Final

EMOJI: Final = (
    "😀", "😂", "👍", "👏", "🙏", "🚲", "🚆", "🔧", "☕", "🍰", "🤔", "😱", "❤️", "👍🏽",
    "👩‍🔧", "🧑🏿‍🚀", "👨‍👩‍👧", "🇧🇪", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "1️⃣",
)  # fmt: skip

LINK_TEXTS: Final = (
    "this page", "the manual", "here", "what I meant", "a **good** read", "the full thread",
    "source", "photos", "the map", "video",
)  # fmt: skip

_ARTICLES: Final = (
    "Bicycle", "Derailleur_gears", "Hub_dynamo", "Tandem_bicycle", "Bottom_bracket",
    "Rail_transport", "Steam_locomotive", "Narrow-gauge_railway", "Night_train", "Rack_railway",
    "Coffee", "Sourdough", "Peanut_butter", "Piano", "Ludwig_van_Beethoven", "Star_Trek",
    "Marathon", "Lighthouse", "Northern_lights", "Chess", "Corgi", "Volleyball", "Mount_Everest",
    "Photography", "Sleep", "Astronomy", "Falafel", "Time_zone", "Knitting", "Kite",
)  # fmt: skip
_PATHS: Final = (
    "guides/wheel-building", "guides/winter-lights", "threads/4711?page=3", "threads/1234#p99",
    "shop/item?id=42&colour=blue&size=M", "timetable/2026", "photos/album/77",
    "map?lat=51.05&lon=3.72",
    "news/2026/03/01/a-longer-headline-than-anybody-would-ever-want-to-read-in-an-address",
    "wiki/Größe", "wiki/%D0%92%D0%B5%D0%BB%D0%BE%D1%81%D0%B8%D0%BF%D0%B5%D0%B4", "faq",
    "a/b/c/d/e/f/g.html", "search?q=tyres&sort=price", "~ana/notes.txt",
)  # fmt: skip
LINKS: Final = (
    *(f"https://en.wikipedia.org/wiki/{article}" for article in _ARTICLES),
    *(
        f"https://{language}.wikipedia.org/wiki/{_ARTICLES[n]}"
        for n in (0, 5, 10)
        for language in ("de", "fr", "nl", "pt")
    ),
    *(f"https://www.example.{top}/{path}" for top in ("com", "org", "net") for path in _PATHS),
    *(f"http://forum{n}.example.com/topic/{n * 37}" for n in range(1, 40)),
    "https://www.youtube.com/watch?v=example0001",
    "https://youtu.be/example0002",
    "https://vimeo.com/100000001",
    "https://www.strava.com/segments/100000001",
    "https://ridewithgps.com/routes/100000001",
)  # fmt: skip

PICTURES: Final = tuple(f"https://pictures.example.net/{n:03}.jpg" for n in range(40))
HASHTAGS: Final = (
    "#winter",
    "#firstride",
    "#museum",
    "#offtopic",
    "#help",
    "#photo_of_the_week",
    "#2026goals",
)
HEADINGS: Final = (
    "Short answer",
    "What I tried",
    "Update",
    "Parts list",
    "Day one",
    "TL;DR",
    "Question",
)
TABLES: Final = (
    "Part | Weight | Price\n--- | ---: | ---:\nFrame | 1.9 kg | 450\nFork | 0.6 kg | 120",
    "| From | To | Minutes |\n|:---|:---:|---:|\n| Ghent | Bruges | 24 |\n| Bruges | Ostend | 14 |",
    "What | Yes | No\n---|---|---\nMudguards | 12 | 3\nBell | 9 | *6*",
)

CODE: Final = (
    "```python\nfor gear in sorted(gears, key=lambda g: g.teeth):\n    print(gear.teeth, gear)\n```",
    "```\n$ gpsbabel -i gpx -f ride.gpx -o kml -F ride.kml\n```",
    "```sql\nSELECT station, count(*)\n  FROM stops\n WHERE minute < 60\n GROUP BY station;\n```",
    "~~~html\n<p class='note'>1 < 2 &amp; <b>bold</b></p>\n<script>alert('no')</script>\n~~~",
    "```js\nconst ratio = (ring, cog) => +(ring / cog).toFixed(2);\n```",
    "Try `ratio = 46 / 17` first.",
    "It is the `--dry-run` switch, and `<input>` goes last.",
    "    indented = code\n    for x in range(3): ...",
    "```toml\n[lights]\nfront = 60  # lux\n```",
)

SCRIPTS: Final = (
    "Спасибо, очень полезно!",
    "Кто-нибудь пробовал это зимой?",
    "Дякую за відповідь.",
    "Ευχαριστώ πολύ, θα το δοκιμάσω.",
    "תודה רבה, זה עזר לי מאוד.",
    "شكرا جزيلا، هذا مفيد للغاية.",
    "بسیار ممنون از توضیح شما.",
    "धन्यवाद, बहुत अच्छा उत्तर है।",
    "ধন্যবাদ, খুব ভালো লাগল।",
    "நன்றி, மிகவும் உதவியாக இருந்தது.", "ขอบคุณมากครับ",
    "とても参考になりました。ありがとうございます。", "次の週末に試してみます。",
    "谢谢，非常有用！", "有人试过这个吗？", "정말 감사합니다. 큰 도움이 됐어요.",
    "გმადლობთ, ძალიან საინტერესოა.",
    "Շնորհակալություն, շատ հետաքրքիր է։", "በጣም አመሰግናለሁ",
    "Çok teşekkürler, işe yaradı!", "Dziękuję, świetna wskazówka — żółć!",
    "Cảm ơn bạn rất nhiều!", "Muito obrigado, não sabia disso.",
    "Þakka þér fyrir, þetta er æðislegt.", "Danke schön, größere Übersetzung hilft.",
)  # fmt: skip

FIRST: Final = (
    "amber", "brisk", "calm", "clever", "copper", "crisp", "daring", "dusty", "early", "fabled",
    "fleet", "frosty", "gentle", "golden", "grand", "green", "happy", "hasty", "hidden", "humble",
    "idle", "indigo", "ivory", "jolly", "keen", "lucky", "mellow", "merry", "misty", "noble",
    "northern", "old", "pale", "patient", "plain", "proud", "quiet", "rapid", "rusty", "salty",
    "silent", "silver", "sleepy", "slow", "solid", "spare", "steady", "sunny", "swift", "tall",
    "tidy", "tiny", "velvet", "vivid", "warm", "wild", "windy", "winter", "witty", "young",
)  # fmt: skip
SECOND: Final = (
    "anchor", "badger", "baker", "beacon", "bell", "birch", "bobbin", "brook", "cabin", "candle",
    "cedar", "cinder", "clover", "cobble", "comet", "crank", "dahlia", "ember", "falcon", "fern",
    "fiddle", "finch", "gable", "harbour", "hazel", "heron", "hinge", "kestrel", "kettle",
    "lantern", "lever", "linden", "magpie", "maple", "marble", "meadow", "mill", "nickel",
    "oriole", "otter", "pebble", "pedal", "piston", "quarry", "raven", "ribbon", "river", "rocket",
    "saddle", "signal", "sparrow", "spoke", "sprocket", "tender", "thistle", "tinker", "tunnel",
    "wagon", "walnut", "willow",
)  # fmt: skip
FOREIGN: Final = (
    "Анна", "Дмитрий", "Ελένη", "Νίκος", "נועה", "دنيا", "अमित",
    "さくら", "健太", "小明", "민준", "ნინო", "Արամ", "Łukasz", "Çağla", "Søren",
    "Zoë", "Đặng",
)  # fmt: skip

TOPICS: Final = (
    "Workshop", "Rides & races", "Long distance", "City life", "Winter", "Families",
    "Routes and maps", "Photography", "Music", "Films & series", "Books", "Food and drink",
    "Travel", "Computers", "Games", "Science", "Sports", "Money", "Gardens", "Small talk",
)  # fmt: skip
SUBTOPICS: Final = (
    "beginners",
    "questions",
    "show & tell",
    "buying and selling",
    "how-to",
    "news",
    "meetings",
    "beyond the basics",
    "history",
    "tools",
)

SITE_WORDS: Final = (
    "velo", "steam", "tram", "canal", "alpine", "coast", "forest", "harbour", "lantern", "market",
    "orchard", "piano", "quilt", "radio", "summit", "tandem", "violin", "walnut", "yacht",
    "zephyr",
)  # fmt: skip

MENTIONS: Final = (
    "@{name} thanks, that worked!",
    "What do you think, @{name}? You have had one for years.",
    "I am with @{name} here.",
    "Did you read what @{name} wrote last week?",
    "@{name}: yes, Saturday is fine for me.",
    "cc @{name} 👍",
)
