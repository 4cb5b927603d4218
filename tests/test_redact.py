"""Redaction: what is masked, what must survive, and what the numbers mean."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from string import ascii_letters, digits

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from dm_tools import redact
from dm_tools.collect import environment, logs
from dm_tools.redact import Redactor, rules
from dm_tools.redact.redactor import MAX_REMEMBERED
from dm_tools.redact.rules import tokens
from tests import shapes
from tests.conftest import SEALED, Run, records

# What comes, and what is left of it. The secret is always hunter2.
MASKED = [
    ("password is hunter2", "password is <secret:1>"),
    ("the password is swordfish.", "the password is <secret:1>."),
    ("password: correct horse battery staple", "password: <secret:1>"),
    ('password: "correct horse" host=db', 'password: "<secret:1>" host=db'),
    ('Authorization: Digest username="bob", nonce="hunter2"', "Authorization: Digest <secret:1>"),
    ("Authorization: hunter2hunter2", "Authorization: <secret:1>"),
    ("X-Api-Key: hunter2", "X-Api-Key: <secret:1>"),
    ("Set-Cookie: session=hunter2; Path=/", "Set-Cookie: session=<secret:1>; Path=/"),
    ("cookie: a=hunter2; b=2", "cookie: a=<secret:1>; b=2"),
    ("app:hunter2@tcp(db:3306)/shop", "app:<secret:1>@tcp(db:3306)/shop"),
    ("Server=db;User Id=app;Password=hunter2;Port=1", "Server=db;User Id=app;Password=<secret:1>;Port=1"),
    (
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=hunter2abcd==;EndpointSuffix=core.windows.net",
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=<secret:1>;EndpointSuffix=core.windows.net",
    ),
    ("host=db user=app password=hunter2 dbname=x", "host=db user=app password=<secret:1> dbname=x"),
    ("https://x.example/a?token=hunter2&x=1", "https://x.example/a?token=<secret:1>&x=1"),
    ("https://x.example/a?x=1&access_token=hunter2", "https://x.example/a?x=1&access_token=<secret:1>"),
    ("https://x.blob/a?sv=1&sig=hunter2%3D", "https://x.blob/a?sv=1&sig=<secret:1>"),
    ("https://s3/x?X-Amz-Signature=hunter2&X-Amz-Date=1", "https://s3/x?X-Amz-Signature=<secret:1>&X-Amz-Date=1"),
    ("https://bob:hunter2@x.example/", "https://bob:<secret:1>@x.example/"),
    ("redis://:hunter2@redis:6379/0", "redis://:<secret:1>@redis:6379/0"),
    ("postgres://app:hun/ter2@db:5432/shop", "postgres://app:<secret:1>@db:5432/shop"),
    ("amqp://a:hunter2@h1:5672,amqp://b:hunter2@h2:5672", "amqp://a:<secret:1>@h1:5672,amqp://b:<secret:1>@h2:5672"),
    ("--password hunter2", "--password <secret:1>"),
    ('["--password", "hunter2"]', '["--password", "<secret:1>"]'),
    ("mysql -uroot -phunter2 shop", "mysql -uroot -p<secret:1> shop"),
    ("mysqldump -u root -p'hunter2' shop", "mysqldump -u root -p'<secret:1>' shop"),
    ("sshpass -p hunter2 ssh x", "sshpass -p <secret:1> ssh x"),
    ("redis-cli -h redis -a hunter2 ping", "redis-cli -h redis -a <secret:1> ping"),
    ("curl -u bob:hunter2 http://x", "curl -u bob:<secret:1> http://x"),
    ("FOO_SECRET=hunter2", "FOO_SECRET=<secret:1>"),
    ("export DB_PASS=hunter2", "export DB_PASS=<secret:1>"),
    ('{"password":"hunter2","a":1}', '{"password":"<secret:1>","a":1}'),
    (r"""{\"password\":\"hunter2\",\"a\":1}""", r"""{\"password\":\"<secret:1>\",\"a\":1}"""),
    ("{'Authorization': 'Bearer hunter2hunter2'}", "{'Authorization': 'Bearer <secret:1>'}"),
    ("(b'Authorization', b'Basic aHVudGVyMg==')", "(b'Authorization', b'Basic <secret:1>')"),
    ("requirepass hunter2", "requirepass <secret:1>"),
    ("ALTER USER app IDENTIFIED BY 'hunter2'", "ALTER USER app IDENTIFIED BY '<secret:1>'"),
    ("ALTER ROLE app PASSWORD 'hunter2'", "ALTER ROLE app PASSWORD '<secret:1>'"),
    ("GENERATED ROOT PASSWORD: hunter2", "GENERATED ROOT PASSWORD: <secret:1>"),
    (
        "A temporary password is generated for root@localhost: hunter2",
        "A temporary password is generated for root@localhost: <secret:1>",
    ),
    ("api key: hunter2", "api key: <secret:1>"),
    ("API Key = hunter2", "API Key = <secret:1>"),
    ("<password>hunter2</password>", "<password><secret:1></password>"),
    ('os.environ.get("SECRET_KEY", "hunter2")', 'os.environ.get("SECRET_KEY", "<secret:1>")'),
    ("password='it''hunter2'", "password='<secret:1>'"),
    (r'''password="a\"hunter2"''', 'password="<secret:1>"'),
    ("clientSecret: hunter2", "clientSecret: <secret:1>"),
    ("ConnectionString: Server=x;Pwd=hunter2;", "ConnectionString: Server=x;Pwd=<secret:1>;"),
    ("jdbc:oracle:thin:scott/hunter2@db:1521", "jdbc:oracle:thin:scott/<secret:1>@db:1521"),
    ("amqp guest:hunter2@rabbit:5672", "amqp guest:<secret:1>@rabbit:5672"),
    ("bob.hunter2@example.com", "<secret:1>@example.com"),
    ("token: hunter2x", "token: <secret:1>"),
    ("Bearer hunter2.hunter2", "Bearer <secret:1>"),
    ("secret: hunter2", "secret: <secret:1>"),
    ("SharedAccessKeyName=Root;SharedAccessKey=hunter2=", "SharedAccessKeyName=Root;SharedAccessKey=<secret:1>"),
    ("wrong password 'hunter2' for bob", "wrong password '<secret:1>' for bob"),
    ("passphrase for key: hunter2", "passphrase for key: <secret:1>"),
    ("password set to hunter2", "password set to <secret:1>"),
    ('{"name":"DB_PASSWORD","value":"hunter2"}', '{"name":"DB_PASSWORD","value":"<secret:1>"}'),
    ("MYSQL_ROOT_PASSWORD: hunter2", "MYSQL_ROOT_PASSWORD: <secret:1>"),
    ("- POSTGRES_PASSWORD=hunter2", "- POSTGRES_PASSWORD=<secret:1>"),
    ("docker login -u me -p hunter2 registry", "docker login -u me -p <secret:1> registry"),
    ("Proxy-Authorization: Basic hunter2=", "Proxy-Authorization: Basic <secret:1>"),
    ("X-Vault-Token: hunter2", "X-Vault-Token: <secret:1>"),
    ("DATABASE_URL=postgres://u:hunter2@db/x", "DATABASE_URL=postgres://u:<secret:1>@db/x"),
    ("password=hunter2,host=db", "password=<secret:1>,host=db"),
    ("password=hunter2&user=x", "password=<secret:1>&user=x"),
]

