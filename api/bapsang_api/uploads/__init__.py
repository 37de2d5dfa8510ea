"""Images: where they may be uploaded, what makes one fit to be shown, and when it is thrown away."""
