"""A certificate authority for TLS, made anew for each run."""

import ssl

import attrs
import pytest
import trustme


@attrs.frozen
class Tls:
    server: ssl.SSLContext
    client: ssl.SSLContext
    stranger: ssl.SSLContext
    """A client that trusts somebody else."""


@pytest.fixture(scope="session")
def tls() -> Tls:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client, stranger = ssl.create_default_context(), ssl.create_default_context()
    authority.configure_trust(client)
    trustme.CA().configure_trust(stranger)
    return Tls(server, client, stranger)
