"""Tests of peers with frames."""
