"""Sections 3 to 7 of docs/spec/c2.md, from that text alone: decoder, run, hashes, cells, findings."""

import codecs
from dataclasses import dataclass, field

import numpy as np
from blake3 import blake3

from floats import F64, log
from operations import (
    attention, embedding, fine, gate, gelu, head_norm, layer_norm, linear, mean, normalized, rms_norm, rope_tables, rotate)
from scale import B, D, scale_bytes, scale_list, u32, u64
from trace import CHUNK, Trace, kv_leaf, leaf


def rope_root(cos, sin):
    return D("assay/v1/rope", cos.tobytes() + sin.tobytes())


# ── 3: models ───────────────────────────────────────────────────────────


@dataclass
class Rows:
    """What rows leave behind: x after each layer, keys ‖ values of each layer (f16), n, and which rows do not fail by what
    §3.3 names before the logits."""

    residual: list
    kv: list
    norm: np.ndarray
    finite: np.ndarray


@dataclass
class Cache:
    """Keys and values of the rows so far, f16, for each layer."""

    k: list
    v: list
    length: int = 0


@dataclass
class Model:
    """`numbers` as in the manifest, tensors by name (a Matrix, or f32), bytes of each token (None: special).
    `strips`: whether a space at the beginning of an answer is the tokenizer's (4.3)."""

    numbers: dict
    tensors: dict
    tokens: list = field(default_factory=list)
    overhead: int = 0
    strips: bool = False

    def __post_init__(self):
        n = self.numbers
        self.context = n["max_position_embeddings"]
        self.cos, self.sin = rope_tables(n["rope_theta"], n["rope_scaling"], n["head_dim"], self.context)
        self.head = "model.embed_tokens.weight" if n["tie_word_embeddings"] else "lm_head.weight"

    def cache(self):
        empty = lambda: [np.zeros((0, 0, 0), np.float16)] * self.numbers["num_hidden_layers"]
        return Cache(empty(), empty())

    def logits(self, norm):
        return linear(norm, self.tensors[self.head])

    def embedded(self, tokens):
        return embedding(self.tensors["model.embed_tokens.weight"], tokens)

    def layer(self, layer, x, k, v, finite=None):
        """One layer of 3.1: x of the rows after it, and their keys and values in f16.

        `k` and `v` are f16 of the positions before the rows; `finite` loses the rows that fail (3.3)."""
        n, eps, rows, start = self.numbers, self.numbers["rms_norm_eps"], len(x), len(k)
        cos, sin = (t[start : start + rows] for t in (self.cos, self.sin))
        check = lambda name, y: self.look(name, y, finite)
        t = lambda part: self.tensors[f"model.layers.{layer}.{part}.weight"]
        bias = lambda part: self.tensors.get(f"model.layers.{layer}.{part}.bias")
        apply = lambda y, part: linear(y, t(part), bias(part))
        heads = lambda y: y.reshape(rows, -1, n["head_dim"])
        h = check("h", rms_norm(x, t("input_layernorm"), eps))
        q, new_k, new_v = (heads(apply(h, f"self_attn.{part}_proj")) for part in "qkv")
        if n["qk_norm"]:
            q, new_k = head_norm(q, t("self_attn.q_norm"), eps), head_norm(new_k, t("self_attn.k_norm"), eps)
        q, new_k, new_v = check("q", rotate(q, cos, sin)), check("k", rotate(new_k, cos, sin)), check("v", new_v)
        new_k, new_v = check("half k", new_k.astype(np.float16)), check("half v", new_v.astype(np.float16))
        k, v = (np.concatenate([old, new]) if start else new for old, new in ((k, new_k), (v, new_v)))
        last = np.arange(start, start + rows)
        first = np.maximum(0, last - n["sliding_window"] + 1) if n["sliding_window"] else 0 * last
        a = check("a", attention(q, k, v, first, last)).reshape(rows, -1)
        x = x + apply(a, "self_attn.o_proj")
        h = check("h", rms_norm(x, t("post_attention_layernorm"), eps))
        y = check("y", gate(apply(h, "mlp.gate_proj"), apply(h, "mlp.up_proj")))
        return check("x", x + apply(y, "mlp.down_proj")), new_k, new_v

    def look(self, name, y, finite):
        """3.3: what a row fails by."""
        if finite is not None:
            finite &= np.isfinite(y.reshape(len(y), -1)).all(1)
        return y

    def norm(self, x):
        return rms_norm(x, self.tensors["model.norm.weight"], self.numbers["rms_norm_eps"])

    def forward(self, tokens, cache):
        """3.1 for rows that follow those in the cache."""
        finite = np.ones(len(tokens), bool)
        x, residual, kv = self.embedded(tokens), [], []
        for layer in range(self.numbers["num_hidden_layers"]):
            x, k, v = self.layer(layer, x, cache.k[layer], cache.v[layer], finite)
            for kept, new in ((cache.k, k), (cache.v, v)):
                kept[layer] = np.concatenate([kept[layer], new]) if cache.length else new
            residual.append(x)
            kv.append(np.concatenate([k, v], 1).reshape(len(tokens), -1))
        norm = self.look("n", self.norm(x), finite)
        cache.length += len(tokens)
        return Rows(residual, kv, norm, finite)


