"""Answers: results of handlers as status, headers and body, pages of HTML, and documents that a GET would give."""
