"""Comments on posts: a top-level comment and its replies are a group, at most three levels deep.

A comment that was deleted or hidden while somebody has answered it stays listed, without its text and author, for as long
as an answer is there to be reached; then it goes too.
"""
