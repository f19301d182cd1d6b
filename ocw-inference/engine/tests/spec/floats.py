"""Sections 1 and A of docs/spec/c2.md: f32 with a fused multiply-add, and log, pow, cos, sin in f64.

numpy's elementwise f32 and f64 operations are IEEE-754 and rounded once; the fused one is made here from f64.
"""

import numpy as np

F32, F64 = np.float32, np.float64
I64, U64 = np.int64, np.uint64
np.seterr(all="ignore")


def f32_bits(bits):
    """f32 of one bit pattern."""
    return np.uint32(bits).view(F32)


def f64_bits(bits):
    """f64 of one bit pattern."""
    return np.uint64(bits).view(F64)


def fma(a, b, c):
    """a · b + c in f32, rounded once.

    The product of two f32 is exact in f64. TwoSum gives the sum and its error; if there is an error, the f64 is made odd
    (the neighbor whose last bit is 1), so that the rounding to f32 cannot be misled by the first one: 53 ≥ 2 · 24 + 2.
    """
    p = np.multiply(a, b, dtype=F64)
    c = np.asarray(c, F64)
    s = p + c
    t = s - p
    e = (p - (s - t)) + (c - t)
    bits = s.view(I64)
    inexact = (e != 0) & (bits & 1 == 0) & np.isfinite(s)
    step = np.where((e > 0) == (s > 0), 1, -1)
    return np.where(inexact, bits + step, bits).view(F64).astype(F32)


# ── appendix A ───────────────────────────────────────────────────────────────

LOW = U64(0xFFFFFFFF)


def hi(x):
    return (np.asarray(x, F64).view(U64) >> U64(32)).astype(I64)


def trunc(x):
    return (np.asarray(x, F64).view(U64) & ~LOW).view(F64)


def with_high(high, x):
    """The upper 32 bits of `high`, the lower ones of x."""
    return ((np.asarray(high, I64).astype(U64) << U64(32)) | (np.asarray(x, F64).view(U64) & LOW)).view(F64)


LH1, LH2 = f64_bits(0x3FE62E42FEE00000), f64_bits(0x3DEA39EF35793C76)
G1, G2, G3, G4, G5, G6, G7 = map(f64_bits, (
    0x3FE5555555555593, 0x3FD999999997FA04, 0x3FD2492494229359, 0x3FCC71C51D8E78AF,
    0x3FC7466496CB03DE, 0x3FC39A09D078C69F, 0x3FC2F112DF3E5244))


def log(x):
    """A.1"""
    x = np.asarray(x, F64)
    h = hi(x) + 0x3FF00000 - 0x3FE6A09E
    k = ((h >> 20) - 1023).astype(F64)
    y = with_high((h & 0xFFFFF) + 0x3FE6A09E, x)
    f = y - 1
    g = 0.5 * f * f
    s = f / (2 + f)
    z = s * s
    w = z * z
    t1 = w * (G2 + w * (G4 + w * G6))
    t2 = z * (G1 + w * (G3 + w * (G5 + w * G7)))
    r = t2 + t1
    return s * (g + r) + k * LH2 - g + f + k * LH1


M1, M2, M3, M4, M5, M6 = map(f64_bits, (
    0x3FE3333333333303, 0x3FDB6DB6DB6FABFF, 0x3FD55555518F264D, 0x3FD17460A91D4101, 0x3FCD864A93C9DB65, 0x3FCA7E284A454EEF))
P1, P2, P3, P4, P5 = map(f64_bits, (
    0x3FC555555555553E, 0xBF66C16C16BEBD93, 0x3F11566AAF25DE2C, 0xBEBBBD41C5D26BF1, 0x3E66376972BEA4D0))
DH1, DL1 = f64_bits(0x3FE2B80340000000), f64_bits(0x3E4CFDEB43CFD006)
CP, CPH, CPL = map(f64_bits, (0x3FEEC709DC3A03FD, 0x3FEEC709E0000000, 0xBE3E2FE0145B01F5))
LG2, LG2H, LG2L = map(f64_bits, (0x3FE62E42FEFA39EF, 0x3FE62E4300000000, 0xBE205C610CA86C39))


