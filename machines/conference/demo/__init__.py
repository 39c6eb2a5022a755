"""`switchhook demo conference`: a file is published into a conference, and two viewers record it."""

from machines.conference.demo.show import run

__all__ = ["run"]
