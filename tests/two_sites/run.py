#!/usr/bin/env python3
"""Runs deploy/two-sites/README.md, the runbook of two hospitals: its very command blocks, in its order, with faults between.

    tests/two_sites/run.py --packages target/packages

    lw-a  198.51.100.10 ── 198.51.100.1  lw-wan  203.0.113.1 ── 203.0.113.20  lw-b
    a Debian 12 server        a router: the link between         a Debian 12 server
    with systemd              the hospitals, which is cut        with systemd

What a block must lead to is said here; what it does, only in the runbook. Fails too where the runbook has a block that was
not run. Prints one line `SKIPPED: why` and ends with 0 where this machine cannot run it.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests/release"))
from machines import Machine, Networks, Skip, alone, boots, copy_of, needs, root, shell  # noqa: E402

STARTED = time.monotonic()
RUNBOOK = CHECKOUT / "deploy/two-sites/README.md"
NETS = ("lw-a", "lw-b", "lw-wan")
# What a condition may take to come true on a busy computer.
PATIENCE = 120
PORTS = (11112, 50051, 50061, 50062, 9451, 9461, 9471)
STUDY = ["chest_xray", "brain_mri", "fundus", "dicom"]


class Runbook:
    """The command blocks of the runbook by name and site, and the files that its tables send from one site to the other."""

    def __init__(self, path: Path):
        text = path.read_text(encoding="utf-8")
        self.blocks: dict[str, dict[str, str]] = {}
        for site, name, block in re.findall(r"^```sh (\S+) (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            sites = ["hospital-a", "hospital-b"] if site == "both" else [site]
            for one in sites:
                assert one not in self.blocks.setdefault(name, {}), f"two blocks {name} for {one}"
                self.blocks[name][one] = block
        self.carried = re.findall(r"^\| `(hospital-[ab]):(\S+)` \| `(hospital-[ab]):(\S+)` \|$", text, re.MULTILINE)
        self.left = {(name, site) for name, sites in self.blocks.items() for site in sites}
        unnamed = re.findall(r"^```(?!sh \S+ \S+$)\S+.*$", text, re.MULTILINE)
        assert self.blocks and self.carried and not unnamed, f"blocks that no test can run: {unnamed}"


class Hospitals:
    """Both servers, and what is done at them by the runbook."""

    def __init__(self, runbook: Runbook, a: Machine, b: Machine):
        self.runbook, self.a, self.b = runbook, a, b
        self.by_name = {"hospital-a": a, "hospital-b": b}

    def at(self, site: str, name: str) -> str:
        """Runs a block at one hospital; gives what it printed."""
        self.runbook.left.discard((name, site))
        say(site, name)
        return self.by_name[site].run(self.runbook.blocks[name][site])

    def follow(self, name: str) -> dict[str, str]:
        """Runs a block wherever the runbook has it run."""
        return {site: self.at(site, name) for site in self.runbook.blocks[name]}

    def carry(self) -> None:
        """The messenger: takes along every file of the runbook's tables that is there and has not arrived yet."""
        for origin, file, goal, name in self.runbook.carried:
            source = self.by_name[origin].folder / file.lstrip("/")
            target = self.by_name[goal].folder / name.lstrip("/")
            if source.exists() and not target.exists():
                target.write_bytes(source.read_bytes())
                say("messenger", f"{origin}:{file} -> {goal}:{name}")


def say(who: str, what: str) -> None:
    print(f"{time.monotonic() - STARTED:4.0f} s  [{who}] {what}", flush=True)


