"""Stands where the official client would be found by the operator's process; see `HIDDEN` in world.py."""

raise ImportError("the operator's image has no official client")
