"""Machines as tables, and everything pure that is done with them."""
