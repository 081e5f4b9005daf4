"""Certificates: who this node is, and who the peer is (docs/PROTOCOL.md, Certificates)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..session.options import Name
from ..wire.text import is_name

_URI = "routy://"


class IdentityError(Exception):
    """A certificate or key is not what it has to be; the text says what to do."""


@dataclass(frozen=True)
class Identity:
    """What this node shows, and the one CA that it trusts."""

    ca: x509.Certificate
    certificate: x509.Certificate
    key: PrivateKeyTypes
    name: Name

    @classmethod
    def load(cls, state: str | os.PathLike[str]) -> Identity:
        """Reads `ca.crt`, `node.crt` and `node.key` as the `routy` command stores them."""
        folder = Path(state)
        key_file = folder / "node.key"
        try:
            if os.name == "posix" and key_file.stat().st_mode & 0o077:
                raise IdentityError(f"others can read {key_file}; run: chmod 600 {key_file}")
            # A file may have the CA's certificate behind the node's.
            ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
            own = x509.load_pem_x509_certificates((folder / "node.crt").read_bytes())[0]
            key = load_pem_private_key(key_file.read_bytes(), None)
        except FileNotFoundError as error:
            advice = "enrol the node with `routy join`, or `routy cert request` and `install`"
            raise IdentityError(f"{error.filename} is missing; {advice}") from None
        except ValueError as error:
            raise IdentityError(f"{folder}: {error}") from None
        return cls(ca, own, key, name_of(own))

    def judge(self, certificate: x509.Certificate) -> Name:
        """Who the peer is. Raises IdentityError unless it is a node of the same fabric."""
        try:
            certificate.verify_directly_issued_by(self.ca)
        except (ValueError, TypeError, InvalidSignature):
            raise IdentityError("the peer's certificate is not of this fabric's CA") from None
        peer = name_of(certificate)
        if peer.fabric != self.name.fabric:
            raise IdentityError(f"the peer is of fabric {peer.fabric}, not {self.name.fabric}")
        return peer


def name_of(certificate: x509.Certificate) -> Name:
    """The names in the one URI SAN `routy://FABRIC/SITE/NODE`."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = found.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        uris = []
    ours = [uri.removeprefix(_URI) for uri in uris if uri.startswith(_URI)]
    parts = ours[0].split("/") if len(ours) == 1 else []
    if len(parts) != 3 or not all(map(is_name, parts)):
        raise IdentityError("the certificate does not name one node by routy://FABRIC/SITE/NODE")
    return Name(*parts)
