"""Section 8 of docs/spec/c2.md: layout of the weights, quantizer, manifest, config.json."""

import json

import numpy as np

from floats import F32
from operations import Matrix
from scale import D, H, scale_bytes, scale_list, u32, u64

# ── 8.1: weights ─────────────────────────────────────────────────────────────


def decoder_layout(n):
    """Names and shapes of the tensors before they are quantized; a second dimension makes a matrix."""
    hidden, inner, head = n["hidden_size"], n["intermediate_size"], n["head_dim"]
    q, kv = n["num_attention_heads"] * head, n["num_key_value_heads"] * head
    all = {"model.embed_tokens.weight": (n["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    if not n["tie_word_embeddings"]:
        all["lm_head.weight"] = (n["vocab_size"], hidden)
    qkv, out, mlp = n["attention_bias"], n["output_bias"], n["mlp_bias"]
    for layer in range(n["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        all[name + "input_layernorm.weight"] = all[name + "post_attention_layernorm.weight"] = (hidden,)
        if n["qk_norm"]:
            all[name + "self_attn.q_norm.weight"] = all[name + "self_attn.k_norm.weight"] = (head,)
        for part, rows, width, bias in (
            ("self_attn.q_proj", q, hidden, qkv), ("self_attn.k_proj", kv, hidden, qkv), ("self_attn.v_proj", kv, hidden, qkv),
            ("self_attn.o_proj", hidden, q, out), ("mlp.gate_proj", inner, hidden, mlp), ("mlp.up_proj", inner, hidden, mlp),
            ("mlp.down_proj", hidden, inner, mlp),
        ):
            all[name + part + ".weight"] = (rows, width)
            if bias:
                all[name + part + ".bias"] = (rows,)
    return all


def encoder_layout(n):
    """The same of an encoder; the tables of positions and token types are not quantized."""
    hidden, inner = n["hidden_size"], n["intermediate_size"]
    all = {
        "embeddings.word_embeddings.weight": (n["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": (n["max_position_embeddings"], hidden),
        "embeddings.token_type_embeddings.weight": (n["type_vocab_size"], hidden),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(n["num_hidden_layers"]):
        name = f"encoder.layer.{layer}."
        norms += [name + "attention.output.LayerNorm", name + "output.LayerNorm"]
        for part, rows, width in (
            ("attention.self.query", hidden, hidden), ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden), ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", inner, hidden), ("output.dense", hidden, inner),
        ):
            all[f"{name}{part}.weight"], all[f"{name}{part}.bias"] = (rows, width), (rows,)
    for norm in norms:
        all[norm + ".weight"] = all[norm + ".bias"] = (hidden,)
    return all


TABLES = ("embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight")


DTYPES = {"I8": 0, "F16": 1, "F32": 2, "U8": 5}
KINDS = {"I8": np.int8, "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "U8": np.uint8}


def stored(tensors):
    """(name, dtype, shape, bytes) of every tensor of the file, in its order."""
    all = []
    put = lambda name, dtype, t: all.append((name, dtype, t.shape, t.astype(KINDS[dtype]).tobytes()))
    for name, t in tensors.items():
        if not isinstance(t, Matrix):
            put(name, "F32", t)
            continue
        put(name, "I8" if t.format == "w8" else "U8", t.w)
        put(name + "_scale", "F16", t.s)
        if t.table is not None:
            put(name + "_table", "I8", t.table)
        if t.zero is not None:
            put(name + "_zero", "U8", t.zero)
    return sorted(all, key=lambda t: t[0].encode())


def read_weights(data):
    """The tensors of a model.safetensors."""
    length = int.from_bytes(data[:8], "little")
    raw = {}
    for name, t in json.loads(data[8 : 8 + length]).items():
        begin, end = (8 + length + at for at in t["data_offsets"])
        raw[name] = np.frombuffer(data[begin:end], KINDS[t["dtype"]]).reshape(t["shape"])
    parts = ("_scale", "_table", "_zero")
    matrix = lambda name, t: Matrix(t, *(raw.get(name + part) for part in parts))
    return {
        name: matrix(name, t) if name + "_scale" in raw else t
        for name, t in raw.items() if not name.endswith(parts)}


def weights_file(tensors):
    """model.safetensors"""
    at, entries, data = 0, [], b""
    for name, dtype, shape, content in stored(tensors):
        dims = ",".join(map(str, shape))
        end = at + len(content)
        entries.append(f'"{name}":{{"dtype":"{dtype}","shape":[{dims}],"data_offsets":[{at},{end}]}}')
        at, data = end, data + content
    header = ("{" + ",".join(entries) + "}").encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data


# ── 8.2: quantizer ───────────────────────────────────────────────────────────


def quantize(w, group=32):
    """w f32 [N, K] → a w8 Matrix."""
    rows, width = w.shape
    padded = np.pad(w, ((0, 0), (0, -width % group))).reshape(rows, -1, group)
    s = (np.abs(padded).max(2) / F32(127)).astype(np.float16)
    d = s.astype(F32)[..., None]
    q = np.where(d == 0, 0, np.clip(np.rint(padded / d), -127, 127))
    return Matrix(q.astype(np.int8).reshape(rows, -1)[:, :width].copy(), s)


# ── 8.3: manifest ────────────────────────────────────────────────────────────


def text(s):
    return scale_bytes(s.encode())


def flag(b):
    return bytes([b])


def option(value, encode):
    return b"\0" if value is None else b"\1" + encode(value)


def real(v):
    return F32(v).tobytes()


def unhex(s):
    return bytes.fromhex(s.removeprefix("0x"))


def scale_rope_scaling(scaling):
    if scaling == "none":
        return b"\0"
    ((kind, n),) = scaling.items()
    if kind == "linear":
        return b"\1" + real(n["factor"])
    original = u32(n["original_max_position_embeddings"])
    if kind == "llama3":
        return b"\2" + b"".join(map(real, (n["factor"], n["low_freq_factor"], n["high_freq_factor"]))) + original
    turns = b"".join(map(real, (n["beta_fast"], n["beta_slow"], n["attention_factor"])))
    return b"\3" + real(n["factor"]) + original + turns + flag(n["truncate"])


def scale_numbers(numbers):
    ((kind, n),) = numbers.items()
    number = lambda *names: b"".join(u32(n[name]) for name in names)
    if kind == "encoder":
        return (
            b"\1" + number("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                           "max_position_embeddings", "type_vocab_size")
            + real(n["layer_norm_eps"]) + number("max_seq_length") + flag(n["normalize"]))
    return (
        b"\0" + number("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                       "num_key_value_heads", "head_dim", "max_position_embeddings")
        + real(n["rms_norm_eps"]) + real(n["rope_theta"]) + scale_rope_scaling(n["rope_scaling"])
        + option(n["sliding_window"], u32)
        + b"".join(flag(n[f]) for f in ("attention_bias", "output_bias", "mlp_bias", "qk_norm", "tie_word_embeddings"))
        + scale_list([u32(t) for t in n["eos_token_ids"]]))


def scale_manifest(m, tensors):
    """`m` is the manifest as in manifest.json; the list of tensors is made from the weights."""
    entries = [
        text(name) + bytes([DTYPES[dtype]]) + scale_list([u64(d) for d in shape]) + H(content)
        for name, dtype, shape, content in stored(tensors)
    ]
    d, p = m["defaults"], m["provenance"]
    return b"".join((
        u32(m["schema"]), text(m["name"]), bytes([{"c2": 2}[m["profile"]]]), text(m["architecture"]),
        scale_numbers(m["numbers"]), unhex(m["rope_root"]), u32(m["prompt_overhead"]),
        b"".join(u32(d[f]) for f in ("temperature", "top_k", "min_p", "max_tokens")),
        unhex(m["config_root"]), unhex(m["tokenizer_root"]), unhex(m["template_root"]), scale_list(entries),
        text(p["source"]), text(p["revision"]),
        scale_list([text(f["name"]) + unhex(f["root"]) for f in p["upstream"]]),
        text(p["quantiser"]), option(p["parent"], unhex), text(p["licence"])))


def model_id(m, tensors):
    return D("assay/v1/model", scale_manifest(m, tensors))


# ── 8.3 and 8.5: the JSON files ──────────────────────────────────────────────


def number(v):
    """The text of an f32."""
    v = F32(v)
    digits = np.format_float_scientific(v, unique=True, trim="-")
    if F32(float(digits)) != v:
        digits = np.format_float_scientific(float(v), unique=True, trim="-")
    mantissa, exponent = digits.split("e")
    sign, whole, exponent = "-" * mantissa.startswith("-"), mantissa.strip("-").replace(".", ""), int(exponent)
    if v == 0:
        return sign + "0.0"
    if not -5 <= exponent < 16:
        fraction = "." + whole[1:] if len(whole) > 1 else ""
        return f"{sign}{whole[0]}{fraction}e{'+' if exponent > 0 else ''}{exponent}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{whole}"
    whole = whole.ljust(exponent + 1, "0")
    return f"{sign}{whole[: exponent + 1]}.{whole[exponent + 1 :] or '0'}"


def pretty(value, depth=0):
    """JSON with two spaces a level."""
    indent = "\n" + "  " * (depth + 1)
    items, ends = None, "[]"
    if isinstance(value, dict):
        items, ends = [f"{pretty(key)}: {pretty(v, depth + 1)}" for key, v in value.items()], "{}"
    elif isinstance(value, (list, tuple)):
        items = [pretty(v, depth + 1) for v in value]
    elif isinstance(value, float):
        return number(value)
    else:
        return json.dumps(value, ensure_ascii=False)
    return ends if not items else ends[0] + indent + f",{indent}".join(items) + indent[:-2] + ends[1]


def manifest_file(m, tensors, known):
    """manifest.json"""
    entries = [
        {"name": name, "dtype": dtype, "shape": list(shape), "root": "0x" + H(content).hex()}
        for name, dtype, shape, content in stored(tensors)]
    fields = (
        "schema", "name", "profile", "architecture", "numbers", "rope_root", "prompt_overhead", "defaults", "config_root",
        "tokenizer_root", "template_root", "tensors", "provenance")
    ordered = {field: entries if field == "tensors" else m[field] for field in fields}
    whole = {"model_id": "0x" + model_id(m, tensors).hex(), "manifest": in_order(ordered), "known_answer": known and in_order(known, "known_answer")}
    return (pretty(whole) + "\n").encode()


DECODER = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling", "sliding_window", "attention_bias",
    "output_bias", "mlp_bias", "qk_norm", "tie_word_embeddings", "eos_token_ids")
ENCODER = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings",
    "type_vocab_size", "layer_norm_eps", "max_seq_length", "normalize")
ORDER = {
    "decoder": DECODER, "encoder": ENCODER, "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    "yarn": ("factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor", "truncate"),
    "known_answer": ("prompt", "max_tokens", "temperature", "seed", "answer"),
    "defaults": ("temperature", "top_k", "min_p", "max_tokens"),
    "provenance": ("source", "revision", "upstream", "quantiser", "parent", "licence")}


def in_order(value, key=None):
    """Fields in the manifest's order, whatever the order in a golden file."""
    if isinstance(value, dict):
        return {k: in_order(value[k], k) for k in ORDER.get(key, value)}
    return value


CLASSES = {
    "llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
    "bert": "BertModel"}


def config_file(architecture, numbers):
    """8.5: config.json"""
    ((kind, n),) = numbers.items()
    own = ("sliding_window", "attention_bias", "output_bias", "mlp_bias", "qk_norm", "eos_token_ids", "rope_scaling")
    fields = {"architectures": [CLASSES[architecture]], "model_type": architecture}
    fields |= {key: n[key] for key in (DECODER if kind == "decoder" else ENCODER) if key not in own}
    if kind == "encoder":
        fields |= {"hidden_act": "gelu", "pooling_mode": "mean", "position_embedding_type": "absolute"}
    else:
        fields |= {"eos_token_id": n["eos_token_ids"], "hidden_act": "silu", "rope_scaling": None}
        if n["rope_scaling"] != "none":
            ((scaling, parts),) = n["rope_scaling"].items()
            fields["rope_scaling"] = dict(sorted({**parts, "rope_type": scaling}.items()))
    if architecture == "llama":
        fields |= {key: n[key] for key in ("attention_bias", "mlp_bias")}
    if architecture in ("mistral", "qwen2", "qwen3"):
        fields["sliding_window"] = n["sliding_window"]
    if architecture in ("qwen2", "qwen3"):
        fields |= {"use_sliding_window": n["sliding_window"] is not None, "max_window_layers": 0}
    if architecture == "qwen3":
        fields["attention_bias"] = n["attention_bias"]
    return (pretty(dict(sorted(fields.items()))) + "\n").encode()
