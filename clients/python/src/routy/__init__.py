"""A peer of Routy nodes: dial one, open its services, serve one's own.

`Client` keeps a session with a node; `Client.open` gives a `Stream`. README.md has a first program.
"""

from .client.client import Client, NotConnected
from .client.services import Handler, Service
from .client.streams import Stream, StreamReset
from .session.options import Name
from .settings import Settings
from .transport.identity import Identity, IdentityError
from .wire.messages import Endpoint

__all__ = [
    "Client",
    "Endpoint",
    "Handler",
    "Identity",
    "IdentityError",
    "Name",
    "NotConnected",
    "Service",
    "Settings",
    "Stream",
    "StreamReset",
]
