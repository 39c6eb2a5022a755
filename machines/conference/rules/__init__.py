"""The rules of conferences, one machine a file. Pure: no clock, no chance, no I/O."""
