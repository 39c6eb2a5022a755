"""All tests; the package of each mirrors the code it tests."""
