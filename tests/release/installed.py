#!/usr/bin/env python3
"""The packages as a hospital meets them: made twice, looked at by lintian, installed where there is no network, run, purged.

    tests/release/installed.py --binaries target/debug --output target/packages

Leaves the packages in --output for the test of two sites. Prints one line `SKIPPED: why` and ends with 0 where this machine
cannot run it; ends with 1 at the first thing that is not as it must be.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from machines import CHECKOUT, Chroot, Machine, Networks, Skip, alone, boots, copy_of, needs, root, shell

STARTED = time.monotonic()
# What `systemd-analyze security` may say at most, on its scale from 0 (safe) to 10; docs/INSTALL.md states it.
EXPOSURE = 1.1
SAMPLE = CHECKOUT / "samples/chest_xray/test/hannover_1890031531.jpg"
# What dpkg, adduser and the dynamic loader themselves keep of a package that came and went.
LEFT_BY_OTHERS = re.compile(
    r"^/(var/lib/dpkg(/.*)?|var/log/(dpkg|alternatives)\.log|var/cache/(ldconfig|debconf)(/.*)?|etc/(passwd|group|shadow|gshadow)-?"
    r"|etc/\.pwd\.lock|etc/sub[ug]id-?)$"
)


def step(text: str) -> None:
    print(f"-- {time.monotonic() - STARTED:3.0f} s  {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        needs("unshare", "nsenter", "setpriv", "ip", "dpkg-deb", "dpkg-shlibdeps", "strip")
        boots()
        with alone():
            packages = make_packages(arguments.binaries, arguments.output)
            look_with_lintian(packages / debian_package(packages))
            clean_debian(packages)
            booted_server(packages)
            step("the packages hold")
    except Skip as why:
        print(f"SKIPPED: {why}")
    except AssertionError as wrong:
        sys.exit(f"release: {wrong}")


def debian_package(folder: Path) -> str:
    return next(folder.glob("latentwire_*_amd64.deb")).name


def make_packages(binaries: Path, output: Path) -> Path:
    step("packages, twice: the same inputs give the same bytes")
    package = f"'{CHECKOUT}/deploy/release/package.sh' --fast --binaries '{binaries.resolve()}'"
    # One time for both, whoever commits meanwhile.
    at = {"env": os.environ | {"SOURCE_DATE_EPOCH": str(int(time.time()))}}
    shell(f"rm -rf '{output}' && {package} --output '{output}'", **at)
    shell(f"cd / && umask 077 && TZ=Asia/Tokyo TMPDIR=/var/tmp {package} --output '{output.resolve()}/again'", **at)
    first, again = ((folder / "SHA256SUMS").read_text(encoding="utf-8") for folder in (output, output / "again"))
    assert first == again, f"two runs of package.sh differ:\n{first}{again}"
    shell(f"rm -rf '{output}/again'")
    return output.resolve()


def look_with_lintian(package: Path) -> None:
    step("lintian")
    chroot = Chroot(root("tools"))
    # Read from where it lies, through a descriptor's name in /proc: nothing is copied into the kept root.
    inside = "cat >/tmp/latentwire.deb && lintian --allow-root --fail-on none --tag-display-limit 0 /tmp/latentwire.deb; rm /tmp/latentwire.deb"
    with open(package, "rb") as stream:
        said = subprocess.run(
            ["chroot", chroot.folder, "bash", "-c", inside],
            check=False, stdin=stream, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    tags = [line for line in said.stdout.splitlines() if re.match(r"[EWI]: ", line)]
    assert said.returncode == 0 and not [tag for tag in tags if tag[0] in "EW"], f"lintian:\n{said.stdout}"
    for tag in tags:
        print(f"  {tag}")


def listing(chroot: Chroot) -> set[str]:
    found = chroot.run("find / -xdev \\( -path /proc -o -path /dev -o -path /sys -o -path /run -o -path /tmp \\) -prune -o -print")
    return {path for path in found.splitlines() if not LEFT_BY_OTHERS.match(path)}


SERVE_AND_SEND = """
key() {  # A key of this user's alone, as --key-source file wants it; under systemd, units hand a credential over instead.
    install -o latentwire-$1 -m 600 /etc/latentwire/$1.key /tmp/$1.key
}
latentwire keys generate --role receiver -o /etc/latentwire/receiver.key
latentwire keys generate --role sender -o /etc/latentwire/sender.key
latentwire storage generate -o /etc/latentwire/storage.key
latentwire trust add /etc/latentwire/trust.toml --name self --key /etc/latentwire/sender.key.pub
key receiver; key sender
install -o latentwire-receiver -m 600 /etc/latentwire/storage.key /tmp/storage.key
install -d -o latentwire-receiver -m 700 /var/lib/latentwire-receiver
as() {  # In the background alone: the job is the service itself.
    exec setpriv --reuid latentwire-$1 --regid latentwire-$1 --clear-groups --inh-caps=-all -- "${@:2}"
}
as receiver receiver-svc --key /tmp/receiver.key --trust /etc/latentwire/trust.toml \
    --data /var/lib/latentwire-receiver --storage-key /tmp/storage.key >/tmp/receiver.log 2>&1 &
