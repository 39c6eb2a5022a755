"""The runtime, on a virtual clock and the memory journal."""
