"""Pages of the website, one class a URL, that switch on the HTTP method."""
