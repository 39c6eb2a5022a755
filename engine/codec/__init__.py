"""Forms outside: journal records (msgpack) and wire messages (JSON) of the same attrs classes."""
