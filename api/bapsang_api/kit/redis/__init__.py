"""Redis: the client, and commands of concurrent requests sent together."""
