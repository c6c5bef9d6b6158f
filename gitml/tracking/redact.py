"""Taking credentials out of what is about to be recorded: URLs, command lines, text and code.

A name is secret when it ends in a word such as `password`, `token` or `api_key`; what such a name
is set to becomes `***`. User info in URLs is left out, except the user name alone over ssh, where
it is part of the address (`git@host:path`). Where it is unclear what a value is, it goes: taking
out too much costs a detail of a record, but a secret in a commit can't be undone.

Everything here is pure and takes time linear in its input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from gitml.urls import without_bare_tokens, without_login, without_user_info

MASK = "***"

_WORDS = frozenset(
    """password passwords passwd passwort passphrase passcode pwd secret secrets credential
    credentials creds jwt bearer auth authorization cookie cookies otp webhook""".split()
)
_PAIRS = frozenset(
    """access_key account_key api_key app_key application_key auth_key client_key consumer_key
    deploy_key encryption_key hmac_key license_key master_key personal_key private_key secret_key
    service_key shared_key signing_key ssh_key storage_key subscription_key conn_str
    connection_string odbc_connect webhook_url""".split()
)
_ENDINGS = (
    "password", "passwd", "passphrase", "secret", "credentials", "token",
    *(pair.replace("_", "") for pair in _PAIRS),
)  # fmt: skip
_UNLESS_AFTER = {  # what the word means in machine learning, after these
    "token": frozenset(
        """pad eos bos sep cls mask unk unknown special start stop end first last next prev image
        audio video text max min num n per class query begin new extra""".split()
    ),
    "pass": frozenset("first second one two forward backward n num single multi low high".split()),
}
_TRAILING = frozenset("value val text str plain hash base".split())
_FLAGS = frozenset("no use has with without enable disable skip ask prompt require".split())
_PLAIN = frozenset(("", "true", "false", "none", "null", MASK))

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\W_\d]+")


def is_secret_name(name: str) -> bool:
    """Whether a value of this name (an option, parameter, variable or key) is a credential."""
    words = _words(name)
    while len(words) > 1 and words[-1] in _TRAILING:
        words.pop()
    if not words:
        return False
    last, before = words[-1], "_".join(words[-2:-1])
    if last in _UNLESS_AFTER:
        return before not in _UNLESS_AFTER[last]
    if last in _WORDS or f"{before}_{last}" in _PAIRS:
        return True
    return last.endswith(_ENDINGS) and last[:-5] not in _UNLESS_AFTER["token"]


def _words(name: str) -> list[str]:
    parts = _SEPARATORS.split(_CAMEL.sub("_", name[-200:]))
    return [part.lower() for part in parts if part]


# -- URLs ----------------------------------------------------------------------------------

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,30})://")
_QUERY_NAME = re.compile(r"(?<=[?&;#])([^?&;#=\s]*)=")
_QUERY_VALUE = re.compile(r"[^&#]*")
_WITH_USER = frozenset(("ssh", "sftp", "scp"))
_IN_QUERY = frozenset("key code sig signature jsessionid phpsessid sessionid session_id".split())


def redact_url(url: str) -> str:
    """The URL without user info, and with `***` for the values of secret query parameters.

    Over ssh, and in `user@host:path`, the user name stays and a password goes.
    """
    addressed = without_user_info(url, _WITH_USER) if "://" in url else without_login(url)
    return _without_tokens(without_bare_tokens("".join(_without_secret_parameters(addressed))))


def _without_secret_parameters(text: str) -> Iterator[str]:
    at = 0
    while found := _QUERY_NAME.search(text, at):
        yield text[at : found.end()]
        at = found.end()
        if _is_secret_parameter(found[1]):
            value = _QUERY_VALUE.match(text, at).group()  # type: ignore[union-attr]
            yield value if value.lower() in _PLAIN else MASK
            at += len(value)
    yield text[at:]


def _is_secret_parameter(name: str) -> bool:
    if "%" in name:
        from urllib.parse import unquote

        name = unquote(name)
    return name.lower() in _IN_QUERY or name.lower().endswith("-signature") or is_secret_name(name)


# -- text and code -------------------------------------------------------------------------

_QUOTED = re.compile(r""" "(?:\\.|[^"\\])*"? | '(?:\\.|[^'\\])*'? """, re.VERBOSE | re.DOTALL)
_BARE = re.compile(r"""\\["'].*?(?:\\["']|\Z) | \S+""", re.VERBOSE | re.DOTALL)
_LINE = re.compile(r"[^\r\n]+")
_FOUND = re.compile(
    r"""
    (?P<url> [a-z][a-z0-9+.\-]{0,30}:// \S* )
    | (?<![\w\-]) (?P<header> (?: (?:proxy-)?authorization | (?:set-)?cookie
        | x-(?:[a-z]+-){0,4}(?:key|token|auth|secret) ) (?:\\?["'])? [ ]{0,3} : [ ]{0,3} )
    | (?<![\w.\-]) (?P<name> [\w.\-]+ )
        (?P<sign> \\?["'\]]{0,2} [ \t]{0,3} (?: =(?!=) | ==(?!=|[ ]?\d) ) [ \t]{0,3}
        | \\?["'\]]{1,2} [ ]{0,3} : \s{0,3} )
    | (?: (?<! [^\s=,;"'(\[] ) | (?<=//) )
        (?P<login> [^\s:@/\\=,;"'(\[]{1,100} (?:@[\w.\-]{1,100})? : ) \S{1,300}
        (?= @ (?!sha\d) [\w.\-\[] )
    | \b (?P<bearer> bearer [ ]{1,3} ) [\w.~+/=\-]{16,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TOKENS = re.compile(
    r"\b(?:gh[opusr]_|github_pat_|gl(?:pat|dt|rt|ptt|cbt)-|hf_|xox[a-z]-|npm_|pypi-"
    r"|sk-(?:[a-z0-9]{2,8}-){0,3})[A-Za-z0-9_]{20,}[\w\-]*"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|(?<![\w\-])eyJ[\w\-]{8,}\.eyJ[\w\-]{8,}\.[\w\-]*"
)


def redact_text(text: str) -> str:
    """Free text (a requirement line, a data source, an exception) without credentials.

    Takes out user info and secret query parameters of every URL in it, what secret names are set
    to (`password=...`, `"api_key": "..."`, `Authorization: ...`), the password of
    `user:password@host`, and tokens of well-known forms.
    """
    return _without_tokens("".join(_scan(text, _value_end)))


def redact_code(text: str) -> str:
    """Program text without credentials in URLs and in string literals set to secret names.

    Expressions stay as they are: `token = next(tokens)` is code, `token = "ab12"` a secret.
    """
    return _without_tokens("".join(_scan(text, _literal_end)))


def _scan(text: str, end_of: Callable[[str, int, bool], int]) -> Iterator[str]:
    """The text in pieces; `end_of(text, start, header)` tells where a secret name's value ends."""
    at = 0
    while found := _FOUND.search(text, at):
        yield text[at : found.start()]
        at = found.end()
        if found["url"]:
            yield redact_url(found["url"])
        elif found["login"] and not _is_login(text, found):
            yield found["login"]
            at = found.end("login")
        elif found["login"] or found["bearer"]:
            yield (found["login"] or found["bearer"]) + MASK
        else:
            yield found.group()
            if found["header"] or is_secret_name(found["name"]):
                start, at = at, end_of(text, at, bool(found["header"]))
                yield _masked(text[start:at])
    yield text[at:]


_HOST = re.compile(r"@(?:\[|localhost\b|[\w.\-]*\.\w|[\w.\-]+[:/\\])")


def _is_login(text: str, found: re.Match[str]) -> bool:
    """Whether what stands before a `@` is a user and a password: `v1` of `churn:v1@next` is none.

    The host tells, or else the password: it is long, or holds what a name does not.
    """
    secret = text[found.end("login") : found.end()]
    if _HOST.match(text, found.end()):
        return True
    return secret[0] not in "/\\" and (len(secret) >= 8 or not set("@/#?").isdisjoint(secret))


def _value_end(text: str, start: int, header: bool) -> int:
    pattern = _LINE if header else _BARE
    found = _QUOTED.match(text, start) if text[start : start + 1] in ('"', "'") else None
    found = found or pattern.match(text, start)
    return found.end() if found else start


def _literal_end(text: str, start: int, header: bool) -> int:
    found = _QUOTED.match(text, start) if text[start : start + 1] in ('"', "'") else None
    return found.end() if found else start


def _masked(value: str) -> str:
    quote = value[:1] if value[:1] in ('"', "'") else ""
    inside = value.strip(quote) if quote else value
    if inside.lower().rstrip(",;)]}") in _PLAIN:
        return value
    return quote + MASK + quote


# Addresses that let whoever knows them in: what follows is the secret.
_HOOKS = re.compile(
    r"(\bhooks\.slack\.com/(?:services|workflows|triggers)/"
    r"|\bdiscord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/)[^\s\"'?#]+"
)


_PRIVATE_KEY = re.compile(
    r"-----BEGIN[A-Z ]{0,40} PRIVATE KEY[A-Z ]{0,20}-----"
    r".*?(?:-----END[A-Z ]{0,40} PRIVATE KEY[A-Z ]{0,20}-----|\Z)",
    re.DOTALL,
)


_ENCODED = re.compile(r"(%3A%2F%2F)[^\s&\"']{1,300}(?=%40)", re.IGNORECASE)  # `://u:p@`


def _without_tokens(text: str) -> str:
    text = _ENCODED.sub(rf"\1{MASK}", text)
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    return _TOKENS.sub(MASK, _HOOKS.sub(rf"\1{MASK}", text))


# -- command lines -------------------------------------------------------------------------

_SET = re.compile(r"(?<![^\s=])(?:(-[^\s=]*)=|([^\s=]*)=(?!=\d))")  # name==1.0 is a requirement
# Options that stand for a secret although their name alone could be that of anything.
_SECRET_OPTIONS = frozenset(("key", "access", "pat", "pw", "tokens"))
_OTHER_KEYS = frozenset(  # what has a key that is none to a door
    """sort order primary foreign partition group join merge label feature index dict hash map
    metric column col row field json tag state time date image text audio input output target public
    id s object blob bucket cache config param lookup search query value data dataset batch sample
    split monitor""".split()
)
_LOGIN_OPTIONS = frozenset(("-u", "--user", "-U", "--proxy-user", "--login"))


def redact_command(argv: Sequence[str]) -> tuple[str, ...]:
    """A command line without credentials, as many arguments as it had.

    The argument after an option (or a word) that is a secret name goes, as does what stands
    after the `=` of one, and what `redact_text` finds inside any argument.
    """
    shown = []
    before = ""
    for argument in argv:
        if _takes_secret(before):
            shown.append(MASK)
        elif before in _LOGIN_OPTIONS and ":" in argument:
            shown.append(argument.partition(":")[0] + ":" + MASK)
        else:
            shown.append(_redact_argument(argument))
        before = argument
    return tuple(shown)


def _takes_secret(option: str) -> bool:
    words = _words(option) if "=" not in option and " " not in option else []
    return bool(words) and words[0] not in _FLAGS and _is_secret_option(option)


def _is_secret_option(option: str) -> bool:
    """Whether what an option or setting of a command line is set to is a credential."""
    if is_secret_name(option):
        return True
    *before, last = _words(option) or [""]
    if not before:
        return option.startswith("-") and last in _SECRET_OPTIONS
    return last == "pat" or (last == "key" and before[-1] not in _OTHER_KEYS)


def _redact_argument(argument: str) -> str:
    address = _SCHEME.search(argument)
    for found in _SET.finditer(argument, 0, address.start() if address else len(argument)):
        if _is_secret_option(found[1] or found[2]):
            return argument[: found.end()] + _masked_rest(argument[found.end() :])
        if found[1] in _LOGIN_OPTIONS and ":" in argument[found.end() :]:
            return argument[: argument.index(":", found.end())] + ":" + MASK
    return redact_text(redact_url(argument) if address else argument)


def _masked_rest(value: str) -> str:
    return value if value.lower() in _PLAIN else MASK
