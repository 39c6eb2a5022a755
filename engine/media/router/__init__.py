"""The media router: forwards RTP from publishers to viewers without transcoding, under asyncio."""
