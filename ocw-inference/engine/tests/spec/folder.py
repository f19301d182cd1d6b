"""Section 8 of docs/spec/c1-w8.md: layout of the weights, quantiser, manifest; and appendix C: the weights of a golden model."""

import numpy as np
from blake3 import blake3

from c1w8 import D, H, scale_bytes, scale_list, u32
from floats import F32
from operations import BLOCK, Matrix

# ── 8.1: weights ─────────────────────────────────────────────────────────────


def decoder_layout(n):
    """Names and shapes of the tensors before they are quantised; a second dimension makes a matrix."""
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
    """The same of an encoder; the tables of positions and token types are not quantised."""
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


def stored(tensors):
    """(name, dtype, shape, bytes) of every tensor of the file, in its order."""
    all = []
    for name, t in tensors.items():
        if isinstance(t, Matrix):
            all.append((name, "I8", t.w.shape, t.w.tobytes()))
            all.append((name + "_scale", "F16", t.s.shape, t.s.tobytes()))
        else:
            all.append((name, "F32", t.shape, t.astype("<f4").tobytes()))
    return sorted(all, key=lambda t: t[0].encode())


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


# ── 8.2: quantiser ───────────────────────────────────────────────────────────


def quantise(w):
    """w f32 [N, K] → a Matrix."""
    blocks = w.reshape(len(w), -1, BLOCK)
    s = (np.abs(blocks).max(2) / F32(127)).astype(np.float16)
    d = s.astype(F32)[..., None]
    q = np.where(d == 0, 0, np.clip(np.rint(blocks / d), -127, 127))
    return Matrix(q.astype(np.int8).reshape(w.shape), s)


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


DTYPES = {"I8": 0, "F16": 1, "F32": 2}


def scale_manifest(m, tensors):
    """`m` is the manifest as in manifest.json; the list of tensors is made from the weights."""
    entries = [
        text(name) + bytes([DTYPES[dtype]]) + scale_list([d.to_bytes(8, "little") for d in shape]) + H(content)
        for name, dtype, shape, content in stored(tensors)
    ]
    d, p = m["defaults"], m["provenance"]
    return b"".join((
        u32(m["schema"]), text(m["name"]), bytes([{"c1-w8": 1}[m["profile"]]]), text(m["architecture"]),
        scale_numbers(m["numbers"]), unhex(m["rope_root"]), u32(m["prompt_overhead"]),
        b"".join(u32(d[f]) for f in ("temperature", "top_k", "min_p", "max_tokens")),
        unhex(m["config_root"]), unhex(m["tokenizer_root"]), unhex(m["template_root"]), scale_list(entries),
        text(p["source"]), text(p["revision"]),
        scale_list([text(f["name"]) + unhex(f["root"]) for f in p["upstream"]]),
        text(p["quantiser"]), option(p["parent"], unhex), text(p["licence"])))


def model_id(m, tensors):
    return D("assay/v1/model", scale_manifest(m, tensors))


# ── C: golden models ─────────────────────────────────────────────────────────


def noise(seed, name, count):
    """f32 in [−1, 1) from BLAKE3's stream."""
    stream = blake3(seed.to_bytes(8, "little") + name.encode()).digest(length=4 * count)
    return (np.frombuffer(stream, "<u4") >> 8).astype(F32) / F32(2**23) - F32(1)


def golden_weights(numbers, seed, poison):
    """The tensors of a golden model."""
    ((kind, n),) = numbers.items()
    tensors = {}
    if kind == "encoder":
        for name, shape in encoder_layout(n).items():
            v = noise(seed, name, int(np.prod(shape))).reshape(shape)
            v = F32(1) + F32(0.1) * v if name.endswith("LayerNorm.weight") else F32(0.25) * v
            tensors[name] = quantise(v) if len(shape) == 2 and name not in TABLES else v
        return tensors
    for name, shape in decoder_layout(n).items():
        v = noise(seed, name, int(np.prod(shape))).reshape(shape)
        embedding = name in ("model.embed_tokens.weight", "lm_head.weight")
        if len(shape) == 1:
            v = F32(0.1) * v if name.endswith(".bias") else F32(1) + F32(0.1) * v
        else:
            v = (F32(0.5) if embedding else F32(0.25)) * v
        if poison is not None:
            if name == "model.norm.weight":
                v[0] = F32(3e38)
            elif embedding:
                v[:, 0] = 0
                v[poison, 0] = 8
            elif "o_proj" in name or "down_proj" in name:
                v[0] = 0
        tensors[name] = quantise(v) if len(shape) == 2 else v
    return tensors
