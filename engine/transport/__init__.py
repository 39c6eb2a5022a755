"""What carries messages: the HTTP and WebSocket server, the clients, and in-memory links."""
