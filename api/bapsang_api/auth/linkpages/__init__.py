"""The pages that the links in letters lead to, in Korean, and their script. What they ask for is done by `auth.links`."""
