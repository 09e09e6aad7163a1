"""Where hosted models live, and how to reach them. An endpoint never holds an API key, only where to find it."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from ftkit.errors import EndpointError, RecipeError
from ftkit.hosted import local_process, secrets

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A service that speaks OpenAI's protocol. Made by `local_service`, `endpoint` or `openai`."""

    url: str | None = None
    """Its base_url, ending in /v1; None: the local service, whose port differs each time."""
    key_env: str | None = None
    """The environment variable, or the secret on Colab, that holds the API key."""
    data_dir: str | None = None
    """The folder of the local service."""
    spends: bool = True
    """Whether training there may cost money."""

    def __post_init__(self):
        if (self.url is None) == (self.data_dir is None):
            raise RecipeError("Endpoint: want either url or data_dir; use local_service(), endpoint(url) or openai()")

    @classmethod
    def from_dict(cls, values: dict) -> "Endpoint":
        """The endpoint that recipe.json describes."""
        if unknown := set(values) - {field.name for field in fields(cls)}:
            raise RecipeError(f"Endpoint has no field {', '.join(sorted(unknown))}")
        return cls(**values)

    @property
    def name(self) -> str:
        """Who it is, for people: its URL, or "local service"."""
        return self.url or "local service"

    @property
    def local(self) -> bool:
        """Whether this is the kit's own service, found or started when it is needed."""
        return self.url is None

    @property
    def base_url(self) -> str:
        """What to pass to any OpenAI client as ``base_url``."""
        return local_process.service(self.data_dir).base_url if self.local else self.url

    @property
    def key(self) -> str:
        """What to pass to any OpenAI client as ``api_key``. Do not print it.

        Raises:
            EndpointError: there is none (`secrets.find` says where it is looked for).
        """
        if self.local:
            return local_process.service(self.data_dir).key
        if self.key_env and (key := secrets.find(self.key_env)):
            return key
        raise EndpointError(
            f"{self.url}: no API key: the environment variable {self.key_env} is empty; set it with "
            f"os.environ[{self.key_env!r}] = getpass.getpass(), so that the key is not in the notebook; "
            f"on Colab, add a secret named {self.key_env} and allow this notebook to see it"
        )

    def client(self):
        """The official `openai.OpenAI` client, pointed here."""
        from openai import OpenAI  # half a second

        _no_proxy_for_loopback()
        return OpenAI(base_url=self.base_url, api_key=self.key)

    def close(self) -> None:
        """End the local service, if this process started it; its data stays. Elsewhere: nothing to do."""
        if self.local:
            local_process.stop(self.data_dir)


def local_service(data_dir: str | os.PathLike = "runs/service") -> Endpoint:
    """The kit's own service on this machine: found if it runs on this folder already, else started now. Free, no account.

    One that is started here listens on a free loopback port and stops with this process. Its key lies in the folder,
    readable by this account alone.

    Args:
        data_dir: its files, jobs and tuned models. Start it on the same folder again and they are back; jobs that had not
            ended go on.

    Raises:
        EndpointError: it does not start.
    """
    _no_proxy_for_loopback()
    found = Endpoint(data_dir=str(Path(data_dir).resolve()), spends=False)
    local_process.service(found.data_dir)
    return found


def endpoint(base_url: str, key_env: str = "OPENAI_API_KEY", spends: bool | None = None) -> Endpoint:
    """Any service that speaks OpenAI's protocol.

    >>> endpoint("https://llm.example/v1").spends
    True

    Args:
        key_env: name of the environment variable (on Colab: of the secret) that holds the key; asked for in a notebook or
            a terminal if there is none. The key itself is never stored.
        spends: whether training may cost money. Default: yes, unless the service is on this machine.
    """
    host = urlsplit(base_url).hostname
    if not host or urlsplit(base_url).scheme not in ("http", "https"):
        raise EndpointError(f"endpoint: want a URL such as https://llm.example/v1; got {base_url!r}")
    if urlsplit(base_url).password:
        raise EndpointError("endpoint: the URL holds a password; put it into an environment variable, as key_env")
    return Endpoint(url=base_url, key_env=key_env, spends=host not in LOOPBACK if spends is None else spends)


def openai(key_env: str = "OPENAI_API_KEY") -> Endpoint:
    """OpenAI itself. Training spends money, and is closing: see prices.json for the dates."""
    return endpoint("https://api.openai.com/v1", key_env, spends=True)


def _no_proxy_for_loopback() -> None:
    """A proxy must not be asked for this machine's own services."""
    for name in ("NO_PROXY", "no_proxy"):
        listed = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(listed + [host for host in LOOPBACK[:2] if host not in listed])
