"""News that arrives: what somebody is told of, how much of it is unread, of what kinds, and live as it is written."""
