"""Sign-in methods, tokens and the OAuth provider."""
