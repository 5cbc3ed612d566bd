"""Handler classes, one a URL, that switch on the HTTP method; and, without a URL, base classes and functions that
several share; in folders named as those of the models, but for `operators/`. A PATCH or DELETE whose docstring names no
answer is answered with 200 and `data` null.
"""
