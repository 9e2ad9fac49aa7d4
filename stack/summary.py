"""What a start ends with: where everything is, how to log in, one prediction, what to try next."""

import shlex

from mlops_platform.settings import PlatformSettings
from stack.pages import TITLES, Page, address


def _trusting(settings: PlatformSettings) -> str:
    certificate = settings.serving_tls_certificate
    return f"--cacert {shlex.quote(str(certificate))} " if certificate else ""


def summary(settings: PlatformSettings, prediction: tuple[str, str], elapsed: str) -> str:
    """The whole message.

    Args:
        prediction: the URL that was asked, and the answer's body.
        elapsed: how long the start took.
    """
    url, answer = prediction
    pages = ((TITLES[page], *address(settings, page)) for page in Page)
    return "\n".join(
        [
            "",
            f"Ready after {elapsed} min.",
            "",
            *(f"  {title:<9} {where:<30} {login}" for title, where, login in pages),
            "",
            "A prediction:",
            f"  $ curl -s {_trusting(settings)}{url}",
            f"  {answer}",
            "",
            "Next:",
            "  ./mlops status              what runs, what is published, who is champion",
            f"  ./mlops predict {url.rsplit('/', 1)[1]:<12}the same from the command line",
            "  ./mlops run features        the pipeline again",
            "  ./mlops open airflow        Airflow's page in the browser",
            "  ./stop.sh                   stop, and keep all data",
        ]
    )
