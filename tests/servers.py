"""Servers on loopback that behave as they are told to, and the certificates that they show."""

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

Handler = Callable[[socket.socket], None]
Serve = Callable[..., int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve each connection on a loopback port with `handler`, over TLS if a context is given; returns the port."""
    stop = threading.Event()
    with contextlib.ExitStack() as cleaning:

        def start(handler: Handler, tls: ssl.SSLContext | None = None) -> int:
            listener = cleaning.enter_context(socket.create_server(("127.0.0.1", 0)))

            def connected(connection: socket.socket) -> None:
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(20)
                    if tls is not None:
                        with tls.wrap_socket(connection, server_side=True) as secured:
                            handler(secured)
                    else:
                        handler(connection)

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while not stop.is_set():
                        connection, _ = listener.accept()
                        threading.Thread(target=connected, args=[connection], daemon=True).start()

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            cleaning.callback(thread.join, 5)
            cleaning.callback(listener.shutdown, socket.SHUT_RDWR)  # wakes accept
            cleaning.callback(stop.set)
            return int(listener.getsockname()[1])

        yield start


def request(connection: socket.socket) -> str:
    """The head of the request that came in."""
    data = b""
    while b"\r\n\r\n" not in data and (more := connection.recv(4096)):
        data += more
    return data.decode("latin-1")


def answer(text: str) -> Handler:
    """Read the request and answer with these bytes."""

    def handler(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(text.encode("latin-1"))

    return handler


def status(code: int, body: str = "", headers: str = "") -> str:
    return f"HTTP/1.1 {code} Text\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}"


def until_closed(connection: socket.socket) -> None:
    """Say nothing until the other side gives up."""
    while connection.recv(4096):
        pass


def reset(connection: socket.socket) -> None:
    request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with RST


def drip(connection: socket.socket) -> None:
    """A header that grows by one byte every tenth of a second, for ever."""
    request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


class Authority:
    """A certificate authority, and server certificates that it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dmtest CA")])
        now = datetime.now(UTC)
        own = self._certificate(self.name, self.key, now - timedelta(days=1), now + timedelta(days=90), None)
        self.bundle = folder / "ca.pem"
        self.bundle.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        begin: datetime,
        end: datetime,
        host: str | None,
        signer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None,
        asks: str | None = None,
    ) -> x509.Certificate:
        issuer, signing = signer or (self.name, self.key)
        builder = x509.CertificateBuilder(
            issuer, subject, key.public_key(), x509.random_serial_number(), begin, end
        ).add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        if host is not None:
            try:
                name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
            except ValueError:
                name = x509.DNSName(host)
            builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        if asks is not None:
            issuer_at = x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(asks)
            )
            builder = builder.add_extension(x509.AuthorityInformationAccess([issuer_at]), critical=False)
        return builder.sign(signing, hashes.SHA256())

    def server(
        self, host: str = "127.0.0.1", begin: float = -1, end: float = 30, own: bool = False, asks: str | None = None
    ) -> Path:
        """Key and certificate of a server in one PEM file; `begin` and `end` in days from now; `own`: self-signed;
        `asks`: the URL where its issuer's certificate is said to be."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        signer = (subject, key) if own else (self.name, self.key)
        made = self._certificate(
            subject, key, now + timedelta(days=begin), now + timedelta(days=end), host, signer, asks
        )
        path = self.folder / f"server-{made.serial_number}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        return path

    def context(self, host: str = "127.0.0.1", begin: float = -1, end: float = 30, own: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server(host, begin, end, own))
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
