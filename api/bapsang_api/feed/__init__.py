"""The newest posts as a feed for news readers."""
