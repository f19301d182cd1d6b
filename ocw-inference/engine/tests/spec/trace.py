"""Section 6 of docs/spec/c2.md: the trace, its tree, and paths in it."""

from scale import D, u32

CHUNK = 32


def leaf(rows):
    return D("assay/v2/trace-leaf", b"".join(rows))


def kv_leaf(rows):
    return D("assay/v2/trace-kv", b"".join(rows))


def node(left, right):
    return D("assay/v2/trace-node", left + right)


def levels(nodes):
    """The tree from its leaves to its apex; without leaves, 32 zero bytes."""
    all = [nodes or [bytes(32)]]
    while len(all[-1]) > 1:
        below = all[-1]
        pairs = [below[i : i + 2] for i in range(0, len(below), 2)]
        all.append([node(*p) if len(p) == 2 else p[0] for p in pairs])
    return all


def root(rows, layers, apex):
    return D("assay/v2/trace-root", u32(rows) + u32(layers) + apex)


# ── 6.3: paths ───────────────────────────────────────────────────────────────


def count(rows, layers):
    """How many leaves a trace has."""
    return -(-rows // CHUNK) * (2 * layers + 1)


def index(rows, layers, chunk, layer, kind):
    """Where the leaf of a chunk is; `kind` is "x", "kv" or "n"."""
    if kind == "n":
        return -(-rows // CHUNK) * 2 * layers + chunk
    return 2 * (chunk * layers + layer) + (kind == "kv")


def path(nodes, at):
    """The partners of a leaf and of the nodes above it, from below; of a node without a partner there is none."""
    partners = []
    for level in levels(nodes)[:-1]:
        if at ^ 1 < len(level):
            partners.append(level[at ^ 1])
        at //= 2
    return partners


def root_of(rows, layers, at, hash, partners):
    """The root that a leaf and its path lead to; none if the path has another length than it must."""
    width, partners = count(rows, layers), list(partners)
    if at >= width:
        return None
    while width > 1:
        if at ^ 1 < width:
            if not partners:
                return None
            other = partners.pop(0)
            hash = node(other, hash) if at & 1 else node(hash, other)
        at, width = at // 2, (width + 1) // 2
    return None if partners else root(rows, layers, hash)


def proof(nodes, places):
    """The partners of several leaves: level by level, from the left, those that are not known."""
    partners = []
    for level in levels(nodes)[:-1]:
        partners += [level[at ^ 1] for at in places if at ^ 1 not in places and at ^ 1 < len(level)]
        places = sorted({at // 2 for at in places})
    return partners


def root_of_all(rows, layers, known, partners):
    """The root that several leaves, as (index, hash) ascending, and their proof lead to; none if its length is another."""
    width, partners = count(rows, layers), list(partners)
    while width > 1:
        here, above = dict(known), {}
        for at, hash in known:
            if at // 2 in above:
                continue
            if at ^ 1 < width and at ^ 1 not in here:
                if not partners:
                    return None
                here[at ^ 1] = partners.pop(0)
            even = at & ~1
            above[at // 2] = node(here[even], here[even | 1]) if even | 1 < width else hash
        known, width = sorted(above.items()), (width + 1) // 2
    return None if partners else root(rows, layers, known[0][1])


class Trace:
    """Rows of each layer (x, and keys ‖ values) and of the final norm, as bytes."""

    def __init__(self, layers):
        self.layers, self.rows = layers, 0
        self.residual, self.kv = ([[] for _ in range(layers)] for _ in range(2))
        self.norm = []

    def push(self, rows, count):
        for streams, parts, kind in ((self.residual, rows.residual, "<f4"), (self.kv, rows.kv, "<f2"), ([self.norm], [rows.norm], "<f4")):
            for stream, x in zip(streams, parts):
                stream.extend(row.astype(kind).tobytes() for row in x[:count])
        self.rows += count

    def chunk(self, c):
        """The leaves of a chunk, the norm's last."""
        part = slice(c * CHUNK, (c + 1) * CHUNK)
        cells = [f(rows[part]) for x, kv in zip(self.residual, self.kv) for f, rows in ((leaf, x), (kv_leaf, kv))]
        return cells + [leaf(self.norm[part])]

    def leaves(self):
        chunks = [self.chunk(c) for c in range(-(-self.rows // CHUNK))]
        return [cell for c in chunks for cell in c[:-1]] + [c[-1] for c in chunks]

    def root(self):
        return root(self.rows, self.layers, levels(self.leaves())[-1][0])
