"""Secrets out of text at the moment it is collected: the redactor, URLs, and the rules that find a secret."""

from dm_tools.redact.announcing import announces, holds_secret, in_arguments, in_pairs
from dm_tools.redact.lines import Lines
from dm_tools.redact.redactor import (
    MASK,
    Redactor,
    cut,
    following,
    redact,
    url,
)
from dm_tools.redact.urls import (
    NO_DOCKER_PASSWORD,
    NO_PASSWORDS,
    PASSWORD_VARIABLE,
    VARIABLE,
    has_password,
    has_secret,
    is_secret_name,
    password,
)

__all__ = [
    "MASK",
    "NO_DOCKER_PASSWORD",
    "NO_PASSWORDS",
    "PASSWORD_VARIABLE",
    "VARIABLE",
    "Lines",
    "Redactor",
    "announces",
    "cut",
    "following",
    "has_password",
    "has_secret",
    "holds_secret",
    "in_arguments",
    "in_pairs",
    "is_secret_name",
    "password",
    "redact",
    "url",
]
