"""JupyterLab's configuration. Values that differ between installations come from the launch environment."""

import os
from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # Jupyter defines it when it reads this file
c.ServerApp.root_dir = str(Path(__file__).resolve().parent)
c.ServerApp.ip = os.environ["MLOPS_BIND_ADDRESS"]
c.ServerApp.port = int(os.environ["MLOPS_JUPYTER_PORT"])
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True
c.ServerApp.quit_button = False
# A kernel that nobody uses gives its Spark cores back.
c.MappingKernelManager.cull_idle_timeout = 3600
c.MappingKernelManager.cull_interval = 300
c.LabApp.news_url = None
