"""Peers with frames: they play, record or change what is seen and heard, under asyncio."""
