"""The one image that all services of the orchard run from: Debian's packages and PyPI's, unpacked and imported.

Every service names it as the image that people would use there (`httpd:2.4`, `nats:2.9`), so a tag is made for each.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = [
    "apache2",
    "varnish",
    "ruby-sinatra",
    "puma",
    "ruby-webrick",
    "libmojolicious-perl",
    "nats-server",
    "mosquitto",
    "mosquitto-clients",
    "etcd-server",
    "etcd-client",
    "influxdb",
    "influxdb-client",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-node-exporter",
    "dovecot-imapd",
    "vsftpd",
    "slapd",
    "ldap-utils",
    "squid",
    "stunnel4",
    "cron",
    "curl",
    "bash",
    "coreutils",
    "grep",
    "sed",
    "dash",
    "openssl",
    "busybox-static",
    "python3",
    "ca-certificates",
    "libc-bin",
    "base-files",
    "netbase",
    "procps",
]
COMPILER = ["golang-go", "gcc"]
LIBRARIES = [
    "starlette",
    "uvicorn",
    "sqlalchemy",
    "alembic",
    "nats-py",
    "paho-mqtt",
    "ldap3",
    "flask",
    "gunicorn",
    "httpx",
]
TAGS = [
    "httpd:2.4",
    "varnish:7.1",
    "nats:2.9",
    "eclipse-mosquitto:2.0",
    "quay.io/coreos/etcd:v3.4.23",
    "influxdb:1.6",
    "prom/prometheus:v2.42.0",
    "prom/alertmanager:v0.25.0",
    "prom/node-exporter:v1.5.0",
    "dovecot/dovecot:2.3",
    "fauria/vsftpd:3.0",
    "osixia/openldap:2.5",
    "ubuntu/squid:5.7",
    "orchard/stunnel:5.68",
    "orchard/catalog:1.4",
    "orchard/pricing:2.0",
    "orchard/orders:3.1",
    "orchard/packer:3.1",
    "orchard/shipping:1.0",
    "orchard/accounts:0.9",
    "orchard/mailroom:0.3",
    "orchard/ingest:0.7",
    "orchard/cron:1.0",
]
ACCOUNTS = {
    **{"root": 0, "proxy": 13, "www-data": 33, "nobody": 65534, "etcd": 101, "nats": 102, "mosquitto": 103},
    **{"influxdb": 104, "prometheus": 105, "openldap": 106, "dovecot": 107, "dovenull": 108, "ftp": 109},
    **{"vcache": 110, "varnish": 111, "varnishlog": 112, "stunnel4": 113, "app": 1000, "backup": 1001, "vmail": 1002},
}
PAM = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n"
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin"
SOURCES = Path(__file__).parent / "stack"


def build(work: Path) -> None:
    """Import the image into the engine of $DOCKER_HOST; what was downloaded into the folder `work` is used again."""
    root = work / "root"
    shutil.rmtree(root, ignore_errors=True)
    _skeleton(root)
    for package in _download(work / "debs", PACKAGES):
        _unpack(package, root)
    for name in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"):
        shutil.rmtree(root / name, ignore_errors=True)
    _finish(root)
    libraries = root / "usr/local/lib/python3.11/dist-packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", libraries, *LIBRARIES], check=True, timeout=600
    )
    _compile(work, root)
    _run("chroot", str(root), "python3", "-m", "compileall", "-q", "/usr/lib/python3.11", "/usr/local/lib/python3.11")
    with subprocess.Popen(["tar", "--numeric-owner", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as packing:
        subprocess.run(
            ["docker", "import", "-c", f"ENV PATH={PATH}", "-", "orchard/base:1"],
            stdin=packing.stdout,
            check=True,
            timeout=600,
        )
    for tag in TAGS:
        _run("docker", "tag", "orchard/base:1", tag)


def _download(folder: Path, names: list[str]) -> list[Path]:
    archives = folder / "archives"
    if not archives.exists():
        (archives / "partial").mkdir(parents=True)
        (folder / "status").touch()
        settings = (
            *("-o", f"Dir::State::status={folder / 'status'}", "-o", f"Dir::Cache::archives={archives}"),
            *("-o", "APT::Sandbox::User=root", "-o", "APT::Install-Recommends=false"),
        )
        _run("apt-get", "-y", "-qq", "--download-only", *settings, "install", *names)
    return sorted(archives.glob("*.deb"))


def _skeleton(root: Path) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "etc", "proc", "run", "srv", "sys", "tmp", "var"):
        (root / name).mkdir(parents=True)
    (root / "var/run").symlink_to("/run")
    (root / "tmp").chmod(0o1777)
    os.mknod(root / "dev/null", 0o20666, os.makedev(1, 3))
    (root / "dev/null").chmod(0o666)


def _unpack(package: Path, root: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reading:
        subprocess.run(
            ["tar", "-x", "-C", str(root), "--keep-directory-symlink"], stdin=reading.stdout, check=True, timeout=300
        )


def _finish(root: Path) -> None:
    """What the packages' install scripts would have done, as far as it is needed."""
    accounts = ACCOUNTS.items()
    groups = ACCOUNTS | {"vcache": ACCOUNTS["varnish"]}  # varnishd wants one group for its two accounts
    lines = (f"{name}:x:{uid}:{groups[name]}::/tmp:/bin/bash\n" for name, uid in accounts)
    (root / "etc/passwd").write_text("".join(lines))
    (root / "etc/group").write_text("".join(f"{name}:x:{uid}:\n" for name, uid in accounts))
    (root / "etc/shadow").write_text("".join(f"{name}:*:19000:0:99999:7:::\n" for name, _ in accounts))
    (root / "etc/shells").write_text("/bin/bash\n/bin/sh\n")
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n")
    (root / "etc/pam.d").mkdir(exist_ok=True)
    for service in ("vsftpd", "cron", "other", "dovecot"):
        (root / "etc/pam.d" / service).write_text(PAM)
    tools = root / "usr/local/bin"
    tools.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run([str(root / "bin/busybox"), "--list"], check=True, capture_output=True, text=True)
    for name in listed.stdout.split():
        if not any((root / folder / name).exists() for folder in ("usr/bin", "usr/sbin", "usr/local/bin")):
            (tools / name).symlink_to("/bin/busybox")
    for link, target in (("bin/sh", "dash"), ("usr/bin/awk", "busybox"), ("usr/bin/cc", "gcc")):
        if not (root / link).exists():
            (root / link).symlink_to(target)
    _run("chroot", str(root), "ldconfig")


def _compile(work: Path, root: Path) -> None:
    tools = work / "go"
    if not tools.exists():
        _skeleton(tools)
        for package in _download(work / "compiler", COMPILER):
            _unpack(package, tools)
    shutil.copy(SOURCES / "shipping/main.go", tools / "tmp/main.go")
    go = next(tools.glob("usr/lib/go-*/bin/go"))
    settings = ["GOCACHE=/tmp/cache", "HOME=/tmp", "CGO_ENABLED=0", f"PATH={PATH}", "GO111MODULE=off"]
    program = "/" + str(go.relative_to(tools))
    environment = dict(setting.split("=", 1) for setting in settings)
    command = ["chroot", str(tools), program, "build", "-o", "/tmp/shipping", "/tmp/main.go"]
    subprocess.run(command, env=environment, check=True, timeout=900)
    shutil.copy(tools / "tmp/shipping", root / "usr/local/bin/shipping")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=900)
