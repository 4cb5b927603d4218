"""The one image all lab services run from, made from Debian packages because no registry can be asked.

Nothing is installed on this machine: apt resolves and downloads into a private folder against an empty status
file, dpkg-deb unpacks into a root folder, and the engine imports that folder as an image.
"""

import ast
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import docker

from .settings import LABEL, LabError, state_folder

PACKAGES = (
    "nginx-light",
    "redis-server",
    "postgresql",
    "python3",
    "python3-psycopg2",
    "python3-redis",
    "openssl",
    "curl",
    "busybox-static",
)
UNUSED_PACKAGES = ("libllvm", "libz3", "perl", "libperl", "gcc-", "systemd", "logrotate", "ucf")
"""Name prefixes of dependencies that the shop never loads: a JIT compiler, Perl, service managers."""

UNUSED_FOLDERS = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/i18n")
UNUSED_FILES = ("usr/lib/postgresql/*/lib/llvmjit*.so", "usr/lib/postgresql/*/lib/bitcode")

ACCOUNTS = {"root": 0, "www-data": 33, "postgres": 101, "redis": 102, "nobody": 65534}
DATA = "/var/lib/postgresql/data"
WAL = "/var/lib/postgresql/wal"
HOSTS_RULE = "host all all all scram-sha-256\n"
POSTGRES_SETTINGS = f"""\
listen_addresses = '*'
unix_socket_directories = '/var/run/postgresql'
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
shared_buffers = 16MB
max_wal_size = 32MB
min_wal_size = 4MB
fsync = off
jit = off
hba_file = '{DATA}/pg_hba.conf'
"""
SERVER_SQL = "CREATE ROLE app LOGIN PASSWORD 'correct-horse'\nCREATE DATABASE shop OWNER app\n"
SHOP_SQL = """\
CREATE TABLE visits (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), session text)
CREATE TABLE orders (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), content text)
ALTER TABLE visits OWNER TO app
ALTER TABLE orders OWNER TO app
"""
PATH = "/usr/local/bin:/usr/sbin:/usr/bin"


def name() -> str:
    """The image's name; its tag is a hash of the recipe, that is of this file without its layout and comments."""
    recipe = ast.dump(ast.parse(Path(__file__).read_bytes()))
    return f"dm-tools-lab:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(client: docker.DockerClient) -> None:
    """Build or load the image, unless this engine has it. Its archive spares the next engine the build."""
    if client.images.list(name()):
        return
    suffix = "zst" if shutil.which("zstd") else "gz"
    archive = state_folder() / f"{name().replace(':', '-')}.tar.{suffix}"
    if not archive.exists():
        _build(archive)
    _load(client, archive)


def _load(client: docker.DockerClient, archive: Path) -> None:
    repository, tag = name().split(":")
    unpack = subprocess.Popen([*_compressor(archive), "-dc", str(archive)], stdout=subprocess.PIPE)
    assert unpack.stdout is not None
    with unpack:
        client.api.import_image_from_stream(
            unpack.stdout, repository=repository, tag=tag, changes=[f"ENV PATH={PATH}", f"LABEL {LABEL}=1"]
        )
    if unpack.returncode:
        raise LabError(f"cannot read {archive}, remove it and try again")


def _build(archive: Path) -> None:
    if os.geteuid() != 0:
        raise LabError("building the lab's image needs root (initdb runs in a chroot)")
    if missing := [tool for tool in ("apt-get", "dpkg-deb", "tar", "chroot") if not shutil.which(tool)]:
        raise LabError(f"building the lab's image needs a Debian or Ubuntu machine with {missing[0]}")
    with tempfile.TemporaryDirectory(prefix="image-", dir=archive.parent) as work:
        root = Path(work) / "root"
        _skeleton(root)
        for package in _download(Path(work)):
            _unpack(package, root)
        _slim(root)
        _finish(root)
        _database(root)
        partial = Path(work) / archive.name
        with partial.open("wb") as output:
            _pipe(["tar", "--numeric-owner", "-C", str(root), "-c", "."], _compressor(archive), stdout=output)
        partial.replace(archive)


def _compressor(archive: Path) -> list[str]:
    return ["zstd", "-q", "-T0"] if archive.suffix == ".zst" else ["gzip"]


