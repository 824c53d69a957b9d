"""What the types of the tree cannot say by themselves.

Each check takes a value of the right type and returns it, made uniform, or raises a `ValueError` whose
text completes "<the setting>: …" and repeats nothing of the value, which may hold a password.
"""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from pydantic import SecretStr, ValidationInfo

DATABASE_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "postgresql+asyncpg": "postgresql",
}
DATABASE_SCHEMES = "sqlite:///…, postgresql://… or postgres://…"
BROKER_SCHEMES = "amqp://…, amqps://…, redis://… or rediss://…"
STORAGE_SCHEMES = "file:///…, s3://bucket/…, gs://bucket/… or az://container/…"

_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?\.?", re.IGNORECASE)
_HOST_HEADER = re.compile(r"\*|(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?(:[0-9]+)?|\[[0-9a-f:.]+\](:[0-9]+)?")
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_LANE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


class Misplaced(ValueError):
    """A wrong value whose cause is further down the tree: `at` leads there from the checked field."""

    def __init__(self, message: str, *at: str) -> None:
        super().__init__(message)
        self.at = at


def lower_case(value: object) -> object:
    """Let words from a fixed list be written in capitals too (`INFO`)."""
    return value.lower() if isinstance(value, str) else value


def path_from(cwd: Path, path: Path) -> Path:
    """The absolute path that `path` is in the directory `cwd`; `~` is the user's home."""
    try:
        return cwd / path.expanduser()
    except RuntimeError:
        raise ValueError("starts with ~, but there is no such user's home") from None


def absolute_path(path: Path, info: ValidationInfo) -> Path:
    """The path from the directory that the settings were loaded in, so that nothing moves with a chdir."""
    return path_from((info.context or {}).get("cwd") or Path.cwd(), path)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`: 127.0.0.0/8, ::1 or `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listening_address(host: str) -> str:
    """An IP address or a host name."""
    try:
        ip_address(host)
    except ValueError:
        if not _HOST_NAME.fullmatch(host):
            raise ValueError(
                "must be an address or a host name, such as 127.0.0.1, ::1 or localhost, without a port"
            ) from None
    return host


def host_header(host: str) -> str:
    """A host as browsers send it, or a pattern `*.example.com`, or `*`."""
    if not _HOST_HEADER.fullmatch(host.lower()):
        raise ValueError("must be host names such as app.example.com or *.example.com, without http:// or a path")
    return host.lower()


def egress_target(value: str) -> str:
    """A host name, an address, or a network such as 10.1.0.0/16."""
    try:
        ip_network(value, strict=False)
    except ValueError:
        if not _HOST_NAME.fullmatch(value):
            raise ValueError(
                "must be host names, addresses or networks, such as hooks.internal or 10.1.0.0/16, without https://"
            ) from None
    return value.lower()


def origin(value: str) -> str:
    """An origin as browsers send it (scheme, host, port), or `*`."""
    parts = _http_url(value)
    if value == "*":
        return value
    if not parts or parts.path not in {"", "/"}:
        raise ValueError('must be origins such as https://app.example.com (no path), or "*"')
    return value.rstrip("/").lower()


def public_url(value: str) -> str:
    """An http(s) address without credentials, query or fragment; the result ends in no slash."""
    if not _http_url(value):
        raise ValueError("must be an address such as https://pictures.example.com, without a password or a query")
    return value.rstrip("/")


def _http_url(value: str) -> SplitResult | None:
    """The parts of a plain http(s) address; None for everything else."""
    try:
        parts = urlsplit(value)
        # Reading the port is what checks it.
        plain = parts.port != 0 and not (parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:
        return None
    strange = re.search(r"[\s\x00-\x1f\\]", value)
    return parts if parts.scheme in {"http", "https"} and parts.hostname and plain and not strange else None


def database_url(url: str) -> str:
    """The address without a driver, which Darkroom chooses, and `sslmode` under the name that asyncpg reads."""
    scheme, _, rest = url.partition("://")
    driver = DATABASE_DRIVERS.get(scheme)
    if driver is None or not rest:
        raise ValueError(f"must start with {DATABASE_SCHEMES}")
    if driver.startswith("sqlite"):
        if not rest.startswith("/") or rest.partition("?")[0] in {"/", "/:memory:"}:
            raise ValueError("must name a file, such as sqlite:////var/lib/darkroom/darkroom.db (four slashes)")
        return f"{driver}://{rest}"
    address, _, query = rest.partition("?")
    options = [("ssl" if key == "sslmode" else key, value) for key, value in parse_qsl(query)]
    return f"{driver}://{address}" + (f"?{urlencode(options)}" if options else "")


def broker_url(url: str) -> str:
    """The address of RabbitMQ or Redis."""
    scheme, _, rest = url.partition("://")
    if scheme not in {"amqp", "amqps", "redis", "rediss"} or not rest.strip("/"):
        raise ValueError(f"must start with {BROKER_SCHEMES}")
    return url


def storage_url(url: str) -> str:
    """A folder's or a bucket's address, without credentials; the result ends in no slash."""
    scheme, _, rest = url.partition("://")
    if scheme not in {"file", "s3", "gs", "az"}:
        raise ValueError(f"must start with {STORAGE_SCHEMES}")
    if "?" in rest or "#" in rest:
        raise ValueError("must have no '?' and no '#'; in a folder's name they are written %3F and %23")
    if scheme == "file" and not re.match("/+[^/]", rest):
        raise ValueError("must name a folder from the root, such as file:///var/lib/darkroom/files (three slashes)")
    if scheme != "file" and not re.match(r"[^/@:]+(/|$)", rest):
        raise ValueError(
            f"must name a bucket, such as {scheme}://pictures/darkroom; credentials go into storage_options"
        )
    return url.rstrip("/")


def model_name(name: str) -> str:
    """The name under which callers ask for a model."""
    if not _MODEL_NAME.fullmatch(name):
        raise ValueError("a model's name is 1 to 100 of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit")
    return name


def queue_prefix(name: str) -> str:
    """The first part of queues' names."""
    if not _LANE_NAME.fullmatch(name):
        raise ValueError("must be 1 to 50 of a-z, 0-9, '_' and '-', and start with a letter or digit")
    return name


def lane_name(name: str) -> str:
    """The name of a lane."""
    if not _LANE_NAME.fullmatch(name):
        raise ValueError("a lane's name is 1 to 50 of a-z, 0-9, '_' and '-', and starts with a letter or digit")
    return name


def header_value(secret: SecretStr) -> SecretStr:
    """A secret that is sent in a header, where what is not allowed would be repeated in an error."""
    if not all("!" <= character <= "~" for character in secret.get_secret_value()):
        raise ValueError("must be of visible ASCII characters, without spaces")
    return secret


def account_name(name: str) -> str:
    """The name of an account at a backend."""
    if not _LANE_NAME.fullmatch(name):
        raise ValueError("must be 1 to 50 of a-z, 0-9, '_' and '-', and start with a letter or digit")
    return name