# No secret is in these, and most of them are what a diagnosis hangs on.
KEPT = [
    "secret=0",  # whether there is one
    "token_secret: 1",
    'password authentication failed for user "shop"',
    'FATAL:  password authentication failed for user "shop"',
    "KeyError: 'SECRET_KEY'",
    'KeyError: "password"',
    'os.environ["SECRET_KEY"]',
    'SECRET_KEY = os.environ["SECRET_KEY"]',
    "POSTGRES_PASSWORD is not set",
    "Error: Database is uninitialized and superuser password is not specified.",
    "password: null",
    '"password": null, "token": None',
    "token expired",
    "token: expired",
    "invalid password",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOAUTH Authentication required.",
    "secret: not found",
    'secret "db-password" not found',
    "key too long",
    "sort key=created_at",
    "Processed message key=user-1234 partition=3 offset=99",
    "kafka key=order:1234567890 topic=orders",
    "Access denied for user 'shop'@'10.0.0.5' (using password: YES)",
    "Unexpected token } in JSON at position 5",
    "Unexpected token: '<'",
    r"""SyntaxError: Unexpected token '<', "<!DOCTYPE "... is not valid JSON""",
    "max_tokens: 4096, prompt_tokens=512 completion_tokens: 1234 total_tokens=99999",
    "token_count=55555 tokenizer=cl100k_base token_type=bearer",
    "num_tokens: 123456",
    "POSTGRES_PASSWORD_FILE=/run/secrets/db_password",
    "secretName: my-secret",
    "PWD=/usr/src/app",
    "token_url=https://auth.example.com/oauth/token",
    'WWW-Authenticate: Bearer realm="https://auth.docker.io/token",service="registry.docker.io"',
    "Basic authentication required",
    "bearer authentication is required",
    "passed=10 failed=0",
    "pass: 5 fail: 0",
    "container 3f2a9c1d4e5b6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8 died",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "nginx:1.25@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "request_id=550e8400-e29b-41d4-a716-446655440000 trace=4bf92f3577b34da6a3ce929d0e0e4736",
    "commit 9ff80eda1b2c3d4e5f60718293a4b5c6d7e8f901",
    '2024-03-11T14:00:19.421865Z level=info msg="ready" host=db port=5432 user=shop path=/var/lib/x',
    "connect to postgres://app@db:5432/shop failed",
    "could not connect to http://10.0.0.1:8080/path@x",
    "self.client = Client(password=self.password, token=settings.TOKEN)",
    "password=password, token=token)",
    "token = get_token()",
    'api_key=os.getenv("OPENAI_API_KEY")',
    "password=${DB_PASSWORD}",
    "--password is required",
    "use --token to authenticate",
    "password must be at least 8 characters",
    "password: must be at least 8 characters",
    "Password is required",
    "The password is incorrect",
    '{"password":["This field is required."]}',
    'column "password" of relation "users" does not exist',
    'null value in column "token" of relation "sessions" violates not-null constraint',
    "rabbit@rabbitmq-0.svc.cluster.local: nodedown",
    "Mnesia('rabbit@rabbitmq-0')",
    "celery@worker-1.example.com ready",
    "git@github.com:org/repo.git",
    "user@1000.service: Succeeded",
    "node_modules/.pnpm/foo@1.2.3/node_modules/bar@2.0.0-rc.1",
    "asset@2x.png",
    "password=<secret>",
    "Authorization header missing",
    "authorization failed",
    "Authorization: required",
    "cookie not set; CSRF cookie not set.",
    "-----BEGIN CERTIFICATE-----",
    'expected "-----BEGIN RSA PRIVATE KEY-----" but got nothing to read here',
    "Error: could not decrypt secret: cipher: message authentication failed",
    "secrets: open /run/secrets/x: permission denied",
    "redis-cli -h redis -p 6379 ping",
    "ssh -p 2222 host",
    "authentication error: invalid credentials",
    "credentials: could not load",
    "invalid token: signature verification failed",
    "public key=ssh-ed25519",
    "primary key: id",
    "Host key verification failed.",
    'duplicate key value violates unique constraint "users_pkey"',
    "Key (id)=(42) already exists.",
    "session=main",
    "signature=ok",
    "bypass=true compass=north",
    "passenger: 12345",
    "access_key_id missing",
    "private_key_path=/etc/ssl/private/key.pem",
    "password_reset_timeout=3600",
    "The provided token is malformed: token has 2 parts",
    "jwt malformed",
    "JsonWebTokenError: invalid signature",
    "API key is missing",
    "api_key: missing",
    '"api_key": "required"',
    "Incorrect API key provided",
    "hash=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    'etag="33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "user=app password=${PW} host=db",
    "token is too long: 5000 > 4096",
    "task-running-long-name-1234567",
    "risk-assessment-something-1234",
    "ERROR token.go:55 could not read",
    "auth.py:123 authenticate",
    "keys: 100, values: 200",
    "cache key=views.decorators.cache.9f86d081884c7d659a2feaa0",
    "Password for user shop:",
    "Enter password:",
    "no password supplied",
    "fe_sendauth: no password supplied",
    "secret key must be set",
]

