"""Tags: what a post calls itself, and which posts have a name in common."""
