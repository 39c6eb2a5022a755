"""The call APIs: one folder each, found by walking this package."""
