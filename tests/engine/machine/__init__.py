"""Tests of `engine.machine`, file for file."""
