"""A certificate authority that a test makes for itself, and certificates of it."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates. `pem` is what clients trust it by."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {secrets.token_hex(4)}")])
        builder = self._builder(self._name, self._key.public_key(), 86_400)
        authority = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = _text(authority.sign(self._key, hashes.SHA256()))

    def certificate(self, address: str, *, seconds: int = 86_400) -> str:
        """Return a key and its certificate for an IP address or a host name (PEM), which expires after `seconds`."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        is_ip = address[0].isdigit()
        subject = x509.IPAddress(ip_address(address)) if is_ip else x509.DNSName(address)
        builder = self._builder(x509.Name([]), key.public_key(), seconds)
        builder = builder.add_extension(x509.SubjectAlternativeName([subject]), critical=True)
        return private.decode() + _text(builder.sign(self._key, hashes.SHA256()))

    def save(self, folder: Path) -> str:
        """Write what clients trust it by into a new file and return its path."""
        path = folder / f"{id(self)}.pem"
        path.write_text(self.pem)
        return str(path)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, seconds: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(seconds=seconds))
        )


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
