"""The secrets of URLs: which part is one, and variables that stand for them."""

from __future__ import annotations

import re

from dm_tools.redact import rules
from dm_tools.text.late import late

# The password of a URL as a variable, ://user:${NAME}@: a record may carry it, since it is no secret.
PASSWORD_VARIABLE = late(r"(?<=:)\$\{([A-Za-z_][A-Za-z0-9_]*)\}(?=@)")
# A variable anywhere in a URL; dm-probe fills in those whose name announces a secret.
VARIABLE = late(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
NO_PASSWORDS = "a secret in a URL: write ${NAME} in its place, dm-probe fills it in from the environment"
NO_DOCKER_PASSWORD = "a password in 'docker_host': it would travel with the record; give it to ssh or in $DOCKER_HOST"


def password(url: str) -> str:
    """The password in a URL, whatever it is made of; empty if there is none."""
    address = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    user_info, at, _ = address.rpartition("@")
    return user_info.partition(":")[2] if at else ""


def has_password(url: str) -> bool:
    """Whether a URL carries a password in clear."""
    found = password(url)
    return bool(found) and PASSWORD_VARIABLE.sub("", f":{found}@") != ":@"


def has_secret(url: str) -> bool:
    """Whether a URL carries a password or a token in clear."""
    return has_password(url) or rules.query_secret(url)


def is_secret_name(name: str) -> bool:
    """Whether a variable's name announces a secret: POSTGRES_PASSWORD, API_KEY."""
    return rules.kind_of(name) not in (None, rules.Kind.WEAK)
