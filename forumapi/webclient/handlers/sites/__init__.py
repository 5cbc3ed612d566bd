"""Pages of a site's settings and documents, of the platform, and files for browsers and crawlers."""
