"""Table of emoji by the codes of other products' smilies, such as `:-)`."""

from __future__ import annotations

from typing import Final

_BY_EMOJI: Final = {
    "😀": ":D :-D :grin: :biggrin: ;D",
    "🙂": ":) :-) :smile: :]",
    "😉": ";) ;-) :wink:",
    "🙁": ":( :-( :sad:",
    "😮": ":o :-o :O :eek: :surprised:",
    "😲": ":shock: ::) :shocked:",
    "😕": ":? :-? :???: :-/ :-\\ :undecided:",
    "😎": "8-) :cool: 8)",
    "😆": ":lol: :laugh:",
    "😠": ":x :-x :mad: >:( :angry:",
    "😛": ":P :-P :razz: :p :tongue:",
    "😳": ":oops: :-[ :embarrassed: ^-^",
    "😢": ":cry: :'( :crying:",
    "😈": ":evil: >:D",
    "👿": ":twisted:",
    "🙄": ":roll: :rolleyes:",
    "❗": ":!:",
    "❓": ":?:",
    "💡": ":idea:",
    "➡️": ":arrow:",
    "😐": ":| :-| :neutral:",
    "😁": ":mrgreen:",
    "🤓": ":geek:",
    "🧐": ":ugeek:",
    "🤐": ":-X :lipsrx:",
    "😘": ":-* :kiss:",
    "🤔": "??? :huh:",
}
EMOJI: Final = {code: emoji for emoji, codes in _BY_EMOJI.items() for code in codes.split()}
"""Emoji by code. A code that is not here, such as one of the board's own, stays as text."""
