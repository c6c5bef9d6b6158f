"""Credentials never come out of what is recorded, and what is none stays readable."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.tracking.redact import (
    MASK,
    is_secret_name,
    redact_code,
    redact_command,
    redact_text,
    redact_url,
)

CANARY = "c4nary"
SECRET_NAMES = (
    "password", "db.password", "PGPASSWORD", "MYSQL_PWD", "password2", "passphrase", "API_KEY",
    "apiKey", "aws_secret_access_key", "AccountKey", "client-secret", "clientSecret", "token",
    "HF_TOKEN", "push_to_hub_token", "accessToken", "X-Amz-Security-Token", "Ptoken", "auth",
    "private_key", "connection_string", "credentials", "token_value", "slack_webhook",
    "SLACK_WEBHOOK_URL", "secrets",
)  # fmt: skip
OTHER_NAMES = (
    "max_tokens", "max_new_tokens", "pad_token", "eos_token_id", "tokenizer", "token_dim", "author",
    "key", "keys", "monkey", "passes", "n_pass", "bypass", "compass", "token-file", "auth_method",
    "signature", "secret_santa_budget", "lr", "", "-", "_", "***",
)  # fmt: skip

# What a user may have typed, with the canary in the middle of it.
anything = st.text(st.characters(codec="utf-8"), max_size=8)
one_word = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, blacklist_characters="/?#%")
)
around = st.tuples(anything, anything).map(CANARY.join)
in_word = st.tuples(one_word, one_word).map(CANARY.join).filter(lambda word: word.isprintable())
in_login = in_word.filter(lambda word: "@" not in word and not set(word) & set("\"'\\ \xa0"))
encoded = st.text("abcXYZ0189-._~%+=:!$*", max_size=8).map(lambda text: text + CANARY + text)
secret_names = st.sampled_from(SECRET_NAMES)


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_secret_name(name: str) -> None:
    """A name that ends in a word for a credential is secret, however it is written."""
    assert is_secret_name(name)
    assert is_secret_name("--" + name)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_name(name: str) -> None:
    """Words that machine learning uses for other things are not secrets."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pw@example.org/a.git", "https://example.org/a.git"),
        ("https://ghp_token@example.org/a.git", "https://example.org/a.git"),
        ("git+https://user:pw@example.org/a@v1#egg=a", "git+https://example.org/a@v1#egg=a"),
        ("https://user:p@ss@example.org/x", "https://example.org/x"),
        ("https://user:p/w?x#d@example.org/x", "https://example.org/x"),
        ("https://user:#secret@example.org/x", "https://example.org/x"),
        ("https://user:?secret@example.org/x", "https://example.org/x"),
        ("https://user:1234/secret@example.org/x", "https://example.org/x"),
        ("ssh://user:a/secret@example.org/x", "ssh://user@example.org/x"),
        ("jdbc:mysql://user:secret@example.org/db", "jdbc:mysql://example.org/db"),
        ("s3://key:secret@bucket/data", "s3://bucket/data"),
        ("postgresql://u:p@h1:5432,h2:5432/db", "postgresql://h1:5432,h2:5432/db"),
        ("http://a:9200,http://u:p@b:9200", "http://a:9200,http://b:9200"),
        ("https://example.org/?next=https://u:p@h/", "https://example.org/?next=https://h/"),
        ("https://h/x?sig=a%2Fb&se=3#part", "https://h/x?sig=***&se=3#part"),
        ("s3://b/k?versionId=1&X-Amz-Signature=ab", "s3://b/k?versionId=1&X-Amz-Signature=***"),
        ("https://h/#access_token=ab&type=x", "https://h/#access_token=***&type=x"),
        ("https://h/?%74oken=ab", "https://h/?%74oken=***"),
        ("jdbc:sqlserver://h;user=a;password=b", "jdbc:sqlserver://h;user=a;password=***"),
        ("ssh://git:pw@example.org/a", "ssh://git@example.org/a"),
        ("user:pw@example.org:a.git", "user@example.org:a.git"),
        ("u:a@b/S@h", "u@h"),
        ("u:a b@h/x", "u@h/x"),
        ("ada@example.org:pw@h/x", "ada@example.org@h/x"),
        ("//u:pw@h/x", "//u@h/x"),
        ("azure://c/x#pw", "azure://c/x#***"),
        ("azure://c/x?pw", "azure://c/x?***"),
        ("https://h/x?0123456789abcdef", "https://h/x?***"),
        ("https://h/x;jsessionid=ab", "https://h/x;jsessionid=***"),
        ("https%3A%2F%2Fu%3Apw%40h%2Fx", "https%3A%2F%2F***%40h%2Fx"),
        ("https://hooks.slack.com/services/T0/B0/x", "https://hooks.slack.com/services/***"),
        (
            "https://discord.com/api/webhooks/1/x?wait=1",
            "https://discord.com/api/webhooks/***?wait=1",
        ),
    ],
)
def test_url(url: str, expected: str) -> None:
    """User info goes from a URL, and so do the values of secret query parameters."""
    assert redact_url(url) == expected
    assert redact_url(expected) == expected


