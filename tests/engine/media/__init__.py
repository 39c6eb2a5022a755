"""The media room, file for file."""
