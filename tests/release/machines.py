"""Debian machines for tests: a root folder each, made without an image registry, entered by chroot or booted with systemd.

    root("clean")      Debian 12 minimal, as scripts/base-image.sh makes it
    root("server")     the same with systemd, nftables, sqlite3: what a hospital's server has
    root("tools")      systemd-nspawn, lintian and a DICOM client, so that nothing needs to be installed on the machine that runs the tests
    Machine(...)       a copy of a root, booted in a network namespace

Needs root, and a Debian mirror once; what was made is kept in .tools/machines/. Where that is not to be had, `Skip` says why.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
KEPT = CHECKOUT / ".tools" / "machines"
ADDED = {
    "clean": [],
    "server": ["systemd", "systemd-sysv", "dbus", "nftables", "iproute2", "sqlite3"],
    "tools": ["systemd", "systemd-container", "lintian", "dcmtk"],
}
ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]
# Name of the machine that shows whether one can be booted at all.
PROBE = "lw-probe"
# What a machine may take to boot, or to be gone, on a busy computer.
PATIENCE = 180


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


def shell(command: str, **options) -> subprocess.CompletedProcess:
    """Runs a command here; a failure carries what was printed."""
    options = {"check": True, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options
    result = subprocess.run(["bash", "-euo", "pipefail", "-c", command], **(options | {"check": False}))
    if options["check"] and result.returncode != 0:
        raise AssertionError(f"{command}\nended with {result.returncode}:\n{result.stdout}")
    return result


@contextlib.contextmanager
def locked(name: str):
    """One at a time in this checkout; the lock goes with the process."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with open(KEPT / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def alone():
    """The only test with machines in this checkout. Cleans up when it is told to end, and after one that could not."""
    with locked("test"):
        for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(stop, end_in_order)
        remove_cgroups()
        for left in KEPT.glob("copy.*"):
            shell(f"rm -rf --one-file-system '{left}'")
        try:
            yield
        finally:
            remove_cgroups()


def end_in_order(stop: int, _frame) -> None:
    """Leaves every `with` and `finally` on its way out; a second signal does not cut that short."""
    for other in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    print(f"ended by {signal.Signals(stop).name}: cleaning up", file=sys.stderr, flush=True)
    sys.exit(128 + stop)


def needs(*programs: str) -> None:
    """Skips where this machine lacks root or a program."""
    if os.geteuid() != 0:
        raise Skip("needs root (chroot, mount, network namespaces)")
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed")
    namespaces = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], check=False, capture_output=True)
    if namespaces.returncode != 0:
        raise Skip(f"no namespaces may be made here: {namespaces.stderr.decode().strip()}")