@pytest.mark.parametrize(
    "url",
    [
        "git@github.com:owner/name.git",
        "ssh://git@example.org/a",
        "git+ssh://git@example.org:22/a@main",
        "https://example.org:8080/@scope/name",
        "https://example.org/@user/post?page=2&q=a@b",
        "http://[::1]:80/@x",
        "git+http://gitlab:8080/a.git@v1",
        "http://localhost:8080/a@b",
        "file:///data/train.csv",
        "s3://bucket/data@2024/x.csv",
        "gs://bucket/data.csv#1700000000000000",
        "git+https://example.org/a#0123456789abcdef0123",
        "https://example.org/page?x86#section-2",
        "git@example.org:owner/name@v1",
        "C:\\data\\a@b.csv",
        "data/train.csv",
        "C:\\data\\train.csv",
        "",
    ],
)
def test_url_that_holds_no_secret(url: str) -> None:
    """What holds no credential comes out as it went in; `git@host` is an address."""
    assert redact_url(url) == url


@given(in_word, st.sampled_from(["https", "git+https", "s3", "postgresql+psycopg2"]))
def test_no_password_stays_in_a_url(password: str, scheme: str) -> None:
    """Whatever a password looks like, it never comes out of a URL, or of text around one."""
    url = f"{scheme}://user:{password}@example.org/x"
    assert CANARY not in redact_url(url)
    assert CANARY not in redact_text(f"name @ {url}#egg=name")
    assert CANARY not in "".join(redact_command(["train.py", "--data", url, f"--data={url}"]))


@given(encoded, secret_names)
def test_no_secret_stays_in_a_query(secret: str, name: str) -> None:
    """The value of a secret query parameter never comes out, wherever the URL stands."""
    url = f"https://example.org/data?a=1&{name}={secret}&b=2"
    assert CANARY not in redact_url(url)
    assert "&b=2" in redact_url(url)
    assert CANARY not in redact_text(f"can't read {url}, sorry")
    assert CANARY not in "".join(redact_command(["train.py", url, f"data={url}"]))


@given(around, secret_names)
def test_no_secret_stays_in_a_command_line(secret: str, name: str) -> None:
    """What follows a secret option, as the next argument or after `=`, never comes out."""
    argv = ["train.py", "--lr", "0.1", f"--{name}", secret, f"--{name}={secret}"]
    if not re.match(r"=\d", secret):  # token==1.0 is a requirement
        argv.append(f"{name}={secret}")
    redacted = redact_command(argv)
    assert CANARY not in "".join(redacted)
    assert redacted[:4] == tuple(argv[:4])
    assert len(redacted) == len(argv)


SECRET_OPTIONS = (
    "--wandb-key", "--pat", "--github-pat", "--key", "-key", "--access", "--access-key",
    "--comet_key", "--openaiKey", "--openai-key", "--secrets", "--passwords", "--tokens", "--pw",
    "--slack-webhook", "--webhook-url", "--model.hub-key",
)  # fmt: skip
OTHER_OPTIONS = (
    "-p", "-k", "--key-column", "--sort-key", "--primary_key", "--partitionKey", "--s3-key",
    "--keys", "--pattern", "--path", "--accessor", "--access-log", "--keyword",
    "--random-access", "--webhook-port", "--pat-size", "key", "access", "pat",
)  # fmt: skip


