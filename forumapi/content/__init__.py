"""Text in, safe text out: cleaning of short fields, rendering of comments, codes, addresses.

Nothing here touches a database, a socket or a setting. Spec: content 1.7 and 11, platform 1.14.
"""
