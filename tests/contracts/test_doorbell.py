"""The example of the fifth API: its own tests, run as they stand in its folder."""

from docs.examples.doorbell.test_doorbell import *  # noqa: F403
