"""Handlers of signing in, tokens, API keys, applications and questions of permission."""
