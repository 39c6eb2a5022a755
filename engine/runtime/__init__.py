"""The runtime: here machines meet time, the journal and the outside; trio begins here."""
