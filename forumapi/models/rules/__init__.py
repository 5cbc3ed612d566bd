"""Rules of moderation: what is done by itself when somebody writes, reports or joins; dry runs, versions, records."""
