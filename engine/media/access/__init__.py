"""Access tokens for media engines: LiveKit, Twilio, Agora."""
