"""Tokens of the conference API: who gets one, and whose one is ("Authentication")."""
