"""dm_tools/redact/urls.py: which URL is a secret, and what may stand in the place of one."""

from __future__ import annotations

import pytest

from dm_tools.redact import has_password, has_secret, is_secret_name, password


@pytest.mark.parametrize(
    ("url", "found", "in_clear"),
    [
        ("https://bob:hunter2@x.example/", "hunter2", True),
        ("redis://:hunter2@redis/0", "hunter2", True),
        ("https://bob:a:b@x.example/", "a:b", True),
        ("https://bob@x.example/", "", False),
        ("https://bob:@x.example/", "", False),
        ("https://x.example:8080/a:b@c", "", False),
        ("https://bob:${DB_PASSWORD}@x.example/", "${DB_PASSWORD}", False),  # filled in where it is asked
        ("not a URL", "", False),
    ],
)
def test_the_password_in_a_url(url: str, found: str, in_clear: bool) -> None:
    assert password(url) == found
    assert has_password(url) is in_clear
    assert bool(has_secret(url)) is in_clear


@pytest.mark.parametrize(("url", "secret"), [("https://x/?token=hunter2hunter2", True), ("https://x/?page=2", False)])
def test_a_secret_in_a_query_counts_though_there_is_no_password(url: str, secret: bool) -> None:
    assert bool(has_secret(url)) is secret
    assert not has_password(url)


@pytest.mark.parametrize(("name", "secret"), [("DB_PASSWORD", True), ("API_TOKEN", True), ("HOSTNAME", False)])
def test_a_name_that_announces_a_secret(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret
