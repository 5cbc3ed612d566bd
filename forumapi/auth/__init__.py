"""Sign-in methods, each a subclass of `Backend` (known providers: `provider_presets`), and what they register; v1's
Auth0 exchange; the OAuth provider.
"""
