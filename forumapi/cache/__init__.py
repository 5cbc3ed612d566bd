"""Cache of documents in memory and in memcached, and the LRU cache that bounds what memory holds."""
