"""Tokens, second factors, applications, callers, and the targets that permission is asked for."""