# Keys that say what they are, in two halves: no scanner of repositories shall take them for real ones.
KEYS = {
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "GitHub": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "GitHub fine-grained": "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "GitLab": "glpat-AbCdEfGhIjKlMnOpQrSt",
    "Slack": "xoxb-123456789012-abcdefABCDEF",
    "Slack app": "xapp-1-A0123456789-0123456789-abcdef",
    "Stripe": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "Stripe hook": "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH",
    "Google": "AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
    "Google OAuth": "ya29.a0AfH6SMBx1234567890abcdef",
    "OpenAI": "sk-proj-abcDEF1234567890abcDEF1234567890",
    "Anthropic": "sk-ant-api03-abcDEF1234567890-abcDEF1234567890",
    "Hugging Face": "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "npm": "npm_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
    "PyPI": "pypi-AgEIcHlwaS5vcmcCJDEyMzQ1Njc4",
    "Telegram": "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
    "Discord": "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
    "SendGrid": "SG.ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf09kqeF8tAmbihYzrnopKc",
    "Docker Hub": "dckr_pat_AbCdEfGhIjKlMnOpQrStUvWx",
    "Groq": "gsk_AbCdEfGhIjKlMnOpQrStUvWxYz",
    "Vault": "hvs.CAESIAbCdEfGhIjKlMnOpQrStUv",
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "bcrypt": "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
    "argon2": "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub",
    "crypt": "$6$rounds=5000$saltsalt$hashhashhashhash",
    "Django": "pbkdf2_sha256$600000$salt$0123456789abcdef=",
    "SCRAM": "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy",
}