def root(name: str) -> Path:
    """The root folder of this name, made at the first call; not to be written to."""
    folder, made_of = KEPT / name, KEPT / f"{name}.json"
    wanted = json.dumps(ADDED[name])
    with locked("roots"):
        if folder.is_dir() and made_of.is_file() and made_of.read_text(encoding="utf-8") == wanted:
            return folder
        made = subprocess.run([CHECKOUT / "scripts/base-image.sh", "--archive"], check=False, text=True, stderr=subprocess.PIPE)
        if made.returncode == 75:
            raise Skip(made.stderr.strip())
        if made.returncode != 0:
            raise AssertionError(f"scripts/base-image.sh --archive failed:\n{made.stderr}")
        archive = next(iter(sorted((CHECKOUT / ".tools/base-image").glob("bookworm-*.tar.gz"))))
        print(f"machines: making {name} ({', '.join(ADDED[name]) or 'nothing added'})", flush=True)
        new = KEPT / f"{name}.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        shell(f"tar --extract --gzip --numeric-owner --file '{archive}' --directory '{new}'")
        if ADDED[name]:
            add_packages(new, ADDED[name])
        # Interfaces are configured from outside: networkd would wait for them in vain.
        (new / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
        (new / "etc/systemd/system/systemd-networkd-wait-online.service").symlink_to("/dev/null")
        # Each machine draws its own.
        (new / "etc/machine-id").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
        made_of.write_text(wanted, encoding="utf-8")
    return folder


def add_packages(folder: Path, packages: list[str]) -> None:
    shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
    # No service starts in a chroot.
    policy = folder / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    install = f"apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends {' '.join(packages)}"
    inside = 'mount -t proc proc "$1/proc" && mount --rbind --make-rslave /dev "$1/dev" && exec chroot "$1" env -i "${@:2}"'
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", inside, "packages", folder, *ENVIRONMENT, "bash", "-c", f"{install} && apt-get clean"],
        check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    policy.unlink()
    (folder / "etc/resolv.conf").unlink()
    if done.returncode != 0:
        raise Skip("Debian's packages could not be installed (is the mirror reachable?): " + done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def copy_of(name: str):
    """A throw-away copy of a root."""
    original = root(name)
    folder = Path(tempfile.mkdtemp(prefix="copy.", dir=KEPT))
    try:
        shell(f"cp -a --reflink=auto '{original}/.' '{folder}'")
        yield folder
    finally:
        shell(f"rm -rf --one-file-system '{folder}'")


class Chroot:
    """A root folder in namespaces of its own: no network but loopback, its own processes, nothing mounted outside."""

    SCRIPT = """
        mount -t proc proc "$1/proc"
        mount --rbind --make-rslave /dev "$1/dev"
        ip link set lo up
        exec chroot "$1" env -i "${@:2}"
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, command: str, check: bool = True) -> str:
        """Runs a shell command inside; everything that it started has ended when it has."""
        inside = ["bash", "-c", self.SCRIPT, "chroot", self.folder, *ENVIRONMENT, "bash", "-euo", "pipefail", "-c", command]
        result = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--uts", "--ipc", *inside],
            check=False, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if check and result.returncode != 0:
            raise AssertionError(f"in the chroot:\n{command}\nended with {result.returncode}:\n{result.stdout}")
        return result.stdout


class Machine:
    """A root folder booted with its own systemd, by systemd-nspawn out of the tools root.

    nspawn wants to be at the root of its mount namespace, or the machine could make no user namespaces (`PrivateUsers=`);
    so the tools root is pivoted to, not entered by chroot. Each machine gets a control group of its own, for two in one
    would fight over it.
    """

    SCRIPT = """
        mkdir -p "$cgroup" && echo $$ >"$cgroup/cgroup.procs"
        mount --make-rprivate /
        mount --bind "$tools" "$tools"
        for folder in proc sys dev; do mount --rbind "/$folder" "$tools/$folder"; done
        mount -t tmpfs tmpfs "$tools/run" && mount -t tmpfs tmpfs "$tools/tmp"
        mkdir -p "$tools/run/machine" "$tools/run/netns" "$tools/run/old"
        mount --bind "$machine" "$tools/run/machine"
        touch "$tools/run/netns/own" && mount --bind "/run/netns/$netns" "$tools/run/netns/own"
        cd "$tools" && pivot_root . run/old && umount --lazy /run/old
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin systemd-nspawn --quiet --directory=/run/machine --boot --register=no \
            --keep-unit --console=passive --network-namespace-path=/run/netns/own --capability=CAP_NET_ADMIN \
            --resolv-conf=off --timezone=off --link-journal=no --machine="$name" --hostname="$name"
    """

    def __init__(self, name: str, folder: Path, netns: str):
        self.name, self.folder, self.netns = name, folder, netns
        self.log = Path(f"{folder}.log")
        self.cgroup = own_cgroups()[0] / f"latentwire-{name}"
        self.process: subprocess.Popen | None = None
        self.leader = 0

    def boot(self) -> None:
        """Starts it and waits until systemd says that everything has started."""
        settings = {"cgroup": self.cgroup, "tools": root("tools"), "machine": self.folder, "netns": self.netns, "name": self.name}
        with open(self.log, "w", encoding="utf-8") as log:
            # It goes when this process goes, however that ends.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "bash", "-euo", "pipefail", "-c", self.SCRIPT],
                env=os.environ | {key: str(value) for key, value in settings.items()},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while True:
            self.leader = self.leader or self.find_leader()
            if self.leader:
                state = self.run("systemctl is-system-running --wait", check=False).strip()
                if state == "running":
                    return
                if state in ("degraded", "maintenance"):
                    raise AssertionError(f"{self.name} came up {state}:\n" + self.run("systemctl --failed --no-pager"))
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} did not boot:\n{self.log.read_text(encoding='utf-8', errors='replace')}")
            time.sleep(0.1)

    def find_leader(self) -> int:
        """The machine's process 1 as it is numbered here: a child of nspawn's that has become systemd."""
        for process in children(self.process.pid):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{process}/comm").read_text(encoding="utf-8").strip() == "systemd":
                    return process
        return 0

    def popen(self, command: str, **options) -> subprocess.Popen:
        inside = ["env", "-i", *ENVIRONMENT, "bash", "-euo", "pipefail", "-c", f"cd; {command}"]
        return subprocess.Popen(["nsenter", "--target", str(self.leader), "--all", *inside], stdin=subprocess.DEVNULL, **options)

    def run(self, command: str, check: bool = True, say: bool = False) -> str:
        """Runs a shell command inside as root, as an administrator who is logged in does."""
        process = self.popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out, _ = process.communicate()
        if say:
            print("".join(f"  {line}\n" for line in out.splitlines()), end="", flush=True)
        if check and process.returncode != 0:
            raise AssertionError(f"{self.name}:\n{command}\nended with {process.returncode}:\n{out}\n{self.journal()}")
        return out

    def journal(self) -> str:
        """What was said last, by its services and by systemd."""
        return self.run("journalctl --no-pager -o short-precise -n 60", check=False)

    def stop(self) -> None:
        """Ends it at once, as a power cut does: it is a throw-away copy."""
        if self.process is None:
            return
        if self.leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGKILL)
        else:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process, self.leader = None, 0
        self.log.unlink(missing_ok=True)


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
    return []


def own_cgroups() -> list[Path]:
    """The folders of this process's control group, the one that systemd's nspawn goes by first."""
    folders = []
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            folders.insert(0, Path("/sys/fs/cgroup/systemd" + path))
        elif controllers == "":
            unified = Path("/sys/fs/cgroup/unified")
            folders.append(Path(f"{unified if unified.is_dir() else unified.parent}{path}"))
    if not folders:
        raise Skip("no control group hierarchy for systemd")
    return folders


def remove_cgroups() -> None:
    """Removes the control groups that machines had, with whatever runs in them still; for when none is wanted any more."""
    for own in own_cgroups():
        for cgroup in own.glob("latentwire-*"):
            kill_all(cgroup)
            remove_cgroup(cgroup)
        # What nspawn makes beside them where there are two hierarchies.
        for name in ("payload", "supervisor"):
            remove_cgroup(own / name)


def kill_all(cgroup: Path) -> None:
    """Ends what an earlier run left running in its control group."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        pids = [pid for file in cgroup.rglob("cgroup.procs") for pid in file.read_text(encoding="utf-8").split()]
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.1)


def remove_cgroup(folder: Path) -> None:
    # The innermost first. What still has processes stays.
    for below in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            below.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()


class Networks:
    """Named network namespaces that are made here and go again, with whatever an earlier, killed run left in them."""

    def __init__(self, *names: str):
        self.names = names

    def __enter__(self):
        self.remove()
        for name in self.names:
            shell(f"ip netns add {name} && ip -n {name} link set lo up")
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self) -> None:
        for name in self.names:
            if not Path(f"/run/netns/{name}").exists():
                continue
            for pid in shell(f"ip netns pids {name}", check=False).stdout.split():
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int(pid), signal.SIGKILL)
            shell(f"ip netns delete {name}")


def boots() -> None:
    """Skips where a plain Debian, with nothing of ours in it, cannot be booted: then this computer is what is in the way."""
    try:
        with alone(), Networks(PROBE), copy_of("server") as folder:
            plain = Machine(PROBE, folder, PROBE)
            try:
                plain.boot()
            finally:
                plain.stop()
    except (AssertionError, OSError) as why:
        raise Skip(f"a plain Debian cannot be booted here: {' / '.join(str(why).strip().splitlines()[-3:])}") from why