as sender sender-svc --key /tmp/sender.key \
    --destination self=http://127.0.0.1:50061,/etc/latentwire/receiver.key.pub >/tmp/sender.log 2>&1 &
for url in http://127.0.0.1:50061 http://127.0.0.1:50051; do
    for _ in $(seq 600); do
        if latentwire health $url >/dev/null 2>&1 || ! kill -0 %1 %2 2>/dev/null; then break; fi
        sleep 0.2
    done
    latentwire health $url || { cat /tmp/*.log; exit 1; }
done
latentwire send --json --report /tmp/sent.jsonl /tmp/sample.jpg
latentwire send --json --mode exact --report /tmp/exact.jsonl /tmp/sample.jpg
id() { sed -n 's/.*"transfer_id":"\\([0-9a-f]*\\)".*/\\1/p' $1; }
latentwire get $(id /tmp/sent.jsonl) -o /tmp/latent.png
latentwire get $(id /tmp/exact.jsonl) -o /tmp/exact.jpg
cmp /tmp/sample.jpg /tmp/exact.jpg
latentwire contact-sheet -o /tmp/sheet.png --pairs /tmp/sample.jpg=/tmp/latent.png
kill %1 %2
wait
grep -h stopped /tmp/receiver.log /tmp/sender.log
"""


def clean_debian(packages: Path) -> None:
    step("a minimal Debian 12 without network: install, run, remove, purge")
    name = debian_package(packages)
    with copy_of("clean") as folder:
        debian = Chroot(folder)
        before, users = listing(debian), (folder / "etc/passwd").read_text(encoding="utf-8")
        shell(f"cp '{packages}'/latentwire* '{folder}/tmp/' && cp '{SAMPLE}' '{folder}/tmp/sample.jpg'")
        assert debian.run("ip link 2>/dev/null || cat /proc/net/dev").count(":") == 1, "there is a network besides loopback"
        said = debian.run(f"dpkg --install /tmp/{name}")
        assert "keys generate" in said and "TWO_SITES" in said, f"the package does not say what is next:\n{said}"
        version = debian.run("latentwire --version").split()[1]
        assert name == f"latentwire_{version}_amd64.deb", (name, version)
        debian.run(SERVE_AND_SEND)
        sent = json.loads((folder / "tmp/sent.jsonl").read_text(encoding="utf-8"))
        assert (sent["status"], sent["mode"], sent["model"]) == ("delivered", "latent", "ae224-chest"), sent
        assert sent["ssim"] >= 0.95, sent
        documents(debian)
        assert not (folder / "usr/share/latentwire/models/research").exists(), "the package holds research models"

        # The images stay when the package is purged; so do the number of their owner and the key that opens them.
        said = debian.run("dpkg --purge latentwire")
        assert "rm -rf /var/lib/latentwire-receiver" in said, f"nothing is said of the images that stay:\n{said}"
        left = listing(debian) - before
        key = {"/etc/latentwire", "/etc/latentwire/storage.key"}
        assert key < left and all(path.startswith("/var/lib/latentwire-receiver") for path in left - key), sorted(left)
        # Without images nothing stays.
        debian.run(f"rm -rf /var/lib/latentwire-receiver /etc/latentwire && dpkg --install /tmp/{name} && dpkg --purge latentwire")
        assert listing(debian) == before, sorted(listing(debian) ^ before)
        assert (folder / "etc/passwd").read_text(encoding="utf-8") == users, "users stay"

        step("the tarball, where it was unpacked")
        debian.run("mkdir /opt/lw && tar -xzf /tmp/latentwire-*-linux.tar.gz -C /opt/lw --strip-components 1")
        would = debian.run("cd / && /opt/lw/bin/latentwire inspect --json /tmp/sample.jpg")
        assert json.loads(would)["status"] == "would_send", would


def documents(debian: Chroot) -> None:
    """Manual pages, completions, licences: there, whole, and of this release."""
    doc = "/usr/share/doc/latentwire"
    debian.run(f"cd {doc} && test -s copyright -a -s THIRD_PARTY_LICENCES.txt.gz -a -s onnxruntime/LICENSE -a -s sbom.cdx.json.gz")
    assert "snow" in debian.run(f"zcat {doc}/THIRD_PARTY_LICENCES.txt.gz"), "the licence list lacks snow"
    assert "sender-svc" in debian.run(f"zcat {doc}/INSTALL.md.gz"), "INSTALL.md is not there"
    debian.run("cd / && md5sum --quiet --check /var/lib/dpkg/info/latentwire.md5sums")
    debian.run("zcat /usr/share/man/man1/latentwire.1.gz | grep -q '^.TH'")
    debian.run("bash -n /usr/share/bash-completion/completions/latentwire")


KEYS_AND_TRUST = """
latentwire keys generate --role receiver -o /etc/latentwire/receiver.key
# A purge leaves it where images are left.
test -s /etc/latentwire/storage.key || latentwire storage generate -o /etc/latentwire/storage.key
latentwire keys generate --role sender -o /etc/latentwire/sender.key
latentwire trust add /etc/latentwire/trust.toml --name self --key /etc/latentwire/sender.key.pub
printf '[[destination]]\\nname = "self"\\nurl = "http://127.0.0.1:50061"\\npublic_key = "/etc/latentwire/receiver.key.pub"\\n' \
    >/etc/latentwire/destinations.toml
"""
NETNS = "lw-release"
UNITS = ("latentwire-receiver", "latentwire-sender", "latentwire-gateway")


def booted_server(packages: Path) -> None:
    step("a Debian 12 server under systemd: the units, their hardening, credentials")
    with Networks(NETNS), copy_of("server") as folder:
        server = Machine("lw-server", folder, NETNS)
        shell(f"mkdir -p '{folder}/root/in' && cp '{packages}'/latentwire[-_]* '{SAMPLE}' '{folder}/root/in/'")
        try:
            server.boot()
            units(server)
            server.run("systemctl stop latentwire-gateway latentwire-sender latentwire-receiver")
            encrypted_credential(server)
            removal(server)
            from_the_tarball(server)
        finally:
            server.stop()


def units(server: Machine) -> None:
    server.run("mv /root/in/latentwire[-_]* /tmp/ && dpkg --install /tmp/latentwire_*.deb")
    states = server.run(f"for ask in is-active is-enabled; do systemctl $ask {' '.join(UNITS)} || true; done")
    assert states.split() == ["inactive"] * 3 + ["disabled"] * 3, f"something started, or would at the next boot: {states}"
    # Without keys the unit says which file is missing.
    assert server.popen("systemctl enable --quiet --now latentwire-receiver 2>/dev/null").wait() != 0
    missing = server.run("systemctl status latentwire-receiver", check=False)
    assert re.search(r"AssertPathExists=/etc/latentwire/(receiver|storage)\.key was not met", missing), missing

    server.run(KEYS_AND_TRUST)
    server.run("systemd-analyze verify " + " ".join(f"{unit}.service" for unit in UNITS))
    for unit in UNITS:
        verdict = server.run(f"systemd-analyze security --no-pager {unit} | tail -n 1")
        score = float(re.search(r": ([0-9.]+) ", verdict)[1])
        assert score <= EXPOSURE, f"{unit} is exposed: {verdict}"
        print(f"  {verdict.strip().removeprefix('→ ')}")
    server.run("systemctl enable --now " + " ".join(UNITS))
    send_and_compare(server)
    as_documented(server)


def send_and_compare(server: Machine) -> None:
    """Through both units with all their restrictions on: ONNX Runtime codes and decodes under MemoryDenyWriteExecute."""
    server.run("latentwire send --json --report sent.jsonl in/*.jpg && latentwire send --json --mode exact --report exact.jsonl in/*.jpg")
    sent, exact = (json.loads(server.run(f"cat {name}.jsonl")) for name in ("sent", "exact"))
    assert (sent["status"], sent["mode"], exact["status"]) == ("delivered", "latent", "delivered"), (sent, exact)
    server.run(f"latentwire get {exact['transfer_id']} -o back.jpg && cmp back.jpg in/*.jpg && rm back.jpg")
    server.run(f"latentwire get {sent['transfer_id']} -o back.png && rm back.png")


def as_documented(server: Machine) -> None:
    """What the units promise of the processes, seen from outside them."""
    for role in ("sender", "receiver", "gateway"):
        pid = server.run(f"systemctl show --value -p MainPID latentwire-{role}").strip()
        status = dict(line.split(":", 1) for line in server.run(f"cat /proc/{pid}/status").splitlines())
        assert int(status["CapEff"], 16) == 0 and int(status["CapBnd"], 16) == 0, status["CapEff"]
        assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", status
        user = server.run(f"stat -c %U /proc/{pid}").strip()
        assert user == f"latentwire-{role}", user
        assert re.search(r"^Max core file size +0 +0 ", server.run(f"cat /proc/{pid}/limits"), re.MULTILINE)
        # Not a page of it can be written and run.
        assert not re.search(r"^\S+ .wx", server.run(f"cat /proc/{pid}/maps"), re.MULTILINE), "a page may be written and run"
        for key in ("sender", "receiver"):
            # Not even its own: it gets a copy from systemd.
            files = [f"/etc/latentwire/{key}.key"]
            if key != role:
                files.append(f"/run/credentials/latentwire-{key}.service/{key}.key")
            for file in files:
                assert server.popen(f"runuser -u latentwire-{role} -- cat {file} 2>/dev/null").wait() != 0, f"{role} reads {file}"
    for role in ("receiver", "gateway"):
        assert server.run(f"stat -c '%a %U' /var/lib/latentwire-{role}").split() == ["700", f"latentwire-{role}"]
    # Cleanly ended is cleanly ended for systemd too, and a crash is followed by a restart.
    server.run("systemctl kill --signal=KILL --kill-who=main latentwire-receiver")
    server.run("for _ in $(seq 600); do latentwire health http://127.0.0.1:50061 >/dev/null 2>&1 && exit; sleep 0.1; done; exit 1")
    send_and_compare(server)
    noise = server.run("journalctl --no-pager -o cat -u 'latentwire-*' | grep -iE 'panic|\"level\":\"ERROR\"' || true")
    assert not noise, f"the journal holds errors:\n{noise}"


def encrypted_credential(server: Machine) -> None:
    """The drop-in of deploy/systemd: as its head says, the key encrypted on disk and no plain one beside it."""
    server.run("""
        cd /etc/latentwire
        systemd-creds --quiet encrypt --name=receiver.key receiver.key receiver.key.cred
        install -D -m 644 /usr/share/doc/latentwire/examples/encrypted-key.conf \
            /etc/systemd/system/latentwire-receiver.service.d/encrypted-key.conf
        systemctl daemon-reload && mv receiver.key /root/ && systemctl start latentwire-receiver latentwire-sender
        ! grep -q LATENTWIRE-SECRET receiver.key.cred
    """)
    send_and_compare(server)


def removal(server: Machine) -> None:
    server.run("rm -r /etc/systemd/system/latentwire-receiver.service.d && dpkg --purge latentwire")
    units = server.run("systemctl list-units --all --no-legend 'latentwire-*' | grep -v not-found || true")
    processes = server.run("grep -l -e sender-svc -e receiver-svc -e pacs-gateway /proc/[0-9]*/comm || true")
    assert not units.strip() and not processes.strip(), f"after the purge:\n{units}{processes}"


def from_the_tarball(server: Machine) -> None:
    """install.sh, on a server that still holds images; what it put there goes again, what is the site's stays."""
    server.run(f"""
        mkdir unpacked && tar -xzf /tmp/latentwire-*-linux.tar.gz -C unpacked --strip-components 1
        find /usr /etc/systemd -xdev | sort >before.txt
        unpacked/install.sh
        {KEYS_AND_TRUST}
        systemctl enable --quiet --now {" ".join(UNITS)}
    """)
    send_and_compare(server)
    server.run("unpacked/install.sh --uninstall && find /usr /etc/systemd -xdev | sort >after.txt")
    left = server.run("comm -13 before.txt after.txt; systemctl list-units --all --no-legend 'latentwire-*' | grep -v not-found || true")
    # Folders that other packages use too may be new.
    assert not re.search(r"latentwire|-svc|pacs-gateway", left), f"after --uninstall:\n{left}"
    server.run("test -s /etc/latentwire/receiver.key -a -s /etc/latentwire/storage.key")


main()