def _download(work: Path) -> list[Path]:
    """Let apt resolve the packages as if nothing were installed, and fetch them into a folder of our own."""
    status, archives = work / "status", work / "archives"
    status.touch()
    (archives / "partial").mkdir(parents=True)
    options = {
        "Dir::State::status": status,
        "Dir::Cache::archives": archives,
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
    }
    settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    done = subprocess.run(
        ["apt-get", "-y", "-qq", "--download-only", *settings, "install", *PACKAGES],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if line.startswith("E:")), "E: apt-get failed")
        raise LabError(f"cannot download the lab's packages, run `apt-get update` first ({reason})")
    return [deb for deb in sorted(archives.glob("*.deb")) if not deb.name.startswith(UNUSED_PACKAGES)]


def _skeleton(root: Path) -> None:
    """The merged-/usr links must exist before the first package is unpacked through them."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev/shm", "etc", "proc", "run/postgresql", "srv", "sys", "tmp", "var"):
        (root / name).mkdir(parents=True)
    (root / "var/run").symlink_to("/run")
    for name in ("tmp", "dev/shm"):
        (root / name).chmod(0o1777)
    for name, minor in (("null", 3), ("zero", 5), ("urandom", 9)):
        os.mknod(root / "dev" / name, 0o20666, os.makedev(1, minor))
        (root / "dev" / name).chmod(0o666)


def _unpack(package: Path, root: Path) -> None:
    extract = ["tar", "-x", "-C", str(root), "--keep-directory-symlink"]
    _pipe(["dpkg-deb", "--fsys-tarfile", str(package)], extract)


def _slim(root: Path) -> None:
    for name in UNUSED_FOLDERS:
        shutil.rmtree(root / name, ignore_errors=True)
    for pattern in UNUSED_FILES:
        for found in root.glob(pattern):
            shutil.rmtree(found) if found.is_dir() else found.unlink()


def _finish(root: Path) -> None:
    """What the packages' install scripts would have done, as far as the shop needs it."""
    accounts = ACCOUNTS.items()
    (root / "etc/passwd").write_text("".join(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in accounts))
    (root / "etc/group").write_text("".join(f"{name}:x:{uid}:\n" for name, uid in accounts))
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    tools = root / "usr/local/bin"
    tools.mkdir(parents=True, exist_ok=True)
    for program in sorted(root.glob("usr/lib/postgresql/*/bin/*")):
        (tools / program.name).symlink_to("/" + str(program.relative_to(root)))
    busybox = shutil.which("busybox", path=str(root / "bin"))
    if not busybox:
        raise LabError("busybox-static brought no busybox")
    names = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True, timeout=10)
    for name in names.stdout.split():
        if not any((root / folder / name).exists() for folder in ("usr/bin", "usr/sbin", "usr/local/bin")):
            (tools / name).symlink_to("/bin/busybox")
    if not (root / "bin/sh").exists():
        (root / "bin/sh").symlink_to("busybox")
    # Without bytecode the shop's programs take two seconds to start.
    _run(["chroot", str(root), "python3", "-m", "compileall", "-q", "-j", "0", "/usr/lib"])


def _database(root: Path) -> None:
    """Create the cluster now, so that a container has its database within a second."""
    uid = ACCOUNTS["postgres"]
    for name in ("var/lib/postgresql", "run/postgresql"):
        (root / name).mkdir(parents=True, exist_ok=True)
        os.chown(root / name, uid, uid)
    as_postgres = ["chroot", f"--userspec={uid}:{uid}", str(root)]
    auth = ("--auth-local=trust", "--auth-host=scram-sha-256")
    layout = (f"--pgdata={DATA}", f"--waldir={WAL}", "--wal-segsize=1")
    _run([*as_postgres, "initdb", *layout, *auth, "--locale=C", "--encoding=UTF8", "--no-sync"])
    data = root / DATA.lstrip("/")
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(POSTGRES_SETTINGS)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write(HOSTS_RULE)
    for database, statements in (("postgres", SERVER_SQL), ("shop", SHOP_SQL)):
        _run([*as_postgres, "postgres", "--single", "-D", DATA, database], given=statements)


def _run(command: Sequence[str], given: str = "") -> None:
    clean = {"PATH": PATH, "LC_ALL": "C"}
    done = subprocess.run(command, input=given, env=clean, capture_output=True, text=True, timeout=120)
    if done.returncode or "ERROR:" in done.stderr:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise LabError(f"{command[0]} … {command[-1]} failed while building the image: {last[0]}")


def _pipe(producer: Sequence[str], consumer: Sequence[str], stdout: IO[bytes] | None = None) -> None:
    with subprocess.Popen(producer, stdout=subprocess.PIPE) as first:
        second = subprocess.run(consumer, stdin=first.stdout, stdout=stdout, timeout=300)
    if first.returncode or second.returncode:
        raise LabError(f"{producer[0]} | {consumer[0]} failed while building the image")
