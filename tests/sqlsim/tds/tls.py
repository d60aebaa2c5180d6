# SPDX-License-Identifier: Apache-2.0
"""TLS of the server: the certificate, and the context of each kind of connection."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess

CERT_NAME, KEY_NAME = "sqlsim-cert.pem", "sqlsim-key.pem"


def make_certificate(folder: str) -> tuple[str, str]:
    """A self-signed certificate for this host in `folder`, made once."""
    cert, key = os.path.join(folder, CERT_NAME), os.path.join(folder, KEY_NAME)
    if os.path.exists(cert) and os.path.exists(key):
        return cert, key
    os.makedirs(folder, exist_ok=True)
    name = (socket.gethostname() or "localhost")[:64]
    names = f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "3650", "-subj", f"/CN={name}",
        "-addext", names, "-addext", "keyUsage=digitalSignature,keyEncipherment,keyCertSign",
        "-keyout", key + ".new", "-out", cert + ".new",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl could not make a certificate: {done.stderr.strip()[-300:]}")
    os.chmod(key + ".new", 0o600)
    os.replace(key + ".new", key)
    os.replace(cert + ".new", cert)
    return cert, key


def server_context(cert: str, key: str, strict: bool = False) -> ssl.SSLContext:
    """Inside PRELOGIN real servers stop at TLS 1.2, and some clients hang when 1.3 is offered there. `strict` is TDS 8."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if strict:
        context.set_alpn_protocols(["tds/8.0"])
    else:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


class TlsBox:
    """TLS over memory: bytes in, bytes out. Server and client side use the same."""

    def __init__(self, context: ssl.SSLContext, server_side: bool, hostname: str | None = None) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side, server_hostname=hostname)

    def handshake(self, data: bytes) -> tuple[bool, bytes]:
        """Feeds what came; returns whether the handshake is complete, and what to send."""
        if data:
            self._in.write(data)
        try:
            self._tls.do_handshake()
            return True, self._out.read()
        except ssl.SSLWantReadError:
            return False, self._out.read()

    def pending(self) -> bytes:
        return self._out.read()

    def encrypt(self, data: bytes) -> bytes:
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        return self._out.read()

    def decrypt(self, data: bytes) -> bytes:
        if data:
            self._in.write(data)
        parts = []
        try:
            while part := self._tls.read(65536):
                parts.append(part)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return b"".join(parts)

    def version(self) -> str:
        return self._tls.version() or ""