def until(what: str, condition, patience: float = PATIENCE):
    """Waits for a condition; gives what it gave."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"in {patience} s it did not come to pass: {what}"
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--packages", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        needs("unshare", "nsenter", "setpriv", "ip", "dpkg-deb")
        boots()
        with alone(), Networks(*NETS), copy_of("server") as a, copy_of("server") as b:
            wire_up()
            for folder in (a, b):
                provide(folder, arguments.packages)
            run(Machine("hospital-a", a, "lw-a"), Machine("hospital-b", b, "lw-b"))
    except Skip as why:
        print(f"SKIPPED: {why}")
    except AssertionError as wrong:
        sys.exit(f"two sites: {wrong}")


def wire_up() -> None:
    """Two access lines and a router between them."""
    for net, near, far, line in (("lw-a", "198.51.100.10", "198.51.100.1", "to-a"), ("lw-b", "203.0.113.20", "203.0.113.1", "to-b")):
        shell(f"""
            ip link add {line} netns lw-wan type veth peer name link0 netns {net}
            ip -n {net} address add {near}/24 dev link0 && ip -n {net} link set link0 up
            ip -n lw-wan address add {far}/24 dev {line} && ip -n lw-wan link set {line} up
            ip -n {net} route add default via {far}
        """)
    shell("ip netns exec lw-wan sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'")


def provide(folder: Path, packages: Path) -> None:
    """What an administrator brings: the package, the next one, and pictures without patients."""
    samples = " ".join(f"'{CHECKOUT}/samples/{name}'" for name in STUDY)
    shell(f"""
        mkdir -p '{folder}'/root/packages '{folder}'/root/upgrade '{folder}'/root/pictures/study
        cp '{packages}'/*.deb '{folder}/root/packages/'
        cp '{CHECKOUT}/samples/chest_xray/test/hannover_c4cac67ede.jpg' '{folder}/root/pictures/first.jpg'
        cp -r {samples} '{folder}/root/pictures/study/'
        # The next release: the same programs under a higher number, for what counts here is that they are replaced.
        next=$(mktemp -d)
        dpkg-deb --raw-extract '{packages}'/*.deb "$next/tree"
        sed -i 's/^Version: .*/&+next/' "$next/tree/DEBIAN/control"
        name=$(basename '{packages}'/*.deb)
        dpkg-deb --root-owner-group -Zgzip -z1 --build "$next/tree" '{folder}/root/upgrade/'"$name" >/dev/null
        rm -rf "$next"
    """)


def run(a: Machine, b: Machine) -> None:
    hospitals = Hospitals(Runbook(RUNBOOK), a, b)
    try:
        a.boot()
        b.boot()
        begin(hospitals)
        first_images(hospitals)
        from_the_pacs(hospitals)
        only_what_the_table_says(hospitals)
        link_is_cut(hospitals)
        upgrade(hospitals)
        backup_and_restore(hospitals)
        new_keys(hospitals)
        lost_key(hospitals)
        the_end(hospitals)
        assert not hospitals.runbook.left, f"blocks of the runbook that were not run: {sorted(hospitals.runbook.left)}"
        quiet_journals(hospitals)
    finally:
        a.stop()
        b.stop()
    say("both", "the runbook holds")


def begin(hospitals: Hospitals) -> None:
    for name in ("site", "install", "firewall", "keys"):
        hospitals.follow(name)
    hospitals.carry()
    call = {site: re.findall(r"^fingerprint: +(.+)$", said, re.MULTILINE) for site, said in hospitals.follow("fingerprints").items()}
    assert len(call["hospital-a"]) == 4 and call["hospital-a"][:2] == call["hospital-b"][2:], call
    assert call["hospital-b"][:2] == call["hospital-a"][2:], call
    for name in ("receive", "send"):
        hospitals.follow(name)
    for site, said in hospitals.follow("doctor").items():
        assert "FAIL" not in said and "OK" in said, f"{site}: doctor finds fault:\n{said}"


def reaches(net: str, address: str, *ports: int) -> set[int]:
    """Which of these ports answer from a network; a firewall that drops leaves the others without an answer."""
    probe = """
import concurrent.futures, socket, sys
def opens(port):
    try:
        socket.create_connection((sys.argv[1], int(port)), timeout=3).close()
        return True
    except OSError:
        return False
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(*[port for port, there in zip(sys.argv[2:], pool.map(opens, sys.argv[2:])) if there])
"""
    return {int(port) for port in shell(f"ip netns exec {net} python3 -c '{probe}' {address} {' '.join(map(str, ports))}").stdout.split()}


def only_what_the_table_says(hospitals: Hospitals) -> None:
    """From the peer, port 50061; from anybody else, nothing; the ports that carry pictures in clear, from nobody."""
    say("router, hospitals", "ports")
    for here, there in (("lw-b", "198.51.100.10"), ("lw-a", "203.0.113.20")):
        assert reaches(here, there, *PORTS) == {50061}, f"{there}: to its peer, other ports than 50061 are open, or not even that"
        assert not reaches("lw-wan", there, *PORTS), f"{there} is open to others than its peer"
    for machine, absent in ((hospitals.a, set()), (hospitals.b, {11112, 9471})):
        said = machine.run("ss --listening --tcp --numeric --no-header")
        listening = {(address, int(port)) for address, port in re.findall(r"^\S+ +\S+ +\S+ +(\S+):(\d+) ", said, re.MULTILINE)}
        assert {port for _, port in listening} == set(PORTS) - absent, f"{machine.name} listens elsewhere:\n{said}"
        assert {port for address, port in listening if address != "127.0.0.1"} == {50061}, f"{machine.name} listens beyond loopback:\n{said}"


def images(machine: Machine, study: str = "") -> list[dict]:
    """What a hospital's receiver holds."""
    group = f"--study-group {study}" if study else ""
    return [json.loads(line) for line in machine.run(f"latentwire list --json {group}").splitlines()]


def first_images(hospitals: Hospitals) -> None:
    for site, said in hospitals.follow("first-image").items():
        assert "delivered" in said, f"{site}: {said}"
    hospitals.follow("first-image-arrived")
    for machine in (hospitals.a, hospitals.b):
        assert len(machine.run("ls received").split()) == 1, machine.run("ls -l received")
    # The file itself, both ways, bit for bit.
    for origin, goal in ((hospitals.a, hospitals.b), (hospitals.b, hospitals.a)):
        sent = send_one(origin, "--mode exact")
        goal.run(f"latentwire get {sent['transfer_id']} -o exact.jpg && cmp exact.jpg pictures/first.jpg && rm exact.jpg")


def from_the_pacs(hospitals: Hospitals) -> None:
    """A DICOM client on A's server stores an object at the gateway; B gives it back."""
    hospitals.at("hospital-a", "gateway")
    before = {image["transfer_id"] for image in images(hospitals.b)}
    stored = CHECKOUT / "samples/dicom/phantom_ct_head_16bit.dcm"
    said = dcmtk("storescu -v -aet CT1 -aec LATENTWIRE 127.0.0.1 11112", stored)
    assert "Received Store Response (Success)" in said, said
    (arrived,) = [image for image in images(hospitals.b) if image["transfer_id"] not in before]
    hospitals.b.run(f"latentwire get {arrived['transfer_id']} -o pacs.dcm")
    # It came as a latent: an object of its own that says what it was made of.
    received = dcmtk("dcmdump", hospitals.b.folder / "root/pacs.dcm")
    uid = re.search(r"\[(.+)\]", dcmtk("dcmdump +P SOPInstanceUID", stored))[1]
    assert re.search(rf"\[{re.escape(uid)}\] .*ReferencedSOPInstanceUID$", received, re.MULTILINE), received
    assert re.search(r"\[01\] .*LossyImageCompression$", received, re.MULTILINE), received


def dcmtk(command: str, file: Path) -> str:
    """Runs a program of DCMTK's, with this file as its last argument, in A's network."""
    inside = f"cat >/tmp/object.dcm; {command} /tmp/object.dcm; rm /tmp/object.dcm"
    with open(file, "rb") as stream:
        return shell(f"ip netns exec lw-a chroot '{root('tools')}' sh -ec '{inside}'", stdin=stream).stdout


def send_one(machine: Machine, options: str = "") -> dict:
    """Sends the first picture once more; gives the result, whatever it is."""
    return json.loads(machine.run(f"latentwire send --json {options} pictures/first.jpg 2>/dev/null || true"))


def delivered(machine: Machine) -> int:
    """How many images the list of --resume says are done."""
    return int(machine.run("grep -c delivered study.jsonl 2>/dev/null || true").strip() or 0)


def study_under_way(hospitals: Hospitals, least: int = 1):
    """Starts the runbook's study at A and comes back when some of it has been delivered."""
    before = delivered(hospitals.a)
    sending = hospitals.a.popen(f"({hospitals.runbook.blocks['study']['hospital-a']}) >study.out 2>&1")
    until("the first images of the study", lambda: delivered(hospitals.a) >= before + least or sending.poll() is not None)
    return sending


def finish_study(hospitals: Hospitals) -> None:
    """The same command again until there is nothing left to do: at most once after each fault, here with patience."""
    again = f"({hospitals.runbook.blocks['study']['hospital-a']}) >study.out 2>&1"
    until("the whole study", lambda: hospitals.a.popen(again).wait() == 0)


def whole_study(hospitals: Hospitals, times: int) -> None:
    """B holds every picture of the study as often as it was sent, no more and no less."""
    files = int(hospitals.a.run("find pictures/study -type f ! -name '*.md' ! -name '*.txt' | wc -l"))
    held = images(hospitals.b, "study-1")
    assert len(held) == files * times, f"{len(held)} images of the study at B, {files} x {times} were sent"
    assert len({image["transfer_id"] for image in held}) == len(held), "a transfer id twice"


def link_is_cut(hospitals: Hospitals) -> None:
    sending = study_under_way(hospitals)
    say("router", "the link goes down in the middle of the study")
    shell("ip -n lw-wan link set to-b down")
    status = sending.wait()
    said = hospitals.a.run("cat study.out")
    assert status == 1 and "PEER_UNAVAILABLE" in said, f"ended with {status}:\n{said}"
    seen = hospitals.at("hospital-a", "link-down")
    assert "the link is down" in seen and "FAIL" in seen, seen
    shell("ip -n lw-wan link set to-b up")
    say("router", "the link is up again")
    hospitals.runbook.left.discard(("study", "hospital-a"))
    finish_study(hospitals)
    whole_study(hospitals, 1)


def upgrade(hospitals: Hospitals) -> None:
    hospitals.a.run("rm study.jsonl")
    for site in ("hospital-b", "hospital-a"):
        sending = study_under_way(hospitals)
        said = hospitals.at(site, "upgrade")
        assert "inactive" not in said and said.count("active") == 2, said
        version = hospitals.by_name[site].run("dpkg-query --show --showformat '${Version}' latentwire")
        assert version.endswith("+next"), version
        sending.wait()
    finish_study(hospitals)
    whole_study(hospitals, 2)


def backup_and_restore(hospitals: Hospitals) -> None:
    b = hospitals.b
    exact = send_one(hospitals.a, "--mode exact")
    hospitals.at("hospital-b", "storage-key-away")
    hospitals.a.run("rm study.jsonl")
    sending = study_under_way(hospitals)
    hospitals.at("hospital-b", "backup")
    assert "/root/backup/latentwire/storage.key" not in b.run("find /root/backup"), "the key lies beside the backup"
    sending.wait()
    finish_study(hospitals)
    # A second night: what is there already is not copied again.
    kept = b.run("cd /root/backup/latentwire/objects && find . -name '*.lwo' -printf '%i %p\\n' | sort")
    hospitals.at("hospital-b", "backup")
    again = b.run("cd /root/backup/latentwire/objects && find . -name '*.lwo' -printf '%i %p\\n' | sort")
    assert set(kept.splitlines()) <= set(again.splitlines()), "objects were copied again"
    held = {image["image_id"] for image in images(b)}
    assert len(again.splitlines()) == len(held), (len(again.splitlines()), len(held))
    late = send_one(hospitals.a)
    assert late["status"] == "delivered", late

    say("hospital-b", "the disk is lost")
    b.run("systemctl kill --signal=KILL --kill-who=main latentwire-receiver; systemctl stop latentwire-receiver; rm -rf /var/lib/latentwire-receiver")
    hospitals.at("hospital-b", "restore")
    assert {image["image_id"] for image in images(b)} == held, "not what the backup held"
    b.run(f"latentwire get {exact['transfer_id']} -o back.jpg && cmp back.jpg pictures/first.jpg && rm back.jpg")
    b.run("mkdir all && for id in $(latentwire list --quiet); do latentwire get --quiet $id -o all/; done && ls all | wc -l && rm -r all")
    # What came in after the backup is lost, as the runbook says, and can be sent again under its old id.
    resent = send_one(hospitals.a, f"--transfer-id {late['transfer_id']}")
    assert resent["status"] == "delivered" and len(images(b)) == len(held) + 1, resent
    # A second restore on top of images is refused.
    refused = b.run("/usr/lib/latentwire/restore /root/backup/latentwire /root/safe/storage.key", check=False)
    assert "move it away first" in refused, refused


def new_keys(hospitals: Hospitals) -> None:
    def still_delivers(when: str) -> None:
        until(f"an image is delivered {when}", lambda: send_one(hospitals.a)["status"] == "delivered")

    hospitals.follow("rotate-sender")
    hospitals.carry()
    for name in ("rotate-sender-pin", "rotate-sender-finish"):
        hospitals.follow(name)
        still_delivers(f"after {name}")
    hospitals.follow("rotate-sender-revoke")
    still_delivers("after the old sender key was revoked")
    # The old key is out: somebody who kept it gets nowhere.
    hospitals.a.run("cp /etc/latentwire/sender.key new.key && cp /etc/latentwire/sender.key.retired-*[0-9] /etc/latentwire/sender.key")
    hospitals.a.run("systemctl restart latentwire-sender")
    locked_out(hospitals.a)
    hospitals.a.run("cp new.key /etc/latentwire/sender.key && rm new.key && systemctl restart latentwire-sender")
    still_delivers("under the new sender key")

    hospitals.follow("rotate-receiver")
    hospitals.carry()
    for name in ("rotate-receiver-pin", "rotate-receiver-finish", "rotate-receiver-forget"):
        hospitals.follow(name)
        still_delivers(f"after {name}")


def locked_out(machine: Machine) -> None:
    def refused() -> bool:
        sent = send_one(machine)
        return sent["status"] == "rejected" and sent["error"]["reason"] in ("PEER_NOT_ALLOWED", "HANDSHAKE_FAILED")

    until("the sender is locked out", refused)


def lost_key(hospitals: Hospitals) -> None:
    held = len(images(hospitals.b))
    hospitals.follow("revoke")
    locked_out(hospitals.a)
    assert len(images(hospitals.b)) == held, "an image came in under a revoked key"
    # The other direction has keys of its own.
    assert send_one(hospitals.b)["status"] == "delivered"


def the_end(hospitals: Hospitals) -> None:
    hospitals.follow("decommission")
    left = hospitals.a.run("ls -d /etc/latentwire /var/lib/latentwire* /usr/*/latentwire* 2>/dev/null || true")
    assert not left.strip(), f"left at A: {left}"
    assert not hospitals.a.run("getent passwd latentwire-sender latentwire-receiver || true").strip(), "users stay at A"
    hospitals.follow("forget")
    states = hospitals.b.run("systemctl is-active latentwire-receiver latentwire-sender || true").split()
    assert states == ["active", "inactive"], states
    assert not reaches("lw-a", "203.0.113.20", *PORTS), "B's port is still open to A"
    assert "peer" not in hospitals.b.run("grep -v '^#' /etc/latentwire/trust.toml || true"), "A is still in B's trust store"


def quiet_journals(hospitals: Hospitals) -> None:
    for machine in (hospitals.a, hospitals.b):
        panics = machine.run("journalctl --no-pager -o cat | grep -i -A5 panicked || true")
        assert not panics, f"{machine.name}:\n{panics}"


main()
