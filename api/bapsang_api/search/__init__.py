"""What is found by its words: the text of every post once more, in a table of its own with an index of its n-grams.

Of its own, because MySQL cannot index two tables together, and because building such an index keeps writers out of the
table: here it is built while the table is empty.
"""
