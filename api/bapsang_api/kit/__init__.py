"""Domain-free tools: nothing in here knows what a post or a like is, and nothing imports a domain."""
