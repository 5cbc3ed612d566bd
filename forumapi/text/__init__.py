"""Markdown to safe HTML, and other rules of texts, without input or output.

Nothing here touches a database, a socket or a setting. Spec: content 1.7 and 11, platform 1.14.
"""
