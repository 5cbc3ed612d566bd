"""Markdown to safe HTML, and other rules of texts, without input or output.

Pure functions: no database, no socket, no settings. Spec: content 1.7 and 11, platform 1.14.
"""
