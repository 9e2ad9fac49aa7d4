"""With a certificate and its key the service speaks TLS, and whoever asks it here knows it by that certificate."""

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mlops_platform.clients.prediction_service import ServiceError, connect
from mlops_platform.services import probes
from mlops_platform.settings import PROJECT_ROOT, PlatformSettings
from mlops_platform.use_case.spec import UseCase
from stack.summary import summary
from tests.serving.conftest import Mlops, Trained
from tests.serving.processes import service_of

ENTITY = "5008804"


def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for another name than the service is asked by here, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.example")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{name}.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.fixture(scope="module")
def service(
    credit_risk: UseCase, forest: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformSettings]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = certify(folder, "risk")
    changes: dict[str, Any] = {"serving_tls_certificate": certificate, "serving_tls_key": key}
    with service_of(folder / "state", credit_risk, forest.folder, **changes) as settings:
        yield settings


def test_it_is_asked_by_tls_alone(service: PlatformSettings) -> None:
    assert service.serving_url == f"https://127.0.0.1:{service.serving_port}"
    with connect(service) as client:
        assert client.get(f"/predict/{ENTITY}").json()["model_version"] == "1"
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{service.serving_port}/healthz", trust_env=False)
    assert probes.serving(service)


def test_mlops_asks_it_and_trusts_no_other(mlops: Mlops, service: PlatformSettings, tmp_path: Path) -> None:
    code, printed, _ = mlops(service, "predict", ENTITY)
    assert (code, '"model_version": "1"' in printed) == (0, True)
    other, _ = certify(tmp_path, "other")
    code, _, said = mlops(service.model_copy(update={"serving_tls_certificate": other}), "predict", ENTITY)
    assert (code != 0, "CERTIFICATE_VERIFY_FAILED" in said) == (True, True)


def test_what_is_printed_at_the_start_is_what_curl_takes(service: PlatformSettings) -> None:
    url = f"{service.serving_url}/predict/{ENTITY}"
    assert f"$ curl -s --cacert {service.serving_tls_certificate} {url}\n" in summary(service, (url, "{}"), "1:44")


def test_a_certificate_that_is_none_is_named(settings: PlatformSettings, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    for name in ("none.pem", "missing.pem"):
        without = settings.model_copy(update={"serving_tls_certificate": tmp_path / name})
        with pytest.raises(ServiceError, match=f"the certificate {tmp_path / name} of the prediction service cannot"):
            connect(without)


def test_a_certificate_without_its_key_starts_nothing(tmp_path: Path) -> None:
    certificate, _ = certify(tmp_path, "risk")
    _, other_key = certify(tmp_path, "other")
    for key, reason in ((None, "there is one without the other"), (other_key, "KEY_VALUES_MISMATCH")):
        variables = {
            "PYTHONPATH": str(PROJECT_ROOT),
            "MLOPS_STATE_DIR": str(tmp_path),
            "MLOPS_SERVING_TLS_CERTIFICATE": str(certificate),
            "MLOPS_SERVING_TLS_KEY": "" if key is None else str(key),
        }
        ended = subprocess.run(
            [sys.executable, "-m", "serving"], env=variables, capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
        assert ended.stderr.startswith(f"TLS: the certificate {certificate} and the key {key} cannot be used (")
        assert reason in ended.stderr
