"""Texts that come with the package: legal documents, as HTML with $names that are filled in (platform 6.1)."""