@given(around, st.sampled_from(SECRET_OPTIONS))
def test_no_value_of_a_secret_option_stays(secret: str, option: str) -> None:
    """Some names are those of secrets as options only, as they have no other use there."""
    argv = ["train.py", option, secret, f"{option}={secret}"]
    redacted = redact_command(argv)
    assert CANARY not in "".join(redacted)
    assert redacted[:2] == tuple(argv[:2])


@pytest.mark.parametrize("option", OTHER_OPTIONS)
def test_the_value_of_another_option_stays(option: str) -> None:
    """What a key, an access or a pattern is of tells whether it is a secret."""
    argv = ("train.py", option, "age", f"{option}=age")
    assert redact_command(argv) == argv


@pytest.mark.parametrize("option", ["-u", "--user", "--login", "--proxy-user"])
def test_the_password_of_a_login_option_goes(option: str) -> None:
    """The user's name stays, also where an equals sign joins the two."""
    argv = ["train.py", option, f"ann:{CANARY}", f"{option}=ann:{CANARY}"]
    assert redact_command(argv) == ("train.py", option, f"ann:{MASK}", f"{option}=ann:{MASK}")


@pytest.mark.parametrize("kind", ["", "RSA ", "OPENSSH ", "ENCRYPTED "])
@pytest.mark.parametrize("end", [True, False])
def test_no_private_key_stays(kind: str, end: bool) -> None:
    """A key in PEM form goes wherever it stands, cut off or whole."""
    key = f"-----BEGIN {kind}PRIVATE KEY-----\n{CANARY}\n{CANARY}"
    key += f"\n-----END {kind}PRIVATE KEY-----" if end else ""
    assert CANARY not in "".join(redact_command(["train.py", "-x", key, f"-x={key}"]))
    assert CANARY not in redact_text(f"bad key: {key}")
    assert CANARY not in redact_code(f"cert = {key!r}")


def test_an_address_that_is_a_secret_goes_wherever_it_stands() -> None:
    """Whoever knows the address of a webhook may write to it."""
    url = f"https://hooks.slack.com/services/T0/B0/{CANARY}"
    assert CANARY not in redact_text(f"can't reach {url}, sorry")
    assert CANARY not in redact_code(f'notify("{url}")')
    assert CANARY not in "".join(redact_command(["train.py", url, f"--notify={url}"]))
    assert "AKIA" not in redact_text("as AKIAIOSFODNN7EXAMPLE in eu-west-1")


@given(around, secret_names, st.sampled_from(["'", '"']))
def test_no_quoted_secret_stays_in_text(secret: str, name: str, quote: str) -> None:
    """A quoted value of a secret name never comes out of text or code, escaped quotes and all."""
    escaped = secret.replace("\\", "\\\\").replace(quote, "\\" + quote)
    for text in (
        f"{name}={quote}{escaped}{quote}",
        f"{{{quote}{name}{quote}: {quote}{escaped}{quote}}}",
    ):
        assert CANARY not in redact_text(text)
        assert CANARY not in redact_code(text)


@given(in_word, secret_names)
def test_no_bare_secret_stays_in_text(secret: str, name: str) -> None:
    """A bare value of a secret name in text goes up to the next white space."""
    for sign in ("=", " = "):
        redacted = redact_text(f"failed: {name}{sign}x{secret} at line 3")
        assert CANARY not in redacted
        assert redacted.endswith(" at line 3")