def pow(x, y):
    """A.2, for two numbers."""
    x, y = F64(x), F64(y)
    if y == 0 or x == 1:
        return F64(1)
    e = int(hi(x))
    n, j = (e >> 20) - 1023, e & 0xFFFFF
    if j <= 0x3988E:
        i, h = 0, j + 0x3FF00000
    elif j < 0xBB67A:
        i, h = 1, j + 0x3FF00000
    else:
        i, h, n = 0, j + 0x3FE00000, n + 1
    b, dh, dl = (F64(1), F64(0), F64(0)) if i == 0 else (F64(1.5), DH1, DL1)
    a = with_high(h, x)
    u, v = a - b, 1 / (a + b)
    s = u * v
    sh = trunc(s)
    th = with_high(((h >> 1) | 0x20000000) + 0x80000 + i * 0x40000, 0.0)
    tl = a - (th - b)
    sl = v * ((u - sh * th) - sh * tl)
    q = s * s
    r = q * q * (M1 + q * (M2 + q * (M3 + q * (M4 + q * (M5 + q * M6)))))
    r = r + sl * (sh + s)
    q = sh * sh
    th = trunc(3 + q + r)
    tl = r - ((th - 3) - q)
    u, v = sh * th, sl * th + tl * s
    ph = trunc(u + v)
    pl = v - (ph - u)
    zh, zl = CPH * ph, CPL * ph + pl * CP + dl
    n = F64(n)
    t1 = trunc(((zh + zl) + dh) + n)
    t2 = zl - (((t1 - n) - dh) - zh)

    y1 = trunc(y)
    pl, ph = (y - y1) * t1 + y * t2, y1 * t1
    z = pl + ph
    n = 0
    if int(hi(z)) & 0x7FFFFFFF > 0x3FE00000:
        # The nearest integer, halves away from zero; exact, since int() truncates and the doubled f64 is exact.
        n = int(np.sign(z)) * ((int(abs(z) * 2) + 1) // 2)
    ph = ph - n
    t = trunc(pl + ph)
    u, v = t * LG2H, (pl - (t - ph)) * LG2 + t * LG2L
    z = u + v
    w = v - (z - u)
    t = z * z
    t1 = z - t * (P1 + t * (P2 + t * (P3 + t * (P4 + t * P5))))
    r = (z * t1) / (t1 - 2) - (w + z * w)
    return np.ldexp(1 - (r - z), n)


INV, Q1, Q1T, Q2, Q2T, Q3, Q3T = map(f64_bits, (
    0x3FE45F306DC9C883, 0x3FF921FB54400000, 0x3DD0B4611A626331, 0x3DD0B4611A600000, 0x3BA3198A2E037073, 0x3BA3198A2E000000,
    0x397B839A252049C1))
C1, C2, C3, C4, C5, C6 = map(f64_bits, (
    0x3FA555555555554C, 0xBF56C16C16C15177, 0x3EFA01A019CB1590, 0xBE927E4F809C52AD, 0x3E21EE9EBDB4B1C4, 0xBDA8FAE9BE8838D4))
S1, S2, S3, S4, S5, S6 = map(f64_bits, (
    0xBFC5555555555549, 0x3F8111111110F8A6, 0xBF2A01A019C161D5, 0x3EC71DE357B1FE7D, 0xBE5AE5E68A2B9CEB, 0x3DE5D93A5ACFD57C))
SHORT = ((0x4002D97C, 0x3FF921FB), (0x400F6A7A, 0x400921FB), (0x4015FDBC, 0x4012D97C), (0x401C463B, 0x401921FB))


def reduce(x):
    """n, y0, y1 of A.3, and whether x is small enough to need no reduction."""
    e = hi(x)
    exponent = lambda y: (hi(y) >> 20) & 0x7FF
    shift = F64(6755399441055744)
    n = (x * INV + shift) - shift
    r, w = x - n * Q1, n * Q1T
    y0 = r - w
    again = np.ones(np.shape(y0), bool)
    for part, tail, bits in ((Q2, Q2T, 16), (Q3, Q3T, 49)):
        again = again & ((e >> 20) - exponent(y0) > bits)
        t, w2 = r, n * part
        r2 = t - w2
        w2 = n * tail - ((t - r2) - w2)
        r, w = np.where(again, r2, r), np.where(again, w2, w)
        y0 = np.where(again, r2 - w2, y0)
    y1 = (r - y0) - w
    below = -1
    for k, (limit, excepted) in enumerate(SHORT, 1):
        here = (e > below) & (e <= limit) & (e != excepted)
        a, b = x - k * Q1, k * Q1T
        n, y0, y1 = np.where(here, k, n), np.where(here, a - b, y0), np.where(here, (a - (a - b)) - b, y1)
        below = limit
    small = e <= 0x3FE921FB
    return np.where(small, 0, n).astype(I64), np.where(small, x, y0), np.where(small, 0, y1), small


def cos_sin(x):
    """A.3: both functions of an array of 0 ≤ x < 2²⁰."""
    n, y, t, small = reduce(np.asarray(x, F64))
    z = y * y
    w = z * z
    r = z * (C1 + z * (C2 + z * C3)) + w * w * (C4 + z * (C5 + z * C6))
    g = 0.5 * z
    o = 1 - g
    c = o + (((1 - o) - g) + (z * r - y * t))
    r = S2 + z * (S3 + z * S4) + z * w * (S5 + z * S6)
    v = z * y
    s = np.where(small, y + v * (S1 + z * r), y - ((z * (0.5 * t - v * r) - t) - v * S1))
    quarter = n % 4
    return np.choose(quarter, (c, -s, -c, s)), np.choose(quarter, (s, c, -s, -c))
