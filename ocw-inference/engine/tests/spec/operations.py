"""Section 2 of docs/spec/c2.md: one function for each operation, over arrays of rows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from floats import F32, F64, cos_sin, f32_bits, f64_bits, fma, log, pow

LANES, TILE = 16, 256
GROUPS = {"w8": (32, 128), "w4": (32,), "w4z": (32, 64, 128)}


def nibbles(packed, width):
    """2.1: two 4-bit numbers a byte, the even column in the low half."""
    both = np.stack([packed & 15, packed >> 4], -1)
    return both.reshape(len(packed), -1)[:, :width]


@dataclass
class Matrix:
    """2.1: the tensors of a matrix as the file has them. `w` is i8 [N, K], or u8 [N, K/2]; `s` is f16 [N, groups]."""

    w: np.ndarray
    s: np.ndarray
    table: np.ndarray = None
    zero: np.ndarray = None

    def __post_init__(self):
        packed = self.w.dtype == np.uint8
        self.format = ("w4" if self.table is not None else "w4z") if packed else "w8"
        self.width = self.w.shape[1] * (2 if packed else 1)
        groups = self.s.shape[1]
        self.group = min(g for g in GROUPS[self.format] if -(-self.width // g) == groups)

    def values(self, rows=slice(None)):
        """The integers v of these rows."""
        w = self.w[rows]
        if self.format == "w8":
            return w.astype(np.int32)
        w = nibbles(w, self.width)
        if self.format == "w4":
            return self.table.astype(np.int32)[w]
        z = nibbles(self.zero[rows], self.s.shape[1])
        return w.astype(np.int32) - np.repeat(z.astype(np.int32), self.group, 1)[:, : self.width]

    @cached_property
    def grouped(self):
        """All values in groups, as f64."""
        return self.in_groups(self.values()).astype(F64)

    def in_groups(self, x):
        """[rows, K] → [rows, groups, G]; what a short last group lacks is 0, which changes nothing."""
        groups = self.s.shape[1]
        return np.pad(x, ((0, 0), (0, groups * self.group - self.width))).reshape(len(x), groups, self.group)


def quantized(x):
    """2.2: d and q of groups, [rows, groups, G]."""
    d = np.abs(x).max(2) / F32(127)
    return d, np.where(d[..., None] == 0, F32(0), np.clip(np.rint(x / d[..., None]), -127, 127))


def linear(x, m, bias=None):
    """2.2: x [rows, K] → [rows, N]."""
    d, q = quantized(m.in_groups(x))
    q, v, s = q.astype(F64), m.grouped, m.s.astype(F32)
    acc = np.zeros((len(x), len(m.w)), F32)
    for g in range(s.shape[1]):
        # A sum of integers below 2⁵³ is exact in f64, in any order.
        total = (q[:, g] @ v[:, g].T).astype(F32)
        acc = fma(total, s[:, g] * d[:, g : g + 1], acc)
    return acc if bias is None else acc + bias


def fine(x, m, bias):
    """2.13: a product of a row and of what its quantization keeps back."""
    grouped = m.in_groups(x)
    d, q = quantized(grouped)
    rest = fma(-q, np.broadcast_to(d[..., None], q.shape), grouped).reshape(len(x), -1)[:, : m.width]
    return linear(x, m) + linear(rest, m, bias)


def embedding(m, tokens):
    """2.3"""
    scale = np.repeat(m.s[tokens].astype(F32), m.group, 1)[:, : m.width]
    return scale * m.values(tokens).astype(F32)


def lanes(x, step):
    """2.4: over the last axis."""
    lane = np.zeros(x.shape[:-1] + (LANES,), F32)
    for i in range(0, x.shape[-1], LANES):
        part = x[..., i : i + LANES]
        lane[..., : part.shape[-1]] = step(part, lane[..., : part.shape[-1]])
    for stride in (8, 4, 2, 1):
        lane[..., :stride] = lane[..., :stride] + lane[..., stride : 2 * stride]
    return lane[..., 0]


def rms_norm(x, w, eps):
    """2.4"""
    mean = lanes(x, lambda v, lane: fma(v, v, lane)) / F32(x.shape[-1])
    r = F32(1) / np.sqrt(mean + F32(eps))
    return (x * r[..., None]) * w


LOG2E, LN2_HI, LN2_LO = map(f32_bits, (0x3FB8AA3B, 0x3F317200, 0x35BFBE8E))
ROUND, EXP_MAX, EXP_MIN = map(f32_bits, (0x4B400000, 0x42B1999A, 0xC2D00000))
SERIES = [F32(1) / F32(k) for k in (5040, 720, 120, 24, 6, 2, 1, 1)]


def exp(x):
    """2.5"""
    x = np.asarray(x, F32)
    x = np.where(x > EXP_MAX, EXP_MAX, np.where(x < EXP_MIN, EXP_MIN, x))
    z = fma(x, LOG2E, ROUND)
    n = z - ROUND
    whole = z.view(np.int32).astype(np.int64) - ROUND.view(np.int32)
    r = fma(n, -LN2_LO, fma(n, -LN2_HI, x))
    p = SERIES[0]
    for c in SERIES[1:]:
        p = fma(p, r, c)
    half = whole >> 1
    power = lambda n: (np.clip(n + 127, 0, 255).astype(np.uint32) << np.uint32(23)).view(F32)
    return (p * power(half)) * power(whole - half)


PI = f64_bits(0x400921FB54442D18)


def rope_frequencies(theta, scaling, head_dim):
    """2.6: f_i and m. `scaling` is "none", or {kind: {number: value}}."""
    theta = F64(F32(theta))
    i = np.arange(head_dim // 2)
    g = np.array([pow(theta, -F64(2 * j) / F64(head_dim)) for j in i])
    if scaling == "none":
        return g, F64(1)
    ((kind, said),) = scaling.items()
    number = {name: F64(F32(v)) for name, v in said.items()}
    factor, original = number["factor"], F64(said.get("original_max_position_embeddings", 0))
    if kind == "linear":
        return g / factor, F64(1)
    if kind == "llama3":
        lo, hi = number["low_freq_factor"], number["high_freq_factor"]
        wave = (2 * PI) / g
        s = (original / wave - lo) / (hi - lo)
        between = ((1 - s) * g) / factor + s * g
        return np.where(wave < original / hi, g, np.where(wave > original / lo, g / factor, between)), F64(1)
    border = lambda b: (F64(head_dim) * log(original / ((b * 2) * PI))) / (2 * log(theta))
    low, high = border(number["beta_fast"]), border(number["beta_slow"])
    if said["truncate"]:
        low, high = np.floor(low), np.ceil(high)
    low, high = max(low, F64(0)), min(high, F64(head_dim - 1))
    high = high + 0.001 if low == high else high
    k = 1 - np.clip((i - low) / (high - low), 0, 1)
    return (g / factor) * (1 - k) + g * k, number["attention_factor"]


def rope_tables(theta, scaling, head_dim, positions):
    """2.6: cos and sin, [positions, head_dim / 2]."""
    f, m = rope_frequencies(theta, scaling, head_dim)
    cos, sin = cos_sin(np.arange(positions).astype(F64)[:, None] * f)
    return (cos * m).astype(F32), (sin * m).astype(F32)


def rotate(x, cos, sin):
    """2.6: x [rows, heads, head_dim]; cos and sin of the rows' positions."""
    a, b = np.split(x, 2, -1)
    c, s = cos[:, None], sin[:, None]
    return np.concatenate([fma(a, c, -(b * s)), fma(b, c, a * s)], -1)


