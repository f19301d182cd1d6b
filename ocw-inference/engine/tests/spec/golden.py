"""Appendix C of docs/spec/c2.md: what golden vectors are made of."""

import numpy as np
from blake3 import blake3

from floats import F32, F64
from folder import TABLES, decoder_layout, encoder_layout, quantize
from operations import Matrix

ONE_NAN = np.uint32(0x7FC00000).view(F32)


def stream(name, size):
    return blake3(name.encode()).digest(length=size)


def wide(name, shape, exponent):
    """Floats of widely different size."""
    r = np.frombuffer(stream(name, 4 * int(np.prod(shape))), "<u4")
    unit = (r >> 8).astype(F64) / 2**23 - 1
    return np.ldexp(unit, exponent - (r & 7).astype(int)).astype(F32).reshape(shape)


def groups(format, width):
    """Groups of a row, by a format's name such as w4z-64."""
    group = int(format.split("-")[1]) if "-" in format else 32
    return -(-width // group)


def zero_points(data, rows, count):
    """u8 [rows, ⌈count/2⌉]; the last high half is 0 if the count is odd."""
    zero = np.frombuffer(data, np.uint8).reshape(rows, -1).copy()
    if count % 2:
        zero[:, -1] &= 15
    return zero


def matrix(name, n, k, format="w8-32"):
    """A matrix of any bytes, and of scales of every size, subnormal and negative ones among them."""
    count = groups(format, k)
    s = (np.frombuffer(stream(name + "/s", 2 * n * count), "<u2") & 0x9FFF).view(np.float16).reshape(n, count)
    if format.startswith("w8"):
        return Matrix(np.frombuffer(stream(name + "/w", n * k), np.int8).reshape(n, k), s)
    w = np.frombuffer(stream(name + "/w", n * k // 2), np.uint8).reshape(n, k // 2)
    if format == "w4":
        return Matrix(w, s, table=np.frombuffer(stream(name + "/table", 16), np.int8))
    return Matrix(w, s, zero=zero_points(stream(name + "/zero", n * (-(-count // 2))), n, count))


def bits(x):
    x = np.asarray(x)
    return (np.where(np.isnan(x), ONE_NAN, x) if x.dtype == F32 else x).tobytes().hex()


def unbits(text, dtype="<f4"):
    return np.frombuffer(bytes.fromhex(text), dtype)


# ── C.1: golden models ───────────────────────────────────────────────────────


def seeded(seed, name, size):
    return blake3(seed.to_bytes(8, "little") + name.encode()).digest(length=size)


def noise(seed, name, count):
    """f32 in [−1, 1)."""
    return (np.frombuffer(seeded(seed, name, 4 * count), "<u4") >> 8).astype(F32) / F32(2**23) - F32(1)


def floats(numbers, seed):
    """The tensors of a golden model as they would be published."""
    ((kind, n),) = numbers.items()
    for name, shape in (encoder_layout(n) if kind == "encoder" else decoder_layout(n)).items():
        v = noise(seed, name, int(np.prod(shape))).reshape(shape)
        if kind == "encoder":
            yield name, F32(1) + F32(0.1) * v if name.endswith("LayerNorm.weight") else F32(0.25) * v
        elif len(shape) == 1:
            yield name, F32(0.1) * v if name.endswith(".bias") else F32(1) + F32(0.1) * v
        else:
            yield name, F32(0.5 if name in ("model.embed_tokens.weight", "lm_head.weight") else 0.25) * v


def four_bits(seed, name, shape, format):
    """A matrix of four bits, its bytes as they come."""
    (n, k), count = shape, groups(format, shape[1])
    w = np.frombuffer(seeded(seed, name, n * k // 2), np.uint8).reshape(n, k // 2)
    s = (F32(0.5) * noise(seed, name + "_scale", n * count) / F32(127 if format == "w4" else 8)).astype(np.float16)
    s = s.reshape(n, count)
    if format == "w4":
        return Matrix(w, s, table=np.frombuffer(seeded(seed, name + "_table", 16), np.int8))
    return Matrix(w, s, zero=zero_points(seeded(seed, name + "_zero", n * (-(-count // 2))), n, count))


def golden_weights(numbers, said):
    """The tensors of a golden model; `said` is its file's `model`."""
    tensors, changes, formats = {}, said.get("changes", []), said.get("formats", {})
    for name, v in floats(numbers, said["seed"]):
        for change in changes:
            if change["tensor"] == name:
                place = tuple(slice(None) if at is None else at for at in change["at"])
                v[place] = unbits(change["value"])[0]
        format = formats.get(name, "w8-32")
        if v.ndim == 1 or name in TABLES:
            tensors[name] = v
        elif format.startswith("w8"):
            tensors[name] = quantize(v, int(format[3:]))
        else:
            tensors[name] = four_bits(said["seed"], name, v.shape, format)
    return tensors
