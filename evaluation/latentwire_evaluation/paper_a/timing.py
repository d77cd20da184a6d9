"""Paper A's Tables 3 and 4 again, with what they leave out: the nets' own time, the bytes, and the journey.

The paper times AES on an image (0.05) and on its latent (0.016 and 0.017), without the nets and without a unit. Which image format
and which mode it timed is not said; here AES-256-CBC, as then, and AES-256-GCM, as now, on: the 8-bit picture, the picture as
f32, the f32 latent, the latent without the dense layer, the coded latent. Times are medians on one core of this machine, by OpenSSL
(`cryptography`) and ONNX Runtime; the coded bytes come from the real services, and so does the journey, over a line of that rate.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from PIL import Image

from ..report.context import Context, how_to_build
from ..report.page import Page, table
from .nets import apply, net
from .pictures import SIDE, pictures

PICTURES = 10
AES_REPEATS = 200
NET_REPEATS = 5
LINKS_MBIT = (1, 10, 100)
BLOCK_BITS = 128
PRODUCT, AS_PRINTED, NO_DENSE = "ae224-fundus", "ae224-fundus-printed", "ae224-fundus-nodense"
# What the paper prints (Table 3; Table 4 and the text), without a unit.
PRINTED = {"image": (0.05, 0.05), "latent": (0.016, 0.017), "text": 72, "table 4": 75}


def median_ms(run: Callable[[], object], repeats: int) -> float:
    """Median of so many runs, milliseconds; one run before them is not counted."""
    run()
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        taken.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(taken)


def cbc(key: bytes, data: bytes) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    """AES-256-CBC with PKCS 7 padding: one run of each direction."""

    def encrypt() -> bytes:
        padder, iv = padding.PKCS7(BLOCK_BITS).padder(), os.urandom(BLOCK_BITS // 8)
        encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        return iv + encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()

    sealed = encrypt()

    def decrypt() -> bytes:
        decryptor = Cipher(algorithms.AES(key), modes.CBC(sealed[:16])).decryptor()
        unpadder = padding.PKCS7(BLOCK_BITS).unpadder()
        return unpadder.update(decryptor.update(sealed[16:]) + decryptor.finalize()) + unpadder.finalize()

    return encrypt, decrypt


def gcm(key: bytes, data: bytes) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    """AES-256-GCM: one run of each direction."""
    aead = AESGCM(key)

    def encrypt() -> bytes:
        nonce = os.urandom(12)
        return nonce + aead.encrypt(nonce, data, None)

    sealed = encrypt()
    return encrypt, lambda: aead.decrypt(sealed[:12], sealed[12:], None)


def aes(data: bytes) -> dict[str, float]:
    """Milliseconds of both modes and directions."""
    key, figures = os.urandom(32), {"bytes": float(len(data))}
    for name, mode in (("cbc", cbc), ("gcm", gcm)):
        encrypt, decrypt = mode(key, data)
        if decrypt() != data:
            raise ValueError(f"{name} does not give back what was encrypted")
        figures[f"{name}_encrypt_ms"], figures[f"{name}_decrypt_ms"] = median_ms(encrypt, AES_REPEATS), median_ms(decrypt, AES_REPEATS)
    return figures


def variants(context: Context) -> dict[str, Path]:
    """The models that are there, by what they are called on the page; the product's always is."""
    names = {"as printed": AS_PRINTED, "the product's": PRODUCT, "without dense(3)": NO_DENSE}
    return {said: folder for said, name in names.items() if (folder := context.model(name)) is not None}


def measure(picture: np.ndarray, models: dict[str, Path], context: Context, folder: Path) -> dict[str, dict[str, float]]:
    """AES on everything that can be made of one picture, and each net's own time."""
    scaled = picture / 255
    file = folder / "picture.png"
    Image.fromarray(picture).save(file)
    sent = context.services.send_latent(file, "fundus", "--model", PRODUCT)
    figures = {"8-bit picture": aes(picture.tobytes()), "f32 picture": aes(scaled.astype(np.float32).tobytes()), "PNG file": aes(file.read_bytes())}
    nets: dict[str, dict[str, float]] = {}
    for said, model in models.items():
        encoder, decoder = net(model / "encoder.onnx"), net(model / "decoder.onnx")
        latent = apply(encoder, scaled)
        kind = LATENT_KINDS.get(said, "f32 latent")
        figures.setdefault(kind, aes(latent.astype(np.float32).tobytes()))
        nets[said] = {
            "encode_ms": median_ms(lambda: apply(encoder, scaled), NET_REPEATS),
            "decode_ms": median_ms(lambda: apply(decoder, latent), NET_REPEATS),
        }
    # Its length alone is known here, and AES takes as long whatever the bytes are.
    figures["coded latent"] = aes(os.urandom(sent["coded_bytes"]))
    figures |= {f"net {said}": times for said, times in nets.items()}
    figures["entropy coder"] = {"code_ms": sent["timings_ms"]["code"]}
    return figures


