"""Decides what to write: the children a Community should have, compared with those that live. Pure."""
