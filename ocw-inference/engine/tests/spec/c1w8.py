"""Sections 3 to 7 of docs/spec/c1-w8.md, from that text alone: decoder, run, trace, hashes, findings."""

import codecs
import hashlib
from dataclasses import dataclass, field

import numpy as np
from blake3 import blake3

from floats import F64, log
from operations import (
    attention, embedding, fine, gate, gelu, head_norm, layer_norm, linear, mean, normalized, rms_norm, rope_tables, rotate)

CHUNK = 32


def H(data):
    return blake3(data).digest()


def D(context, data):
    return blake3(data, derive_key_context=context).digest()


def B(domain, *parts):
    """`parts` as SCALE has them; hashes and accounts are bytes as they are."""
    return hashlib.blake2b(domain.encode() + b"".join(parts), digest_size=32).digest()


def rope_root(cos, sin):
    return D("assay/v1/rope", cos.tobytes() + sin.tobytes())


# ── 3: models ───────────────────────────────────────────────────────────


@dataclass
class Rows:
    """What rows leave behind: x after each layer, n, and which of them are finite in all that §3.3 names."""

    residual: list
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
    """`numbers` as in the manifest, tensors by name (a Matrix, or f32), bytes of each token (None: special)."""

    numbers: dict
    tensors: dict
    tokens: list = field(default_factory=list)
    overhead: int = 0

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

    def forward(self, tokens, cache):
        """3.1 for rows that follow those in the cache."""
        n, eps = self.numbers, self.numbers["rms_norm_eps"]
        start, rows = cache.length, len(tokens)
        cos, sin = (t[start : start + rows] for t in (self.cos, self.sin))
        finite = np.ones(rows, bool)

        def check(x):
            finite[:] &= np.isfinite(x.reshape(rows, -1)).all(1)
            return x

        x, residual = embedding(self.tensors["model.embed_tokens.weight"], tokens), []
        for layer in range(n["num_hidden_layers"]):
            t = lambda part: self.tensors[f"model.layers.{layer}.{part}.weight"]
            bias = lambda part: self.tensors.get(f"model.layers.{layer}.{part}.bias")
            apply = lambda x, part: linear(x, t(part), bias(part))
            heads = lambda y: y.reshape(rows, -1, n["head_dim"])
            h = check(rms_norm(x, t("input_layernorm"), eps))
            q, k, v = (heads(apply(h, f"self_attn.{part}_proj")) for part in "qkv")
            if n["qk_norm"]:
                q, k = head_norm(q, t("self_attn.q_norm"), eps), head_norm(k, t("self_attn.k_norm"), eps)
            q, k, v = check(rotate(q, cos, sin)), check(rotate(k, cos, sin)), check(v)
            for kept, new in ((cache.k, k), (cache.v, v)):
                half = check(new.astype(np.float16))
                kept[layer] = np.concatenate([kept[layer], half]) if start else half
            last = np.arange(start, start + rows)
            first = np.maximum(0, last - n["sliding_window"] + 1) if n["sliding_window"] else 0 * last
            a = check(attention(q, cache.k[layer], cache.v[layer], first, last)).reshape(rows, -1)
            x = x + apply(a, "self_attn.o_proj")
            h = check(rms_norm(x, t("post_attention_layernorm"), eps))
            y = check(gate(apply(h, "mlp.gate_proj"), apply(h, "mlp.up_proj")))
            x = check(x + apply(y, "mlp.down_proj"))
            residual.append(x)
        norm = check(rms_norm(x, self.tensors["model.norm.weight"], eps))
        cache.length += rows
        return Rows(residual, norm, finite)


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


def text(data):
    """Ill-formed subparts become U+FFFD; an unfinished end is left out."""
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
FINISH = {"eos": b"\0", "stop": b"\1", "length": b"\2"} | {name: bytes([3, i]) for i, name in enumerate(FAILURES)}


def q16(x):
    return np.clip(np.rint(65536 * np.asarray(x, F64)), -(2**31), 2**31 - 1).astype(np.int64)


def choose(logits, step, params, seed):
    """5.1"""
    l = q16(logits.astype(F64))
    if params.temperature == 0:
        return int(l.argmax())
    keep = np.ones(len(l), bool)
    if params.top_k > 0:
        keep[np.lexsort((np.arange(len(l)), -l))[params.top_k :]] = False
    if params.min_p > 0:
        reach = -int(q16(log(F64(params.min_p) / F64(65536))))
        keep &= l * 65536 >= int(l.max()) * 65536 - params.temperature * reach
    key = blake3(seed + step.to_bytes(4, "little"), derive_key_context="assay/v1/sampler-s1")
    r = np.frombuffer(key.digest(length=8 * len(l)), "<u8")
    u = ((r >> np.uint64(12)).astype(F64) + 0.5) / F64(2**52)
    score = l * 65536 + params.temperature * q16(-log(-log(u)))
    return int(np.where(keep, score, np.iinfo(np.int64).min).argmax())


