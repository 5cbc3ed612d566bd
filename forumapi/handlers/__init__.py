"""Handler classes, one a URL, that switch on the HTTP method; and, without a URL, base classes and functions that
several share; in the same folders as the models.
"""
