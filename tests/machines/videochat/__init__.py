"""The videochat handshake."""
