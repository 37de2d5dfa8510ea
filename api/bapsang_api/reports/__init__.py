"""What users tell administrators of posts and comments that should not be there."""
