"""Documents in memory and in memcached, and the eviction of what memory has no room for."""
