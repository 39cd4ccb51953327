"""A machine of its own for a test: a real systemd as process 1, in namespaces, on a copy of this file system.

Whatever is written there goes to memory, and is gone afterwards. The network is a loopback of its own.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Self

from hftd.clock import monotonic_ns, sleep
from hftd.compiled.jit import cache_dir
from tests.laws import ROOT

BOOT = """set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {root}
mkdir {root}/up {root}/work {root}/new
mount -t overlay overlay -o lowerdir=/,upperdir={root}/up,workdir={root}/work {root}/new
cd {root}/new
mkdir -p opt/python opt/site opt/source opt/hftd/bin
mount --bind {python} opt/python
mount --bind {site} opt/site
mount --bind {source} opt/source
mount -t proc proc proc
mount -o bind,ro proc/sys proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/pts dev/shm
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0 1 2; do ln -s /proc/self/fd/$number dev/$(echo stdin stdout stderr | cut -d' ' -f$((number + 1))); done
# What is compiled already need not be compiled again by each user.
for name in hftd hftd-bot exchange; do mkdir -p -m 700 var/cache/$name; cp -r {cache}/. var/cache/$name; done
rm -rf etc/systemd/system
mkdir -p etc/systemd/system etc/hftd
printf '[Unit]\\nDescription=test\\nRequires=dbus.socket\\nAfter=dbus.socket\\n' > etc/systemd/system/test.target
cat > opt/hftd/bin/hftd <<'END'
#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/source:/opt/site PYTHONDONTWRITEBYTECODE=1
exec {interpreter} -P -m daemon.cli "$@"
END
chmod 755 opt/hftd opt/hftd/bin opt/hftd/bin/hftd
ip link set lo up
mkdir -p old
pivot_root . old
umount -l old
# As in a container of any kind: credentials are mounted from outside of a service's namespace.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /usr/lib/systemd/systemd --system --unit=test.target --log-target=journal --show-status=0
"""


def trouble() -> str:
    """Why there can be no such machine here; "" if there can."""
    if os.geteuid() != 0:
        return "it takes root to make one"
    if not Path("/usr/lib/systemd/systemd").exists():
        return "there is no systemd"
    tools = [
        name for name in ("unshare", "nsenter", "ip", "pivot_root", "systemd-creds") if not shutil.which(name)
    ]
    if tools:
        return f"there is no {', '.join(tools)}"
    if _cgroups() is None:
        return "no cgroup2 is mounted"
    tried = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount", "--net", "--cgroup", "true"], capture_output=True
    )
    return "" if tried.returncode == 0 else "namespaces are not allowed"


def _cgroups() -> Path | None:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return next((Path(one[1]) for one in mounts if one[2] == "cgroup2"), None)


class Machine:
    """The machine; it is switched off at the end of the block."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "machine"
        self._root.mkdir()
        cgroups = _cgroups()
        assert cgroups is not None
        self._cgroup = cgroups / f"hftd-test-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._enter: list[str] = []

    def __enter__(self) -> Self:
        self._cgroup.mkdir()
        script = BOOT.format(
            root=self._root,
            python=sys.base_prefix,
            site=sysconfig.get_path("purelib"),
            source=ROOT,
            cache=cache_dir(),
            interpreter=f"/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}",
        )
        flags = ["--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--kill-child"]
        joined = f'echo $$ > {self._cgroup}/cgroup.procs; exec unshare {" ".join(flags)} sh -c "$0"'
        self._process = subprocess.Popen(["sh", "-c", joined, script], stderr=subprocess.PIPE)
        self.until(self._is_up)
        return self

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._process.communicate()[1]
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children or "systemd" not in Path(f"/proc/{children[0]}/comm").read_text():
            return False
        self._enter = ["nsenter", "-t", children[0], "-a"]
        return self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded")

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self.until(lambda: not (self._cgroup / "cgroup.procs").exists() or self._gone())

    def _gone(self) -> bool:
        folders = sorted((path for path in self._cgroup.rglob("*") if path.is_dir()), reverse=True)
        try:
            for one in (*folders, self._cgroup):
                one.rmdir()
        except OSError:
            return False
        return True

    def run(self, *command: str, check: bool = True, given: str = "", seconds: float = 400.0) -> str:
        """Run a command there; give all that it said."""
        done = subprocess.run(
            [*self._enter, *command], input=given, capture_output=True, text=True, timeout=seconds
        )
        if check:
            assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def write(self, path: str, text: str) -> None:
        """Write a file there."""
        self.run("tee", path, given=text)

    def show(self, unit: str, name: str) -> str:
        """What systemd says of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()

    def until(self, condition: Callable[[], bool], seconds: float = 90.0) -> None:
        """Wait until something holds."""
        deadline_ns = monotonic_ns() + int(seconds * 1e9)
        while not condition():
            assert monotonic_ns() < deadline_ns, "it never came to be"
            sleep(0.2)