def mean(rows: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {what: {name: float(np.mean([row[what][name] for row in rows])) for name in rows[0][what]} for what in rows[0]}


def reduction(of: float, against: float) -> str:
    percent = (1 - of / against) * 100
    return f"{round(percent)} %" if percent > -100 else f"{of / against:.0f} times as long"


def paths(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """What each way takes at the sender and at the receiver beside AES: bytes' kind, milliseconds."""
    found = {
        "the 8-bit picture": {"kind": "8-bit picture", "before": 0.0, "after": 0.0},
        "its PNG file": {"kind": "PNG file", "before": 0.0, "after": 0.0},
    }
    for what, times in figures.items():
        if not what.startswith("net "):
            continue
        said = what.removeprefix("net ")
        kind = LATENT_KINDS.get(said, "f32 latent")
        found[f"paper A, net {said}: the {kind}"] = {"kind": kind, "before": times["encode_ms"], "after": times["decode_ms"]}
    product, code = figures["net the product's"], figures["entropy coder"]["code_ms"]
    coded = {"kind": "coded latent", "before": product["encode_ms"] + code, "after": product["decode_ms"] + code}
    found["here: the coded latent"] = coded
    found["here, decoded and measured by the sender before it goes"] = {**coded, "before": coded["before"] + product["decode_ms"] + code}
    return found


def journeys(figures: dict[str, dict[str, float]]) -> dict[str, list[float]]:
    """Milliseconds from picture to picture over links of LINKS_MBIT: nets, entropy coding, AES-256-GCM, and the bytes."""
    found = {}
    for way, entry in paths(figures).items():
        row = figures[entry["kind"]]
        local = entry["before"] + entry["after"] + row["gcm_encrypt_ms"] + row["gcm_decrypt_ms"]
        found[way] = [local + row["bytes"] * 8 / (link * 1e6) * 1e3 for link in LINKS_MBIT]
    return found


TIMES = ("cbc_encrypt_ms", "cbc_decrypt_ms", "gcm_encrypt_ms", "gcm_decrypt_ms")
KINDS = ("8-bit picture", "f32 picture", "PNG file", "f32 latent", "f32 latent without dense(3)", "coded latent")
LATENT_KINDS = {"without dense(3)": "f32 latent without dense(3)"}

TEXT = """
{count} fundus pictures of {side}x{side}, openly licensed ones first; medians on one core, means over the pictures.
{missing}
### Table 3: milliseconds of AES-256 alone
{table3}

### Table 3, the whole path: what the paper leaves out
Net, entropy coder and AES together, milliseconds. **The nets: {nets}.**

{whole}

### Table 4: reduction of the time of encryption, CBC
{table4}

The paper's Table 3 ({image[0]} to {latent[0]} and {image[1]} to {latent[1]}) is a reduction by {first:.0f} and {second:.0f} %; its text says {text} %, its
Table 4 {printed4} %. A latent of 112x112x3 numbers of 32 bits has as many bytes as the 8-bit picture and takes AES as long; only against the picture as
f32 is a reduction by three quarters to be had, and one gets it by sending 8 bits. The dense layer that the paper calls a thing for display is what makes it so
small: without it the latent has 112x112x32 numbers, {dense_bytes} bytes, {dense_times:.0f} times the 8-bit picture. DeepEDN's 50 % is quoted by the
paper, and not measured here.

### The journey, computed: milliseconds from picture to picture, GCM
{journeys}

The nets cost more than the bytes save on a fast link: coded latents are for slow ones.
"""


def page(figures: dict[str, dict[str, float]], count: int, missing: list[str]) -> str:
    kinds = [kind for kind in KINDS if kind in figures]
    table3 = table(
        ["what is encrypted", "bytes", "CBC encrypt", "CBC decrypt", "GCM encrypt", "GCM decrypt"],
        [[kind, f"{figures[kind]['bytes']:.0f}", *(f"{figures[kind][name]:.3f}" for name in TIMES)] for kind in kinds],
    )
    ways = []
    for way, entry in paths(figures).items():
        row = figures[entry["kind"]]
        sums = [entry["before"] + row["cbc_encrypt_ms"], entry["after"] + row["cbc_decrypt_ms"]]
        sums += [entry["before"] + row["gcm_encrypt_ms"], entry["after"] + row["gcm_decrypt_ms"]]
        ways.append([way, f"{row['bytes']:.0f}", *(f"{value:.2f}" for value in sums)])
    whole = table(["way", "bytes", "CBC: sender", "CBC: receiver", "GCM: sender", "GCM: receiver"], ways)
    main = figures.get("net as printed", figures["net the product's"])
    baselines = []
    for baseline in ("8-bit picture", "f32 picture"):
        against = figures[baseline]["cbc_encrypt_ms"]
        cells = [reduction(figures[kind]["cbc_encrypt_ms"], against) for kind in ("f32 latent", "f32 latent without dense(3)", "coded latent") if kind in figures]
        cells.append(reduction(figures["f32 latent"]["cbc_encrypt_ms"] + main["encode_ms"], against))
        baselines.append([baseline, *cells, f"{PRINTED['table 4']} %"])
    heads = [f"{kind}'s AES alone" for kind in ("f32 latent", "f32 latent without dense(3)", "coded latent") if kind in figures]
    table4 = table(["baseline", *heads, "encoder and the f32 latent's AES", "paper"], baselines)
    image, latent = PRINTED["image"], PRINTED["latent"]
    nets = "; ".join(
        f"{what.removeprefix('net ')}, encoder {times['encode_ms']:.1f} ms, decoder {times['decode_ms']:.1f} ms"
        for what, times in figures.items() if what.startswith("net ")
    )  # fmt: skip
    nets += f"; the encoder takes {main['encode_ms'] / figures['8-bit picture']['cbc_encrypt_ms']:.0f} times as long as encrypting the 8-bit picture by CBC, " \
        f"{main['encode_ms'] / figures['8-bit picture']['gcm_encrypt_ms']:.0f} times as long as by GCM"  # fmt: skip
    dense_bytes = 4 * 32 * (SIDE // 2) ** 2
    return TEXT.format(
        count=count, side=SIDE, missing="\n".join(missing), table3=table3, whole=whole, table4=table4, nets=nets, image=image, latent=latent,
        first=(1 - latent[0] / image[0]) * 100, second=(1 - latent[1] / image[1]) * 100, text=PRINTED["text"], printed4=PRINTED["table 4"],
        dense_bytes=f"{dense_bytes:,}", dense_times=dense_bytes / (3 * SIDE**2),
        journeys=table(["", *(f"{link} Mbit/s" for link in LINKS_MBIT)], [[way, *(f"{value:.0f}" for value in values)] for way, values in journeys(figures).items()]),
    )  # fmt: skip


def missing_models(context: Context) -> list[str]:
    commands = {AS_PRINTED: "as printed", NO_DENSE: "without dense(3)"}
    return [
        f"\n**Not there yet: the net {said}.** {how_to_build(name)}; its rows then stand here.\n"
        for name, said in commands.items() if context.model(name) is None
    ]  # fmt: skip


def run(context: Context) -> Page:
    chosen = pictures(context.data / "fundus/test", PICTURES, context.left_out)
    if not chosen:
        raise ValueError(f"{context.data / 'fundus/test'} has no pictures that can be measured")
    models, rows = variants(context), []
    with tempfile.TemporaryDirectory() as temporary:
        for index, picture in enumerate(chosen):
            rows.append(measure(picture, models, context, Path(temporary)))
            context.tick((index + 1) / len(chosen))
    figures = mean(rows)
    main = figures.get("net as printed", figures["net the product's"])
    against = {kind: reduction(figures["f32 latent"]["cbc_encrypt_ms"], figures[kind]["cbc_encrypt_ms"]) for kind in ("8-bit picture", "f32 picture")}
    finding = (
        f"**A's Tables 3 and 4**: AES on the f32 latent instead of the 8-bit picture saves {against['8-bit picture']} of AES's time, instead of the f32 picture "
        f"{against['f32 picture']} (paper: {PRINTED['table 4']} %); the encoder, which the paper leaves out, takes "
        f"{main['encode_ms'] / figures['8-bit picture']['cbc_encrypt_ms']:.0f} times as long as encrypting the 8-bit picture by CBC."
    )
    content = {
        "a_table3": {"n": len(rows), "milliseconds": figures, "printed": {"image": PRINTED["image"], "latent": PRINTED["latent"]}},
        "a_table4": {
            "n": len(rows),
            "reduction_percent": {
                baseline: {kind: (1 - figures[kind]["cbc_encrypt_ms"] / figures[baseline]["cbc_encrypt_ms"]) * 100 for kind in KINDS if kind in figures}
                for baseline in ("8-bit picture", "f32 picture")
            },
            "printed": {"table": PRINTED["table 4"], "text": PRINTED["text"], "DeepEDN, quoted": 50},
        },
        "journeys_ms": {"links_mbit": LINKS_MBIT, "ways": journeys(figures)},
    }  # fmt: skip
    return Page(page(figures, len(rows), missing_models(context)), content, [finding])
