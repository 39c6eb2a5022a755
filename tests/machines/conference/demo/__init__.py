"""The demonstration of the videochat handshake."""
