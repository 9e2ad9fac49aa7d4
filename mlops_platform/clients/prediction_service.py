"""The prediction service from outside: its HTTP API, with errors that say what to do.

Whoever reads shows the read token, where there is one; the admin token is shown for acts of administration alone.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from mlops_platform.audit import this_user
from mlops_platform.errors import REMEDY_FOLLOWS, PlatformError
from mlops_platform.models.routing import Routing
from mlops_platform.settings import PlatformSettings

# The service itself gives up after 60 s, and says so.
_TIMEOUT = 75.0
_REFUSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)

ON_BEHALF_OF = "x-on-behalf-of"
"""The header by which the holder of the admin token says for whom it acts; for the audit log."""


class ServiceError(PlatformError):
    """The prediction service refuses what it was asked."""


class ServiceAway(ServiceError):
    """It cannot be reached, or cannot answer at present."""

    transient = True


class ServiceHasNone(ServiceError):
    """It knows nothing of that name."""

    missing = True


@dataclass(frozen=True)
class Rollback:
    """The version that is the champion now, and the one that was (None for none)."""

    champion: str
    before: str | None


def connect(settings: PlatformSettings, timeout: float = _TIMEOUT) -> httpx.Client:
    """A client of the service that may read: its paths begin with ``/``.

    Raises:
        ServiceError: the service's certificate cannot be read.
    """
    token = settings.serving_read_token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    trusted = _only(settings.serving_tls_certificate) if settings.serving_tls_certificate else True
    return httpx.Client(
        base_url=settings.serving_url, timeout=timeout, trust_env=False, headers=headers, verify=trusted
    )


class PredictionService:
    """What the command line asks of the service."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings

    def prediction(self, use_case: str, entity_id: str) -> Any:
        """The answer of ``GET /v1/<use_case>/predict/<id>``."""
        return self._ask_for_id(use_case, "predict", entity_id)

    def features(self, use_case: str, entity_id: str) -> Any:
        """The answer of ``GET /v1/<use_case>/features/<id>``."""
        return self._ask_for_id(use_case, "features", entity_id)

    def roll_back(self, use_case: str, version: str | None) -> Rollback:
        """Make this version the champion; without one, the champion before the present one.

        Raises:
            ServiceError: there is no such version, or none before; nothing was changed.
        """
        versions = f"`mlops models list {use_case}`"
        content = self._administer(
            "POST",
            f"{_part(use_case)}/rollback",
            {
                httpx.codes.CONFLICT: f"name a version with --to; see which there are with {versions}",
                httpx.codes.UNPROCESSABLE_ENTITY: f"give --to the number of a version; see {versions}",
            },
            json={"version": version},
        )
        return Rollback(champion=content["champion"], before=content["before"])

    def routing(self, use_case: str) -> Routing:
        """Who answers now."""
        return Routing.model_validate(self._administer("GET", f"{_part(use_case)}/routing", {}))

    def set_routing(self, use_case: str, routing: Routing) -> Routing:
        """Set who answers, in every worker. Returns what the service took."""
        path = f"{_part(use_case)}/routing"
        return Routing.model_validate(self._administer("PUT", path, {}, json=routing.model_dump()))

    def replay(self, request_id: str) -> Any:
        """The answer of ``GET /admin/replay/<request_id>``: each answer as recorded, and as it comes out now.

        Raises:
            ServiceError: the log has no such request, or its model is to be had no more.
        """
        remedy = "give the request_id of an answer, or its header x-request-id, as it stands there"
        remedies: dict[int, str] = {
            httpx.codes.NOT_FOUND: remedy,
            httpx.codes.UNPROCESSABLE_ENTITY: remedy,
            httpx.codes.CONFLICT: "register the model again; the recorded answer stays in the prediction log",
        }
        return self._administer("GET", f"replay/{_part(request_id)}", remedies)

    def keys(self) -> list[dict[str, str]]:
        """Name and scope of each API key."""
        found: list[dict[str, str]] = self._administer("GET", "keys", {})
        return found

    def make_key(self, name: str, scope: str) -> str:
        """The new key, which cannot be had again.

        Raises:
            ServiceError: the name is taken, or is none.
        """
        remedies: dict[int, str] = {
            httpx.codes.UNPROCESSABLE_ENTITY: "use letters, digits and . _ @ - for the name, 64 at most"
        }
        return str(self._administer("POST", "keys", remedies, json={"name": name, "scope": scope})["key"])

    def revoke_key(self, name: str) -> None:
        """Make a key worthless, in every worker within a second.

        Raises:
            ServiceError: there is no key of that name.
        """
        self._administer("DELETE", f"keys/{_part(name)}", {})

    def _ask_for_id(self, use_case: str, what: str, entity_id: str) -> Any:
        remedies: dict[int, str] = {
            httpx.codes.NOT_FOUND: "ask for an id that the published snapshot holds; "
            f"see `mlops snapshots list {use_case}`",
            httpx.codes.UNPROCESSABLE_ENTITY: "correct the id",
            httpx.codes.SERVICE_UNAVAILABLE: f"publish a snapshot and a champion with `mlops run {use_case} features`",
        }
        remedies |= dict.fromkeys(
            _REFUSED, "restart with ./restart.sh, which gives the service the MLOPS_SERVING_READ_TOKEN of .env"
        )
        with connect(self._settings) as client:
            return self._ask(client, "GET", f"/v1/{_part(use_case)}/{what}/{_part(entity_id)}", remedies)

    def _administer(self, method: str, path: str, remedies: Mapping[int, str], **request: Any) -> Any:
        token = self._settings.serving_admin_token
        if not token:
            raise ServiceError(
                "no admin token for the prediction service is set",
                remedy="set MLOPS_SERVING_ADMIN_TOKEN in .env, or run ./start.sh, which makes one",
            )
        refused = "restart with ./restart.sh, which gives the service the MLOPS_SERVING_ADMIN_TOKEN of .env"
        with connect(self._settings) as client:
            client.headers["Authorization"] = f"Bearer {token.get_secret_value()}"
            client.headers[ON_BEHALF_OF] = quote(this_user())
            return self._ask(
                client, method, f"/admin/{path}", {**remedies, **dict.fromkeys(_REFUSED, refused)}, **request
            )

    def _ask(self, client: httpx.Client, method: str, path: str, remedies: Mapping[int, str], **request: Any) -> Any:
        try:
            answer = client.request(method, path, **request)
            content = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            found = str(error) or type(error).__name__
            raise ServiceAway(
                f"the prediction service does not answer at {self._settings.serving_url} ({found})",
                remedy="see which services run with `mlops status`; start them with ./start.sh",
            ) from None
        if not answer.is_success:
            raise _refusal(answer.status_code, str(content.get("detail", "no detail")), remedies)
        return content


