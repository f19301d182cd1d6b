"""Sections 1 and 6.1 of docs/spec/c2.md: hashes, and SCALE as far as this profile needs it."""

import hashlib

from blake3 import blake3


def H(data):
    return blake3(data).digest()


def D(context, data):
    return blake3(data, derive_key_context=context).digest()


def B(domain, *parts):
    """`parts` as SCALE has them; hashes and accounts are bytes as they are."""
    return hashlib.blake2b(domain.encode() + b"".join(parts), digest_size=32).digest()


def u32(n):
    return int(n).to_bytes(4, "little")


def u64(n):
    return int(n).to_bytes(8, "little")


def compact(n):
    for size, tag, limit in ((1, 0, 6), (2, 1, 14), (4, 2, 30)):
        if n < 1 << limit:
            return (4 * n + tag).to_bytes(size, "little")
    raise ValueError("a list too long for this profile")


def scale_bytes(data):
    return compact(len(data)) + data


def scale_list(items):
    return compact(len(items)) + b"".join(items)
