"""The conference API."""
