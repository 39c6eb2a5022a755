"""Figures, measured by command and never by a test."""
