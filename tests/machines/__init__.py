"""The call APIs."""
