"""Real browsers as judges of the media router."""
