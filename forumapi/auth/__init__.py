"""Signing in, with a subclass of `Backend` for each method; POST /auth0, the exchange of Auth0 codes and tokens for
clients of v1; and forumapi as an OAuth provider for other programs.
"""