def encode(n, tensors, tokens):
    """3.4: the vector of a text."""
    eps, count, heads = n["layer_norm_eps"], len(tokens), n["num_attention_heads"]
    apply = lambda x, name: fine(x, tensors[name + ".weight"], tensors[name + ".bias"])
    norm = lambda x, name: layer_norm(x, tensors[name + ".weight"], tensors[name + ".bias"], eps)
    table = lambda name: tensors[f"embeddings.{name}_embeddings.weight"]
    first, last = np.zeros(count, int), np.full(count, count - 1)
    x = (embedding(table("word"), tokens) + table("token_type")[0]) + table("position")[:count]
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(n["num_hidden_layers"]):
        name = f"encoder.layer.{layer}."
        q, k, v = (apply(x, f"{name}attention.self.{part}").reshape(count, heads, -1) for part in ("query", "key", "value"))
        a = attention(q, k.astype(np.float16), v.astype(np.float16), first, last).reshape(count, -1)
        x = norm(x + apply(a, name + "attention.output.dense"), name + "attention.output.LayerNorm")
        y = gelu(apply(x, name + "intermediate.dense"))
        x = norm(x + apply(y, name + "output.dense"), name + "output.LayerNorm")
    return normalized(mean(x)) if n["normalize"] else mean(x)


# ── 4.3: text of tokens ──────────────────────────────────────────────────────


def text(data, strips=False):
    """Ill-formed subparts become U+FFFD; an unfinished end is left out."""
    data = data[1:] if strips and data.startswith(b" ") else data
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data, final=False).encode()


# ── 5: a run ─────────────────────────────────────────────────────────────────


@dataclass
class Params:
    max_tokens: int
    temperature: int = 0
    top_k: int = 0
    min_p: int = 0
    stop: list = field(default_factory=list)


@dataclass
class Output:
    input_tokens: int
    tokens: list
    text: bytes
    finish: str


FAILURES = (
    "prompt_too_long", "non_finite", "template", "no_tokens", "not_generative", "part_left_out", "grammar")
MAX_REFUSAL_BYTES = 256
FINISH = {"eos": b"\0", "stop": b"\1", "length": b"\2"} | {name: bytes([3, i]) for i, name in enumerate(FAILURES)}


def q16(x):
    return np.clip(np.rint(65536 * np.asarray(x, F64)), -(2**31), 2**31 - 1).astype(np.int64)


def noise(seed, step, count):
    """5.1: g of each token."""
    key = blake3(seed + step.to_bytes(4, "little"), derive_key_context="assay/v1/sampler-s1")
    r = np.frombuffer(key.digest(length=8 * count), "<u8")
    u = ((r >> np.uint64(12)).astype(F64) + 0.5) / F64(2**52)
    return q16(-log(-log(u)))


