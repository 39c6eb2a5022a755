"""What a host sees: the engine object, the served APIs, the configuration, the command line."""