@pytest.mark.parametrize(("text", "left"), MASKED)
def test_a_secret_is_masked_and_its_surroundings_stay(text: str, left: str) -> None:
    assert redact.redact(text) == left
    assert "hunter2" not in left


@pytest.mark.parametrize("text", KEPT)
def test_what_a_diagnosis_needs_survives(text: str) -> None:
    assert redact.redact(text) == text


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("around", ["%s", "got %s from the caller", '"%s",', "x=%s", "https://x.example/%s"])
def test_a_key_that_says_what_it_is(name: str, around: str) -> None:
    assert redact.redact(around % KEYS[name]) == around % "<secret:1>"


PEM = "-----BEGIN {kind}PRIVATE KEY-----\nMIIEpAIBAAKCAQEAhunter2abcdefg\nhunter2==\n-----END {kind}PRIVATE KEY-----"


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
@pytest.mark.parametrize("newline", ["\n", "\\n", "\\\\n", "\r\n", "\napp | "])
def test_a_private_key_is_one_secret(kind: str, newline: str) -> None:
    key = PEM.format(kind=kind).replace("\n", newline)
    assert redact.redact(f"key {key} loaded") == "key <secret:1> loaded"
    cut = key.partition("-----END")[0]
    assert redact.redact(f"key {cut}") == "key <secret:1>"


