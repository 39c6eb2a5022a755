"""Tests of `engine`, file for file."""
