"""Tokens, read by software that is not ours."""