@given(in_login)
def test_no_password_of_a_login_stays_in_text(password: str) -> None:
    """`user:password@host` is recognised without a scheme."""
    assert CANARY not in redact_text(f"can't connect to admin:{password}@db.example.org:5432/x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc def\nnext", "Authorization: ***\nnext"),
        ("{'X-Api-Key': 'abc', 'n': 1}", "{'X-Api-Key': '***', 'n': 1}"),
        ('{\\"password\\": \\"a b\\"} c', '{\\"password\\": ***} c'),
        ("AccountName=a;AccountKey=b==", "AccountName=a;AccountKey=***"),
        ("bearer 0123456789abcdef0", "bearer ***"),
        ("got ghp_0123456789abcdefghij0123456789abcdef!", "got ***!"),
        ("at u:a@b/S@h now", "at u:***@h now"),
        ("at //u:pw@h/x now", "at //u:***@h/x now"),
        ("at u:pw@[::1]/x now", "at u:***@[::1]/x now"),
        ("at u:pw@localhost now", "at u:***@localhost now"),
        ("at u:long-password@host", "at u:***@host"),
        ("at u:pw@h:path", "at u:***@h:path"),
        ("name @ git+https://token@example.org/a@1f2e", "name @ git+https://example.org/a@1f2e"),
    ],
)
def test_text(text: str, expected: str) -> None:
    """Headers, nested JSON, connection strings and well-known tokens are recognised in text."""
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "pytest-token==1.0",
        "Unexpected token: foo at line 3, password: too short",
        "token=None, password='', use_auth_token=True",
        "max_tokens=512 pad_token=<pad> key=a",
        "assert n == 3, auth-token ==2.0",
        "python:3.11@sha256:0a1b",
        "mail ada@example.org: the secret of success",
        "serve models:/churn@production and churn:v1@next",
    ],
)
def test_text_that_holds_no_secret(text: str) -> None:
    """Requirement lines, messages and hyperparameters stay readable."""
    assert redact_text(text) == text


def test_code() -> None:
    """Of code only string literals go: an expression is no secret."""
    code = "token = next(tokens)\npassword = os.environ['PASSWORD']\nf(1, token=x)"
    assert redact_code(code) == code
    assert redact_code("api_key = 'abc'  # mine") == "api_key = '***'  # mine"
    assert redact_code("get('https://u:p@h/x')") == "get('https://h/x')"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["t.py", "--token", "--password", "x"], ("t.py", "--token", MASK, MASK)),
        (["t.py", "--use-auth-token", "--lr", "1"], ("t.py", "--use-auth-token", "--lr", "1")),
        (["t.py", "--token-file", "t.txt"], ("t.py", "--token-file", "t.txt")),
        (["t.py", "-p", "5000", "-P", "lr=1"], ("t.py", "-p", "5000", "-P", "lr=1")),
        (["t.py", "-P", "api_key=a b", "+db.pwd=x"], ("t.py", "-P", "api_key=***", "+db.pwd=***")),
        (["t.py", "-u", "ada:pw", "-u", "1"], ("t.py", "-u", "ada:***", "-u", "1")),
        (["t.py", "--cfg", '{"token": "a b"}'], ("t.py", "--cfg", '{"token": "***"}')),
        (["t.py", "--max-tokens", "5", "a==b"], ("t.py", "--max-tokens", "5", "a==b")),
        (["t.py", "https://h/?token=a b"], ("t.py", "https://h/?token=***")),
        (["aws", "secret_access_key", "x"], ("aws", "secret_access_key", MASK)),
        ([], ()),
    ],
)
def test_command(argv: list[str], expected: tuple[str, ...]) -> None:
    """A command line keeps its shape and loses its credentials."""
    assert redact_command(argv) == expected
    assert redact_command(expected) == expected


@given(st.text("ab:/@?&#=;.-_ '\"\\\n%0TokenPassword", max_size=60))
def test_redacting_again_changes_nothing(text: str) -> None:
    """What was redacted once is stable: a record can be redacted on every rewrite."""
    for redact in (redact_url, redact_text):
        once = redact(text)
        assert redact(once) == once


HOSTILE = (
    "a", "a:", "=a:", "a=", '="', "='", "='=\"", "://", "a://", "@", ":@", "a:@a.", "x-", "x-a-",
    "?", "?a", "&token=", "eyJ-", "eyJaaaaaaaa.", "sk-", "sk-ab-", "gh", "token", "token=", "\\\"",
    "%3A%2F%2F", "//a:", "a@b:", "://a?", "?a#",
    "token ", "bearer ", "-", "_", "aB", "1", "password=\"\\",
)  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("redact", [redact_url, redact_text, redact_code])
def test_hostile_text_takes_linear_time(redact: Callable[[str], str]) -> None:
    """No pattern backtracks over the whole text: 100,000 characters of anything are nothing."""
    for unit in HOSTILE:
        assert isinstance(redact(unit * (100_000 // len(unit))), str)


@pytest.mark.timeout(60)
def test_hostile_arguments_take_linear_time() -> None:
    """The same holds for the arguments of a command line."""
    arguments = [unit * (50_000 // len(unit)) for unit in HOSTILE]
    assert len(redact_command(arguments)) == len(arguments)
