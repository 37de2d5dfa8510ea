"""Finds what keeps a Community from being what its spec says, and puts it into sentences. Pure."""
