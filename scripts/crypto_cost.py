"""The page of `make crypto-cost`, out of what its script measured: WORK holds cost.json, openssl.txt and journeys-*.jsonl."""

import json
import os
import platform
import re
import statistics
import sys
from pathlib import Path

MOST_SHARE = 3.0


def openssl_rate(text: str) -> float | None:
    """GB/s of the last line of `openssl speed -bytes 65536`, which counts in thousands of bytes a second."""
    found = re.search(r"^AES-256-GCM\s+([0-9.]+)k", text, re.MULTILINE | re.IGNORECASE)
    return float(found[1]) / 1e6 if found else None


def journeys(work: Path) -> list[dict]:
    lines = [json.loads(line) for path in sorted(work.glob("journeys-*.jsonl")) for line in path.read_text().splitlines()]
    # The first round warms nets and caches up.
    return [line for line in lines if line.get("status") == "delivered" and line.get("mode") == "latent"]


def share(line: dict, handshake_ms: float) -> tuple[float, float]:
    """Milliseconds of cryptography, with a whole handshake although a session carries many images, and of all steps."""
    timings = line["timings_ms"]
    crypto = timings["seal"] + timings["open"] + handshake_ms
    work = timings["prepare"] + timings["encode"] + timings["code"] + timings["decode"]
    return crypto, crypto + work


def main() -> None:
    work, page = Path(sys.argv[1]), Path(sys.argv[2])
    cost = json.loads((work / "cost.json").read_text())
    other = openssl_rate((work / "openssl.txt").read_text())
    handshake = cost["handshake_sender_ms"] + cost["handshake_receiver_ms"] + cost["open_transfer_ms"]
    sent = journeys(work)
    if not sent:
        raise SystemExit("no image travelled as a latent")
    pairs = [share(line, handshake) for line in sent]
    shares = [100 * crypto / whole for crypto, whole in pairs]
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    ratio = lambda ours: f"{ours / cost['awslc_seal']:.2f}"  # noqa: E731
    rows = [
        ("our segments (row keys, nonces, 64 KiB)", cost["segments_seal"], cost["segments_open"]),
        ("objects at rest", cost["rest_seal"], cost["rest_open"]),
        ("RustCrypto aes-gcm alone, one key", cost["rustcrypto_seal"], cost["rustcrypto_open"]),
        ("aws-lc-rs, one key", cost["awslc_seal"], cost["awslc_open"]),
    ]
    text = [
        "# What the cryptography costs",
        "",
        f"Measured by `make crypto-cost` on one core of {cpu[1].strip() if cpu else platform.processor()}, {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.1f}: read the ratios, not the rates. Release build, "
        "no processor named at compile time; 64 MiB in segments of 64 KiB, best of 5.",
        "",
        "| AES-256-GCM | seal, GB/s | open, GB/s | seal beside aws-lc-rs |",
        "|---|---|---|---|",
        *(f"| {name} | {seal:.2f} | {opened:.2f} | {ratio(seal)} |" for name, seal, opened in rows),
        *([f"| `openssl speed -evp aes-256-gcm`, 64 KiB | {other:.2f} | | {ratio(other)} |"] if other else []),
        "",
        f"A handshake (X25519 and ML-KEM-768, median of 400) takes {cost['handshake_sender_ms']:.2f} ms at the sender and {cost['handshake_receiver_ms']:.2f} ms at the receiver, once a "
        f"session; agreeing on the keys of one image {cost['open_transfer_ms']:.2f} ms at both ends together.",
        "",
        "RustCrypto's AES uses AES-NI and VAES where the processor has them, but its GHASH has no VPCLMULQDQ road and GCM goes over the bytes twice; that is the gap to aws-lc-rs. Above the "
        "library our segments add the ladder of 256 keys and a key schedule a segment.",
        "",
        f"**The share of the whole journey.** {len(sent)} journeys of {len({line['path'] for line in sent})} samples as latents through sender-svc and receiver-svc; sealing, opening and *a whole "
        f"handshake for each image* against parsing, coding, measuring and decoding at both ends: median **{statistics.median(shares):.2f} %**, at most {max(shares):.2f} % "
        f"(asked for: at most {MOST_SHARE:.0f} %); median {statistics.median(crypto for crypto, _ in pairs):.2f} ms of {statistics.median(whole for _, whole in pairs):.0f} ms.",
        "",
    ]
    page.write_text("\n".join(text))
    print("\n".join(text))
    if statistics.median(shares) > MOST_SHARE:
        raise SystemExit(f"cryptography takes more than {MOST_SHARE} % of a journey")


main()
