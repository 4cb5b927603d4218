"""Words that stand where a secret would, and hold none."""

from __future__ import annotations

NOTHING = {
    "", "null", "none", "same-origin", "omit", "include", "nil", "undefined", "unset", "empty", "true", "false", "yes",
    "no",
    "redacted", "hidden", "masked", "filtered", "removed", "omitted", "str", "string", "bytes", "text", "varchar",
    "secretstr", "optional", "any", "object", "nan", "n/a", "missing", "invalid", "expired", "required", "incorrect",
    "unknown", "wrong", "revoked", "denied", "mismatch", "failed", "ok", "integer", "boolean", "blob", "password",
    "passwd", "secret", "token", "passphrase", "credentials", "api_key", "apikey", "default", "disabled", "enabled",
    "basic", "bearer", "plain", "login",
}  # fmt: skip
# Words with which a sentence goes on behind "password:" or "token": it tells of the secret and does not hold it.
SENTENCE = NOTHING | {
    "active", "added", "available", "cleared", "complete", "completed", "created", "deleted", "done", "finished",
    "inactive",
    "installed", "pending", "present", "ready", "refreshed", "removed", "renewed", "retry", "retrying", "rotated",
    "saved",
    "skipped", "started", "stopped", "succeeded", "successful", "successfully", "unchanged", "verified", "warning",
    "a", "access", "after", "all", "already", "also", "always", "an", "and", "are", "as", "at", "audience",
    "authentication", "authorization", "auth", "bad", "be", "because", "been", "before", "being", "blank", "but", "by",
    "can", "can't", "cannot", "changed", "check", "claims", "config", "configuration", "connect", "connection",
    "contains", "corrupt", "could", "couldn't", "credentials", "decode", "decoded", "decoding", "decryption", "did",
    "does", "doesn't", "don't", "each", "either", "ensure", "enter", "error", "exceeded", "expected", "failure",
    "field", "file", "for", "forbidden", "format", "found", "from", "generated", "get", "given", "got", "has", "have",
    "header", "http", "if", "in", "input", "insufficient", "is", "isn't", "issuer", "it", "its", "key", "length",
    "loaded", "loading", "login", "long", "lookup", "malformed", "may", "must", "name", "needs", "never", "new", "not",
    "nothing", "now", "of", "off", "on", "only", "open", "option", "or", "padding", "parameter", "password",
    "permission", "please", "provided", "read", "reading", "rejected", "requires", "reset", "resolved", "same", "see",
    "set", "setting", "shall", "short", "should", "signature", "since", "so", "something", "still", "stored", "success",
    "supplied", "than", "that", "the", "their", "there", "this", "timeout", "to", "token", "too", "type", "unable",
    "unauthorized", "under", "unexpected", "unrecognized", "unsupported", "until", "updated", "use", "used", "user",
    "username", "using", "valid", "validated", "validation", "value", "variable", "verification", "verify", "via",
    "was", "wasn't", "weak", "were", "when", "which", "will", "with", "without", "you", "your",
}  # fmt: skip
PREPOSITIONS = {
    "after", "and", "as", "at", "because", "but", "by", "connecting", "failed", "for", "from", "host", "in", "into",
    "is", "of", "on", "or", "port", "rejected", "to", "user", "using", "via", "was", "when", "while", "with",
}  # fmt: skip
# Names of columns and fields beside a secret's.
FIELDS = {
    "active", "address", "admin", "age", "app", "created", "created_at", "date", "db", "description", "email",
    "enabled",
    "first_name", "firstname", "host", "hostname", "id", "ip", "label", "last_name", "lastname", "level", "login",
    "mail", "message", "name", "phone", "port", "role", "roles", "state", "status", "time", "title", "type", "updated",
    "updated_at", "url", "user", "user_id", "user_name", "userid", "username", "value",
}  # fmt: skip