def test_the_same_secret_has_the_same_number_whatever_is_around_it() -> None:
    redactor = Redactor()
    assert redactor.redact("password=hunter2 token=abc12345") == "password=<secret:1> token=<secret:2>"
    assert redactor.redact("redis://:abc12345@redis/0") == "redis://:<secret:2>@redis/0"
    assert redactor.redact('{"password": "hunter2"}') == '{"password": "<secret:1>"}'
    assert Redactor().redact("token=abc12345") == "token=<secret:1>"  # another scope, another count


def test_a_pseudonym_that_a_text_came_with_is_a_secret_of_its_own() -> None:
    redactor = Redactor()
    assert redactor.redact("password=hunter2, <secret:1>") == "password=<secret:1>, <secret:2>"
    assert redactor.redact("<secret:1> <secret:7> hunter2") == "<secret:2> <secret:3> hunter2"
    assert redactor.redact("password=<secret:1>") == "password=<secret:2>"
    assert redactor.redact("postgres://app:<secret:1>@db/x Bearer <secret:7>") == (
        "postgres://app:<secret:2>@db/x Bearer <secret:3>"
    )
    assert redactor.redact("password=<secret> <secret:> <secret:x>") == "password=<secret> <secret:> <secret:x>"


@pytest.mark.parametrize(("text", "left"), MASKED)
def test_masking_twice_is_masking_once(text: str, left: str) -> None:
    assert redact.redact(left) == left


def test_an_imitation_cannot_join_a_secret() -> None:
    assert redact.redact("password=<secret:3>hunter2") == "password=<secret:1>"


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    pairs = [("DB_PASSWORD", "s3cr3tvalue"), ("POSTGRES_PASSWORD", "postgres"), ("URL", "redis://:p4ssw0rd9@r/0")]
    redactor = Redactor(known=redact.in_pairs([*pairs, ("DB_USER", "shop"), ("SHOP_SECRET", "shop")]))
    assert redactor.redact("ValueError: 's3cr3tvalue' of shop on postgres p4ssw0rd9") == (
        "ValueError: '<secret:1>' of shop on postgres <secret:2>"
    )


def test_what_was_announced_once_is_masked_wherever_else_the_text_has_it() -> None:
    text = "login password=s3cr3tvalue failed; argv: ['s3cr3tvalue', 'x'], then s3cr3tvalue again"
    assert redact.redact(text) == "login password=<secret:1> failed; argv: ['<secret:1>', 'x'], then <secret:1> again"
    # a word may stand there for reasons of its own
    assert redact.redact("password=kubernetes on kubernetes") == "password=<secret:1> on kubernetes"


# What is only in one piece known for what it is: what stands around the secret, its length, what separates two of them.
KEY = "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----"
IN_ONE_PIECE = [("ghp_%s", 36, " "), ("postgres://app:%s@db/x", 120, " "), (KEY, 700, "\n"), (KEY, 3500, "\n")]


