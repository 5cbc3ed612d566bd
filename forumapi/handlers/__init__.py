"""One handler class per address, one method per HTTP method. A handler never sees an unchecked item."""
