"""Characters that Hypothesis draws texts of."""

from __future__ import annotations

from hypothesis import strategies as st

# All but surrogates, as by default. Said so, Hypothesis need not encode each of a million characters to find out,
# which takes 2 s in every new checkout.
CHARACTERS = st.characters(exclude_categories=["Cs"])