def _only(certificate: Path) -> ssl.SSLContext:
    """Trusts the holder of this certificate's key and nobody else: whoever issued it, whatever names stand in it.

    It is the installation's own, so it need not name the address by which the installation asks its service.
    """
    end = "-----END CERTIFICATE-----"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        # the first alone: those of its chain would vouch for others that they issued
        own, end_found, _ = certificate.read_text(encoding="ascii").partition(end)
        context.load_verify_locations(cadata=own + end_found)
    except (OSError, ValueError) as error:
        raise ServiceError(
            f"the certificate {certificate} of the prediction service cannot be read ({error})",
            remedy="correct MLOPS_SERVING_TLS_CERTIFICATE in .env; it is a file in PEM",
        ) from None
    return context


def _refusal(status: int, detail: str, remedies: Mapping[int, str]) -> ServiceError:
    """Where the service's own words name a remedy, it is that one."""
    what, _, remedy = detail.partition(REMEDY_FOLLOWS)
    kinds: dict[int, type[ServiceError]] = {
        httpx.codes.NOT_FOUND: ServiceHasNone,
        httpx.codes.SERVICE_UNAVAILABLE: ServiceAway,
    }
    return kinds.get(status, ServiceError)(
        f"the prediction service answered {status}: {what}",
        remedy=remedy or remedies.get(status, "see the log of the service `serving`, and `mlops doctor`"),
    )


def _part(text: str) -> str:
    """One segment of a URL's path, which no client or server takes for a step up: a dot is encoded too."""
    return quote(text, safe="").replace(".", "%2E")
