"""Servers killed under load, and what must hold afterwards."""
