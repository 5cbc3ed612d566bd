"""Things that the platform keeps, and their SQL: `<thing>.py` writes a thing, `<thing>_page.py` reads and renders one
such thing and lists of them; without a `<thing>_page.py`, `<thing>.py` does both.
"""
