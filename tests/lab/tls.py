"""A certificate authority of the lab's own, and certificates for `web`: a good, an expired and a self-signed one."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .settings import stack_folder

LIFETIME = timedelta(days=3650)


def folder() -> Path:
    return stack_folder() / "tls"


def bundle() -> Path:
    """The file for SSL_CERT_FILE; the public authorities are in it too, so that pip still works beside it."""
    return folder() / "bundle.pem"


def ensure() -> None:
    """Make keys and certificates once; the last file written marks them as complete."""
    last = folder() / "web-self-signed.pem"
    if last.exists():
        return
    folder().mkdir(exist_ok=True)
    now = datetime.now(UTC)
    issuer_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _issue("dm-tools lab CA", "dm-tools lab CA", issuer_key, issuer_key, now, now + LIFETIME, authority=True)
    good = _issue("web", "dm-tools lab CA", server_key, issuer_key, now, now + LIFETIME)
    expired = _issue("web", "dm-tools lab CA", server_key, issuer_key, now - LIFETIME, now - timedelta(days=3))
    self_signed = _issue("web", "web", server_key, server_key, now, now + LIFETIME)
    key = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder() / "web.key").write_bytes(key)
    (folder() / "web.pem").write_bytes(_pem(good))
    (folder() / "web-expired.pem").write_bytes(_pem(expired))
    (folder() / "ca.pem").write_bytes(_pem(issuer))
    bundle().write_bytes(_pem(issuer) + Path(certifi.where()).read_bytes())
    last.write_bytes(_pem(self_signed))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _issue(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    start: datetime,
    end: datetime,
    authority: bool = False,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(hours=1))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not authority:
        names: list[x509.GeneralName] = [x509.DNSName("web"), x509.DNSName("localhost")]
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())
