"""Rules of moderation: what is done by itself when somebody writes, its dry run, its versions, and its record."""
