"""Things that the platform keeps, and their SQL: `<thing>.py` writes a thing, `<thing>_page.py` reads and renders it,
one and in lists; without a `<thing>_page.py`, `<thing>.py` does both.
"""
