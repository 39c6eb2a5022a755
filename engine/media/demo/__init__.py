"""`switchhook demo media`: a stream and its viewers through a media worker, which is killed in between."""

from engine.media.demo.show import run

__all__ = ["run"]
