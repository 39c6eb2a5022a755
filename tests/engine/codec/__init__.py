"""The codec, file for file."""
