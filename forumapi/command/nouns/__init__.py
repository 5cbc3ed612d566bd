"""Definitions of the commands, one module a noun (`forumapi NOUN VERB`), few modules with several small commands."""
