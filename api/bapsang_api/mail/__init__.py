"""Mail to people: an outbox in MySQL, and the worker that sends from it."""
