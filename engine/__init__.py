"""The engine: pure machines, their journal, and the trio runtime that runs them."""