def choose(logits, step, params, seed, allowed=None):
    """5.1; `allowed` is the mask, by token."""
    ids = np.arange(len(logits)) if allowed is None else np.flatnonzero(allowed)
    l = q16(logits[ids].astype(F64))
    if params.temperature == 0:
        return int(ids[l.argmax()])
    keep = np.ones(len(l), bool)
    if params.top_k > 0:
        keep[np.lexsort((np.arange(len(l)), -l))[params.top_k :]] = False
    if params.min_p > 0:
        reach = -int(q16(log(F64(params.min_p) / F64(65536))))
        keep &= l * 65536 >= int(l.max()) * 65536 - params.temperature * reach
    score = l * 65536 + params.temperature * noise(seed, step, len(logits))[ids]
    return int(ids[np.where(keep, score, np.iinfo(np.int64).min).argmax()])


def max_text_bytes(max_tokens):
    """5, L"""
    return min(max(16 * max_tokens, 1_024), 65_536)


def ended(model, tokens, params, room):
    """5, 1–4: why the answer ends with the last of `tokens` (None if it goes on), and its text."""
    data = lambda ids: b"".join(model.tokens[t] or b"" for t in ids if t < len(model.tokens))
    if tokens[-1] in model.numbers["eos_token_ids"]:
        return "eos", text(data(tokens[:-1]), model.strips)
    said = text(data(tokens), model.strips)
    limit = max_text_bytes(params.max_tokens)
    found = [at for at in (said.find(stop) for stop in params.stop) if at >= 0]
    if found and min(found) <= limit:
        return "stop", said[: min(found)]
    if len(said) > limit:
        return "length", text(said[:limit])
    return ("length" if len(tokens) == min(params.max_tokens, room) else None), said


@dataclass
class Run:
    """An output, and the rows behind it."""

    output: Output
    trace_root: bytes


def refused(numbers, failure, said=""):
    """5: what follows without a prompt; an encoder has 0 layers. `numbers` as in the manifest, `said` is the refusal's text."""
    layers = numbers["decoder"]["num_hidden_layers"] if "decoder" in numbers else 0
    return Run(Output(0, [], text(said.encode()[:MAX_REFUSAL_BYTES]), failure), Trace(layers).root())


class Ahead:
    """Rows of tokens that will probably be fed, computed together; each is the same as by itself (3.1)."""

    def __init__(self, model, tokens):
        self.model, self.tokens, self.cache, self.at = model, tokens, model.cache(), 0
        self.rows = model.forward(tokens, self.cache)

    def forward(self, tokens):
        """The rows of the tokens that are fed next."""
        first, self.at = self.at, self.at + len(tokens)
        if self.tokens[first : self.at] != tokens:
            # Others were fed: what was computed behind them is forgotten.
            self.cache = Cache(*([rows[:first] for rows in kept] for kept in (self.cache.k, self.cache.v)), first)
            self.tokens = self.tokens[:first] + tokens
            return self.model.forward(tokens, self.cache)
        part = slice(first, self.at)
        cut = lambda all: [rows[part] for rows in all]
        return Rows(cut(self.rows.residual), cut(self.rows.kv), self.rows.norm[part], self.rows.finite[part])


def execute(model, size, prompt, params, seed, guess=()):
    """5: decodes row by row behind one prefill of the prompt, which an input of `size` bytes became.

    The rows of a `guess` of the answer's tokens are computed with the
    prompt's; a wrong guess costs only time."""
    count, room = min(len(prompt), model.context, size + model.overhead), model.context - len(prompt)
    trace = Trace(model.numbers["num_hidden_layers"])
    if room <= 0:
        return Run(Output(count, [], b"", "prompt_too_long"), trace.root())
    ahead, tokens, said, fed = Ahead(model, prompt + list(guess[:-1])), [], b"", prompt
    while True:
        rows = ahead.forward(fed)
        good = int(np.append(~rows.finite, True).argmax())  # rows before the first that fails
        logits = model.logits(rows.norm[-1:])[0] if good == len(fed) else None
        if logits is None or not finite_logits(logits):
            trace.push(rows, min(good, len(fed) - 1))
            return Run(Output(count, tokens, said, "non_finite"), trace.root())
        trace.push(rows, len(fed))
        tokens.append(choose(logits, len(tokens), params, seed))
        finish, said = ended(model, tokens, params, room)
        if finish:
            return Run(Output(count, tokens, said, finish), trace.root())
        fed = tokens[-1:]


# ── 6.1: hashes ──────────────────────────────────────────────────────────────


