"""Tests of the journal: laws that every adapter obeys, and what is particular to each."""
