"""The commands, in this process and in their own."""
