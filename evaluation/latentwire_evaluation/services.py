"""Starts receiver-svc and sender-svc as two processes on free loopback ports, with fresh keys, and stops them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from .tap import Tap

ROOT = Path(__file__).resolve().parents[2]


class NotDelivered(ValueError):
    """What was to be sent or fetched and was not, in the words of the command line."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Services:
    """`with Services(binaries, models) as services: services.send(path, "--mode", "exact")`.

    `threads` is what one net may use. With `tap` the bytes from sender to receiver pass a `Tap`, `services.tap`. `research`
    allows at both ends what serves research: chaos4, row mode, the models of models/research.
    """

    def __init__(self, binaries: Path, models: Path, threads: int = 2, tap: bool = False, research: bool = False) -> None:
        # Whatever folder the caller is in: the services run in the checkout.
        self.binaries, self.models, self.threads = binaries.resolve(), models.resolve(), threads
        self.tap, self.research = Tap() if tap else None, research
        self.folder = tempfile.TemporaryDirectory(prefix="latentwire-evaluate-")
        self.work = Path(self.folder.name)
        self.processes: list[subprocess.Popen] = []

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        command = [str(self.binaries / "latentwire"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise SystemExit(f"{' '.join(command[:3])} … ended with {done.returncode}: {done.stderr.strip()[-800:]}")
        return done

    def start(self, name: str, ready: int, *arguments: str) -> None:
        log = open(self.work / f"{name}.log", "wb")
        process = subprocess.Popen([str(self.binaries / name), *arguments], stdout=log, stderr=log, cwd=ROOT)
        self.processes.append(process)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{ready}/readyz", timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{name} did not become ready:\n" + (self.work / f"{name}.log").read_text()[-3000:])

    def __enter__(self) -> "Services":
        os.makedirs(self.work / "data", exist_ok=True)
        w = self.work
        self.run("keys", "generate", "--role", "sender", "-o", str(w / "sender.key"))
        self.run("keys", "generate", "--role", "receiver", "-o", str(w / "receiver.key"))
        self.run("trust", "add", str(w / "trust.toml"), "--name", "evaluation", "--key", str(w / "sender.key.pub"))
        transfer, image, receiver_admin, sender, sender_admin = (free_port() for _ in range(5))
        self.receiver_url, self.sender_url = f"http://127.0.0.1:{image}", f"http://127.0.0.1:{sender}"
        public_key = (w / "receiver.key.pub").read_text().split()[-1]
        if self.tap:
            self.tap.towards(transfer)
        # What is measured need not be released yet.
        common = ["--models", str(self.models), "--unpinned-models", "--threads", str(self.threads), "--pool", "1"]
        self.start(
            "receiver-svc", receiver_admin,
            "--listen-transfer", f"127.0.0.1:{transfer}", "--listen-image", f"127.0.0.1:{image}",
            "--admin", f"127.0.0.1:{receiver_admin}", "--key", str(w / "receiver.key"), "--trust", str(w / "trust.toml"),
            "--data", str(w / "data"), *common, *(["--allow-research", "chaos4,rows,models"] if self.research else []),
        )  # fmt: skip
        self.start(
            "sender-svc", sender_admin,
            "--listen", f"127.0.0.1:{sender}", "--admin", f"127.0.0.1:{sender_admin}", "--key", str(w / "sender.key"),
            "--destination", f"evaluation=http://127.0.0.1:{self.tap.port if self.tap else transfer},{public_key}", *common,
            *(["--research-models"] if self.research else []),
        )  # fmt: skip
        return self

    def __exit__(self, *_exc) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            process.wait(timeout=30)
        if self.tap:
            self.tap.close()
        self.folder.cleanup()

    def cpu_seconds(self) -> float:
        """What both services have computed so far, where /proc tells."""
        total = 0.0
        for process in self.processes:
            try:
                fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            except (OSError, IndexError, ValueError):
                continue
        return total

    def model_ids(self) -> set[str]:
        """The models that the sender has loaded."""
        done = self.run("models", "--sender", self.sender_url, "--json")
        return {json.loads(line)["id"] for line in done.stdout.splitlines() if line.strip()}

    def send(self, path: Path, *policy: str) -> dict:
        """Sends one picture; returns its JSON line. Raises NotDelivered where there is none."""
        done = self.run("send", "--sender", self.sender_url, "--json", *policy, str(path), check=False)
        if not done.stdout.strip():
            raise NotDelivered(f"send printed nothing: {done.stderr.strip()[-800:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def send_latent(self, path: Path, modality: str | None = None, *policy: str) -> dict:
        """Sends one picture as a latent, whatever its fidelity; returns its JSON line.

        Raises NotDelivered where it was not delivered so."""
        named = ["--modality", modality] if modality else []
        line = self.send(path, *named, "--below-floor", "send-marked", *policy)
        if line["status"] != "delivered" or line["mode"] != "latent":
            raise NotDelivered(f"status {line['status']}, mode {line.get('mode')}: {line.get('error')}")
        return line

    def get(self, transfer_id: str, target: Path) -> dict:
        """Fetches what was received; returns the JSON line (`decode_ms` among others)."""
        done = self.run("get", "--overwrite", "--json", "--receiver", self.receiver_url, transfer_id, "-o", str(target), check=False)
        if done.returncode != 0:
            raise NotDelivered(f"get ended with {done.returncode}: {done.stderr.strip()[-800:]}")
        return json.loads(done.stdout.splitlines()[-1])
