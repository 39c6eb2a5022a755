"""`switchhook demo`: real calls over real sockets into a real database, and a server that is killed."""

from machines.videochat.demo.show import run

__all__ = ["run"]
