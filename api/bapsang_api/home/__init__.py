"""A person's view of others: profiles, whom they follow, block and mute, the posts that they keep, and their home feed."""
