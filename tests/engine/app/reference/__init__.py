"""The texts that the reference is made of."""
