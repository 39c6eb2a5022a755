"""Tests of `engine.transport`."""