@pytest.mark.parametrize(("around", "length", "between"), IN_ONE_PIECE)
def test_where_a_long_item_is_cut_no_half_of_a_secret_is_shown(around: str, length: int, between: str) -> None:
    """Secrets around every cut, also so many that masking makes of sixteen thousand characters a few hundred."""
    chance = random.Random(length)
    for shift in range(0, 4000, 331):
        secrets = ["".join(chance.choices(ascii_letters + digits, k=length)) for _ in range(40_000 // length)]
        shown = logs.item(["word " * (shift // 5), between.join(around % secret for secret in secrets)])
        assert "characters left out" in shown
        pieces = {secret[at : at + 12] for secret in secrets for at in range(length - 11)}
        assert not pieces & {shown[at : at + 12] for at in range(len(shown) - 11)}


def test_memory_is_bounded() -> None:
    redactor = Redactor()
    for number in range(MAX_REMEMBERED):
        redactor.redact(f"token=value{number}x")
    assert redactor.redact("token=onemore1") == "token=<secret>"
    assert redactor.redact("token=value0x") == "token=<secret:1>"
    assert len(redactor.numbers) == MAX_REMEMBERED
    assert Redactor().redact("password=" + "x" * 10_000_000) == "password=<secret:1>"


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "password=",
            "token=",
            "session=a1",
            "password is ",
            "password: a b ",
            "://a:",
            "a@b.",
            "@tcp(",
            "<secret:1>",
        ),
        *(
            "-----BEGIN RSA PRIVATE KEY-----",
            "eyJ",
            "eyJa.",
            "cookie: ",
            "x-api-key: ",
            "Bearer ",
            "mysql -p",
            "?token=",
        ),
        *(
            "password='",
            'password="\\',
            "password: /run/",
            "<password>",
            "aA_",
            "A",
            "$6$",
            "sk-a-",
            "ghp_",
            "password",
        ),
    ],
)
def test_any_input_takes_linear_time(unit: str) -> None:
    """Linear is a second of processor time; what is quadratic takes minutes."""
    began = time.process_time()
    redact.redact(unit * (250_000 // len(unit)))
    assert time.process_time() - began < 15


def test_numbers_go_on_after_those_of_the_record() -> None:
    record = {"service": "a", "probe": {"checks": [{"url": "http://u:<secret:1>@x/ <secret:12>"}]}}
    assert redact.following(record) == 13
    assert Redactor(redact.following(record)).redact("token=abc12345") == "token=<secret:13>"


# The corpus of tests/data/secrets/, each kind by itself

ANNOUNCED = {
    f"{folder.name}/{kind}": [shape for shape in shapes.announced(folder / "announced.toml") if shape.kind == kind]
    for folder in shapes.FOLDERS
    for kind in {shape.kind for shape in shapes.announced(folder / "announced.toml")}
}
KNOWN = {
    f"{folder.name}/{name}": [value for value in shapes.known(folder / "known.toml") if value.name.startswith(name)]
    for folder in shapes.FOLDERS
    for name in {value.name.partition(": ")[0] for value in shapes.known(folder / "known.toml")}
}
PLAIN = [text for folder in shapes.FOLDERS for text in shapes.plain(folder / "plain.toml")]


@pytest.mark.parametrize("kind", sorted(ANNOUNCED))
@pytest.mark.parametrize("read", [redact.redact, shapes.by_line], ids=["whole", "by line"])
def test_what_is_announced_is_masked(kind: str, read: Callable[[str], str]) -> None:
    assert [shape.text for shape in ANNOUNCED[kind] if shape.leaked(read(shape.text))] == []


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_is_known_is_masked_in_every_form(name: str) -> None:
    assert [value.name for value in KNOWN[name] if value.leaked()] == []


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_stays(text: str) -> None:
    assert redact.redact(text) == text
    assert shapes.by_line(text) == text


# The table of rules


@pytest.mark.parametrize("rule", [rule for rule in rules.RULES if rule.example], ids=lambda rule: rule.example[:40])
def test_each_rule_finds_its_example_and_is_led_to(rule: rules.Rule) -> None:
    found = list(rule.find(rule.example, rule.example.lower()))
    assert found
    assert any(needle in rule.example.lower() for needle in rule.needles)
    assert set(found) <= set(rules.spans(rule.example))


@pytest.mark.parametrize(("begin", "rest"), tokens.MAKERS)
@settings(max_examples=5, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=strategies.data())
def test_each_makers_key_is_found(begin: str, rest: str, data: strategies.DataObject) -> None:
    key = begin + data.draw(strategies.from_regex(re.compile(rest, re.ASCII), fullmatch=True))
    assert redact.redact(f"got {key}") == "got <secret:1>"


@pytest.mark.parametrize(
    "name",
    ["jwt", "ticket", "otp", "hmac", "csrf", "sid", "salt", "mnemonic", "session", "pin", "cookie", "signature"],
)
@pytest.mark.parametrize("around", ['{"%s":"%s"}', "%s=%s", "%s: %s", "GET /?a=1&%s=%s HTTP/1.1"])
def test_no_name_is_dead(name: str, around: str) -> None:
    assert redact.redact(around % (name, "x7Kq92mLp4Zt")) == around % (name, "<secret:1>")


# A line of a request cannot hide a cause

HEADERS = [
    'GET /?q=-----BEGIN RSA PRIVATE KEY----- HTTP/1.1" 200',
    "-----BEGIN PRIVATE KEY-----",
    "app-1  | -----BEGIN OPENSSH PRIVATE KEY-----",
    'user-agent="-----BEGIN PRIVATE KEY-----"',
]
CAUSES = [
    "Error: cannot connect to db:5432",
    "FATAL: password authentication failed for user shop",
    "Connecting",
    "app-1  | Version: 3.4 refused",
    "app-1  | Fatal: out of memory",
    "OSError: [Errno 28] No space left on device",
    "word",
]


@pytest.mark.parametrize("header", HEADERS)
def test_the_header_of_a_key_hides_no_line_behind_it(header: str) -> None:
    text = "\n".join([header, *CAUSES])
    assert redact.redact(text) == text
    assert shapes.by_line(text) == text
    items = logs.grouped([(None, "stdout", line) for line in (header, *CAUSES)])
    assert [item.text for item in items] == [header, *CAUSES]


def test_the_header_of_a_key_and_the_end_of_another_hide_no_line_between_them() -> None:
    text = "\n".join(["-----BEGIN PRIVATE KEY-----", *CAUSES, "-----END PRIVATE KEY-----"])
    assert redact.redact(text) == text
    assert shapes.by_line(text) == text


# Many secrets


@pytest.mark.parametrize("shared", ["", "the-same-beginning-"])
def test_time_is_linear_in_the_number_of_secrets(shared: str) -> None:
    """No stopwatch: quadratic time for forty thousand of them would take minutes, and the suite's own limit ends it."""
    secrets = [f"{shared}va{number}lue{number * 7919 % 100_003}x" for number in range(40_000)]
    assert redact.redact(" ".join(f"token={secret}" for secret in secrets)).count("token=<secret") == len(secrets)
    assert Redactor(known=secrets).redact(" ".join(secrets)).count("<secret") == len(secrets)


# What is known of a container


def test_the_files_with_secrets_of_this_machine_are_known(tmp_path: Path) -> None:
    (tmp_path / "db_password").write_text("f1leSecret\n")
    (tmp_path / "other").write_text("notASecret9")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    os.mkfifo(tmp_path / "pipe")
    mounts = [
        {"Type": "bind", "Source": str(tmp_path / name), "Destination": f"/run/secrets/{name}"}
        for name in ("db_password", "link", "pipe", "missing")
    ]
    elsewhere = {"Type": "bind", "Source": str(tmp_path / "other"), "Destination": "/etc/other"}
    raw = {"Config": {"Env": ["A_FILE=/x"], "Labels": {}}, "Mounts": [*mounts, elsewhere]}
    assert environment.secrets(raw) == ["f1leSecret"]


def test_what_is_said_anyway_is_no_secret() -> None:
    """A password that is also the user's, the service's or a word of every log would hide what the log says."""
    pairs = ["POSTGRES_USER=shop", "POSTGRES_PASSWORD=shop", "ADMIN_PASSWORD=password", "API_KEY=web", "PIN=true"]
    raw = {"Name": "/web", "Config": {"Env": pairs, "Labels": {"com.docker.compose.service": "web"}}}
    assert environment.secrets(raw) == []


# dm-redact


def test_every_text_of_a_record_is_masked_and_nothing_else_changes(run: Run) -> None:
    record = {
        "service": "shop-app-1",
        "v": 1,
        "logs": {"lines": [{"id": "logs:41", "ts": None, "text": "connect postgres://app:hunter2@db:5432/shop"}]},
        "inspect": {"id": "3f" * 32, "env_names": ["POSTGRES_PASSWORD"], "exit_code": 1, "oom_killed": False},
        "password": "hunter2",
        "env": [{"name": "API_TOKEN", "value": "hunter2"}, {"name": "LANG", "value": "C"}],
        "headers": {"authorization": "Bearer hunter2hunter2", "X-Api-Key": "hunter2hunter2"},
        "deep": [[{"note": "mail bob@example.com"}]],
        "errors": [{"stage": "logs", "code": "docker_error", "message": "token=hunter2"}],
    }
    done = run("dm-redact", stdin=json.dumps(record) + "\n")
    assert (done.returncode, done.stderr) == (4, "")  # 4: the record carries an error
    (redacted,) = records(done.stdout)
    assert "hunter2" not in done.stdout
    assert redacted == record | {
        "logs": {"lines": [{"id": "logs:41", "ts": None, "text": "connect postgres://app:<secret:1>@db:5432/shop"}]},
        "password": "<secret:1>",
        "env": [{"name": "API_TOKEN", "value": "<secret:1>"}, {"name": "LANG", "value": "C"}],
        "headers": {"authorization": "Bearer <secret:2>", "X-Api-Key": "<secret:2>"},
        "deep": [[{"note": "mail <secret:3>@example.com"}]],
        "errors": [{"stage": "logs", "code": "docker_error", "message": "token=<secret:1>"}],
    }
    assert list(redacted) == list(record)


def test_numbers_of_two_records_are_told_apart_and_secrets_of_two_records_are_not(run: Run) -> None:
    stream = '{"service":"a","x":"<secret:1> token=abc12345"}\n{"service":"b","x":"<secret:1> token=abc12345"}\n'
    done = run("dm-redact", stdin=stream)
    assert [record["x"] for record in records(done.stdout)] == [
        "<secret:1> token=<secret:2>",
        "<secret:3> token=<secret:2>",
    ]


def test_a_record_that_is_only_errors_is_masked_too(run: Run) -> None:
    done = run("dm-redact", stdin='{"errors":[{"stage":"input","code":"x","message":"y","text":"token=hunter2"}]}\n')
    assert records(done.stdout)[0]["errors"][0]["text"] == "token=<secret:1>"


def test_plain_text_keeps_its_lines_and_bytes(run: Run, tmp_path) -> None:
    (tmp_path / "in").write_bytes(b"a\r\n\r\npassword=hunter2\xff\r\n\x00\xfe\xe2\x82 b \xe2\x80\xa8 c\n\nend")
    assert run("dm-redact --text < in > out").returncode == 0
    assert (
        tmp_path / "out"
    ).read_bytes() == b"a\r\n\r\npassword=<secret:1>\r\n\x00\xfe\xe2\x82 b \xe2\x80\xa8 c\n\nend"


def test_a_private_key_over_many_lines_of_text(run: Run) -> None:
    key = PEM.format(kind="RSA ").replace("\n", "\napp-1  | ")
    done = run("dm-redact --text", stdin=f"app-1  | {key}\napp-1  | listening on 8080\n")
    assert "hunter2" not in done.stdout
    assert done.stdout.count("\n") == 5
    assert done.stdout.endswith("app-1  | listening on 8080\n")


def test_text_comes_out_while_more_is_to_come(run: Run) -> None:
    with subprocess.Popen(
        ["dm-redact", "--text"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=SEALED
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"token=hunter2\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"token=<secret:1>\n"
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def test_a_line_without_end_is_masked_piece_by_piece(run: Run) -> None:
    """5 MB on one line, a secret in every place, at constant memory."""
    script = "import sys\nfor i in range(100000): sys.stdout.write('word %d and token=hunter2%d now, ' % (i, i % 9))"
    done = run(f'python3 -c "{script}" | dm-redact --text')
    assert done.returncode == 0
    assert "hunter2" not in done.stdout
    assert done.stdout.count("token=<secret:") == 100_000


def test_text_takes_no_names_and_no_terminal(run: Run) -> None:
    refused = run("dm-redact --text app")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("dm-redact: --text ")
    assert run("dm-redact --text <&-").returncode == 2