def max_text_bytes(max_tokens):
    """5, L"""
    return min(max(16 * max_tokens, 1_024), 65_536)


def ended(model, tokens, params, room):
    """5, 1–4: why the answer ends with the last of `tokens` (None if it goes on), and its text."""
    data = lambda ids: b"".join(model.tokens[t] or b"" for t in ids if t < len(model.tokens))
    if tokens[-1] in model.numbers["eos_token_ids"]:
        return "eos", text(data(tokens[:-1]))
    said = text(data(tokens))
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


def refused(failure, layers):
    """5: what follows without a prompt; an encoder has 0 layers."""
    return Run(Output(0, [], b"", failure), Trace(layers).root())


def execute(model, size, prompt, params, seed):
    """5: decodes row by row behind one prefill of the prompt, which an input of `size` bytes became.

    `prompt` is None if the template refuses the input."""
    if not prompt:
        return refused("template" if prompt is None else "no_tokens", model.numbers["num_hidden_layers"])
    count, room = min(len(prompt), model.context, size + model.overhead), model.context - len(prompt)
    trace = Trace(model.numbers["num_hidden_layers"])
    if room <= 0:
        return Run(Output(count, [], b"", "prompt_too_long"), trace.root())
    cache, tokens, said, fed = model.cache(), [], b"", prompt
    while True:
        rows = model.forward(fed, cache)
        good = int(np.append(~rows.finite, True).argmax())  # rows before the first that fails
        logits = model.logits(rows.norm[-1:])[0] if good == len(fed) else None
        if logits is None or not np.isfinite(logits).all():
            trace.push(rows, min(good, len(fed) - 1))
            return Run(Output(count, tokens, said, "non_finite"), trace.root())
        trace.push(rows, len(fed))
        tokens.append(choose(logits, len(tokens), params, seed))
        finish, said = ended(model, tokens, params, room)
        if finish:
            return Run(Output(count, tokens, said, finish), trace.root())
        fed = tokens[-1:]


# ── 6: trace ─────────────────────────────────────────────────────────────────


class Trace:
    """Rows of each layer and of the final norm, as bytes."""

    def __init__(self, layers):
        self.layers, self.rows = layers, 0
        self.streams = [[] for _ in range(layers + 1)]

    def push(self, rows, count):
        for stream, x in zip(self.streams, rows.residual + [rows.norm]):
            stream.extend(row.astype("<f4").tobytes() for row in x[:count])
        self.rows += count

    def root(self):
        leaf = lambda stream, c: D("assay/v1/trace-leaf", b"".join(stream[c : c + CHUNK]))
        chunks = range(0, self.rows, CHUNK)
        nodes = [leaf(stream, c) for c in chunks for stream in self.streams[:-1]]
        nodes += [leaf(self.streams[-1], c) for c in chunks]
        while len(nodes) > 1:
            pairs = [nodes[i : i + 2] for i in range(0, len(nodes), 2)]
            nodes = [D("assay/v1/trace-node", b"".join(p)) if len(p) == 2 else p[0] for p in pairs]
        apex = nodes[0] if nodes else bytes(32)
        return D("assay/v1/trace-root", u32(self.rows) + u32(self.layers) + apex)


# ── 6.1: hashes ──────────────────────────────────────────────────────────────


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


def output_hash(output):
    tokens = scale_list([u32(t) for t in output.tokens])
    return D("assay/v1/output", u32(output.input_tokens) + tokens + scale_bytes(output.text) + FINISH[output.finish])


def scale_params(p):
    numbers = b"".join(map(u32, (p.max_tokens, p.temperature, p.top_k, p.min_p)))
    return numbers + scale_list([scale_bytes(s) for s in p.stop])


def input_hash(data, chat=False):
    return D("assay/v1/chat" if chat else "assay/v1/input", data)


# ── 6.2: bound hashes ────────────────────────────────────────────────────────


def job_id(genesis, requester, count, model, input_hash, params):
    return B("assay/v2/job", genesis, requester, u64(count), model, input_hash, scale_params(params))


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
    """7: ("confirm", trace_root) or ("reject", position, prefix_root); `run` is what §5 gives."""
    if run.output == claim:
        return "confirm", run.trace_root
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
    # Row P−1+i chooses token i; behind the end of the run no row chooses.
    over = honest.finish != "non_finite"
    choosing = min(len(tokens) + 1, len(honest.tokens)) if over else len(tokens) + 1
    for i in range(choosing):
        finite[len(prompt) - 1 + i] &= np.isfinite(model.logits(rows.norm[len(prompt) - 1 + i :][:1])).all()
    trace.push(rows, int(np.append(~finite, True).argmax()))
    return trace.root()
