"""What the privacy policy promises: words that are destroyed, data handed out, erasures that outlive a backup."""
