"""What one router has done so far, over all peers that are and were."""

import attrs


@attrs.define
class Tally:
    """Counts that only go up. Shared by everything that counts, and read now and then."""

    received_packets: int = 0
    """From publishers, in their turn or late."""
    missed_packets: int = 0
    """That did not come in their turn."""
    recovered_packets: int = 0
    """Of those that were missed."""
    forwarded_packets: int = 0
    """Each sink's."""
    resent_packets: int = 0
    """When a viewer asked."""
    nacks_sent_count: int = 0
    nacks_received_count: int = 0
    plis_sent_count: int = 0
    plis_received_count: int = 0