def output_hash(output):
    tokens = scale_list([u32(t) for t in output.tokens])
    return D("assay/v1/output", u32(output.input_tokens) + tokens + scale_bytes(output.text) + FINISH[output.finish])


def scale_params(p):
    numbers = b"".join(map(u32, (p.max_tokens, p.temperature, p.top_k, p.min_p)))
    return numbers + scale_list([scale_bytes(s) for s in p.stop])


def input_hash(data, chat=False):
    return D("assay/v1/chat" if chat else "assay/v1/input", data)


# ── 6.2: bound hashes ────────────────────────────────────────────────────────


def job_id(genesis, requester, count, model, input_hash, params, listing=None):
    named = b"" if listing is None else u32(listing)
    return B("assay/v2/job", genesis, requester, u64(count), model, input_hash, scale_params(params), named)


def execution(genesis, job, attempt, block, acc, executor, model):
    return B("assay/v2/execution", genesis, job, bytes([attempt]), u32(block), acc, executor, model)


def bound_root(claim, top):
    return D("assay/v2/root", claim + top)


def dispute_root(dispute, round, top):
    return D("assay/v2/root", dispute + bytes([round]) + top)


def drawn_seats(claim, tranche, block, acc, output_hash, seal, seats):
    return B("assay/v2/seats", claim, bytes([tranche]), u32(block), acc, output_hash, seal, scale_list(seats))


# ── 7: findings ──────────────────────────────────────────────────────────────


def finding(model, prompt, run, claim):
    """7: ("confirm", trace_root) or ("reject", position, prefix_root); `run` is what §5 gives. `prompt` is None if there is
    none, and `model` is not looked at then."""
    if run.output == claim:
        return "confirm", run.trace_root
    if not prompt:
        return "reject", 0, run.trace_root
    honest, claimed = run.output.tokens, claim.tokens
    position = next((i for i, t in enumerate(claimed) if i >= len(honest) or honest[i] != t), len(claimed))
    return "reject", position, prefix_root(model, prompt, claimed[:position], run.output)


def prefix_root(model, prompt, tokens, honest):
    """The root over the rows of the prompt and these tokens, up to the first that fails."""
    trace = Trace(model.numbers["num_hidden_layers"])
    if not 0 < len(prompt) < model.context:
        return trace.root()
    rows = model.forward(list(prompt) + list(tokens), model.cache())
    finite = rows.finite.copy()
    # Row P−1+i counts by its logits if the run chose token i, or failed there, and i is at most the position.
    chose = len(honest.tokens) + (honest.finish == "non_finite")
    for i in range(min(len(tokens) + 1, chose)):
        row = len(prompt) - 1 + i
        finite[row] &= finite_logits(model.logits(rows.norm[row:][:1]))
    trace.push(rows, int(np.append(~finite, True).argmax()))
    return trace.root()


def finite_logits(logits):
    return bool(np.isfinite(logits).all())


# ── 6.3: what one chunk is recomputed from ───────────────────────────────────


def cell(model, layer, x, k, v):
    """The two leaves of a cell: `x` before the layer of the chunk's rows, `k` and `v` of the layer's earlier positions."""
    x, new_k, new_v = model.layer(layer, x, k, v)
    kv = np.concatenate([new_k, new_v], 1).reshape(len(x), -1)
    as_bytes = lambda rows, kind: [row.astype(kind).tobytes() for row in rows]
    return leaf(as_bytes(x, "<f4")), kv_leaf(as_bytes(kv, "<f2")), x


def spot_check(model, tokens, chunk, kv):
    """The leaves of a chunk from all tokens fed and, of each layer, keys and values of the chunks before (f16 bytes)."""
    n = model.numbers
    first, leaves = chunk * CHUNK, []
    x = model.embedded(tokens[first : first + CHUNK])
    for layer in range(n["num_hidden_layers"]):
        rows = np.frombuffer(kv[layer], np.float16).reshape(first, 2, n["num_key_value_heads"], n["head_dim"])
        x_leaf, kv_hash, x = cell(model, layer, x, rows[:, 0], rows[:, 1])
        leaves += [x_leaf, kv_hash]
    return leaves + [leaf([row.astype("<f4").tobytes() for row in model.norm(x)])]
