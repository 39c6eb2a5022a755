"""The media router over loopback, and its pure parts by themselves."""