def attention(q, k, v, first, last):
    """2.7: q [rows, heads, d]; k, v f16 [keys, kv_heads, d]. A row sees keys first … last; neither falls from row to row."""
    rows, heads, dim = q.shape
    keys, group = len(k), heads // k.shape[1]
    k, v = (np.repeat(t.astype(F32), group, 1) for t in (k, v))
    scale = F32(F64(1) / np.sqrt(F64(dim)))
    s = np.zeros((rows, heads, keys), F32)
    for r in range(0, rows, 32):  # few rows at a time, which stay in a processor's cache
        for d in range(dim):
            s[r : r + 32] = fma(q[r : r + 32, :, d, None], k[:, :, d].T[None], s[r : r + 32])
    s = s * scale
    t = np.arange(keys)
    sees = (first[:, None] <= t) & (t <= last[:, None])
    m = np.where(sees[:, None], s, -np.inf).max(2, keepdims=True)
    e = exp(s - m)
    total, out = np.zeros((rows, heads), F32), np.zeros((rows, heads, dim), F32)
    for tile in range(0, keys, TILE):
        part, sums = np.zeros_like(total), np.zeros_like(out)
        for t in range(tile, min(tile + TILE, keys)):
            r = np.flatnonzero(sees[:, t])
            if len(r):
                r = slice(r[0], r[-1] + 1)
                part[r] = part[r] + e[r, :, t]
                sums[r] = fma(e[r, :, t, None], v[t], sums[r])
        r = sees[:, tile : tile + TILE].any(1)
        total[r], out[r] = total[r] + part[r], out[r] + sums[r]
    return out / total[..., None]


def gate(g, u):
    """2.8"""
    return (g / (F32(1) + exp(-g))) * u


def head_norm(x, w, eps):
    """2.9: x [rows, heads, head_dim]."""
    return rms_norm(x, w, eps)


def layer_norm(x, w, b, eps):
    """2.10"""
    width = F32(x.shape[-1])
    mean = (lanes(x, lambda v, lane: lane + v) / width)[..., None]
    var = lanes(x - mean, lambda c, lane: fma(c, c, lane)) / width
    r = F32(1) / np.sqrt(var + F32(eps))
    return ((x - mean) * r[..., None]) * w + b


SQRT_HALF, BORDER, ONE_FROM = map(f32_bits, (0x3F3504F3, 0x3F6D8000, 0x40800000))
OUTER = [f32_bits(b) for b in (0xB7910000, 0x39C8E7D9, 0xBB7E8A1C, 0x3CC6B1A1, 0xBDDAAE5C, 0xBF228550, 0xBE03CE86)]
INNER = [f32_bits(b) for b in (0xBA1C7000, 0x3BA38D2C, 0xBCDB48D9, 0x3DE70E22, 0xBEC09380, 0x3E0375D4)]


def erf(a):
    """2.11"""
    a = np.asarray(a, F32)
    t = np.where(np.abs(a) > ONE_FROM, ONE_FROM, np.abs(a))
    s = t * t
    p = fma(fma(OUTER[0], t, OUTER[1]), s, fma(OUTER[2], t, OUTER[3]))
    for u in OUTER[4:]:
        p = fma(p, t, u)
    q = INNER[0]
    for i in INNER[1:]:
        q = fma(q, s, i)
    return np.where(t > BORDER, np.copysign(F32(1) - exp(fma(p, t, -t)), a), fma(q, a, a))


def gelu(x):
    """2.11"""
    return (F32(0.5) * x) * (F32(1) + erf(x * SQRT_HALF))


def mean(x):
    """2.12"""
    total = np.zeros(x.shape[1], F32)
    for row in x:
        total = total + row
    return total / F32(len(x))


def normalized(m):
    """2.12"""
    length = np.sqrt(lanes(m, lambda v, lane: fma(v, v, lane)))
    return m / np.maximum(length, f32_bits(0x2B8CBCCC))
