"""A real ClickHouse server on the loopback address, in a folder of its own: Debian's 18.16."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

CONFIG = """<yandex>
<logger><level>warning</level><log>{folder}/log</log><errorlog>{folder}/errors</errorlog></logger>
<http_port>{port}</http_port><listen_host>127.0.0.1</listen_host>
<path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path><users_config>{folder}/users.xml</users_config>
<default_profile>default</default_profile><default_database>default</default_database>
<mark_cache_size>67108864</mark_cache_size>
</yandex>"""
USERS = """<yandex><profiles><default/></profiles><quotas><default/></quotas>
<users><keeper><password>s3cret</password><networks><ip>127.0.0.1</ip></networks>
<profile>default</profile><quota>default</quota></keeper></users></yandex>"""


class Server:
    """A server that can be killed and started again on the same port and data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://keeper:s3cret@127.0.0.1:{self.port}/dm"
        (folder / "config.xml").write_text(CONFIG.format(folder=folder, port=self.port))
        (folder / "users.xml").write_text(USERS)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = shutil.which("clickhouse-server") or "/usr/sbin/clickhouse-server"
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(
                [program, f"--config-file={self.folder / 'config.xml'}"], cwd=self.folder, stdout=said, stderr=said
            )
        until = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < until and self.process.poll() is None, (self.folder / "said").read_text()
                time.sleep(0.05)

    def kill(self) -> None:
        """As a power failure would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
