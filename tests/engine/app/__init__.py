"""Tests of `engine.app`, file for file."""
