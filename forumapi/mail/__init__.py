"""Mail on its way: outbox, SMTP, bounces."""
