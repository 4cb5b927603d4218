"""What a server's certificate says: the one module that imports `cryptography`."""

from __future__ import annotations

import contextlib
import time

from dm_tools.pipe import clock
from dm_tools.records import Certificate, Check, ProbeError
from dm_tools.text.late import late

MAX_NAMES = 20  # of those that a certificate is for
_HOST_NAME = late(r"[A-Za-z0-9.*_-]{1,253}")


def certificate(der: bytes | None) -> Certificate | None:
    """What a certificate says of itself."""
    if not der:
        return None
    from cryptography import x509

    found = x509.load_der_x509_certificate(der)
    names: list[str] = []
    with contextlib.suppress(x509.ExtensionNotFound, ValueError):
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [each for each in alternative.get_values_for_type(x509.DNSName) if _HOST_NAME.fullmatch(each)]
    return Certificate(
        not_before=found.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        not_after=found.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        expires_in_days=round((found.not_valid_after_utc.timestamp() - time.time()) / 86400, 1),
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        names=names[:MAX_NAMES],
    )


def judge_dates(check: Check) -> None:
    """A certificate out of its time is an error of its check, whoever signed it."""
    if check.certificate is not None and check.certificate.not_after < clock.rfc3339(time.time()):
        check.error = ProbeError.TLS_EXPIRED
        check.message = f"the certificate expired on {check.certificate.not_after}"
    elif check.certificate is not None and check.certificate.not_before > clock.rfc3339(time.time()):
        check.error = ProbeError.TLS_NOT_YET_VALID
        check.message = f"the certificate is not valid before {check.certificate.not_before}"
