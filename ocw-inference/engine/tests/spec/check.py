"""Computes the golden vectors of ../golden from the specification's text and compares them bit for bit.

    python check.py [FILE…]        (needs numpy and blake3; scripts/spec-test.sh brings them)
"""

import json
import random
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from blake3 import blake3

import c1w8
import floats
import folder
import operations as op
from floats import F32, F64

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
LAYERS = json.loads((GOLDEN / "layers.json").read_text())
ONE_NAN = np.uint32(0x7FC00000).view(F32)


def stream(name, size):
    return blake3(name.encode()).digest(length=size)


def wide(name, shape, exponent):
    """Floats of widely different size (appendix C)."""
    r = np.frombuffer(stream(name, 4 * int(np.prod(shape))), "<u4")
    unit = (r >> 8).astype(F64) / 2**23 - 1
    return np.ldexp(unit, exponent - (r & 7).astype(int)).astype(F32).reshape(shape)


def matrix(name, n, k):
    w = np.frombuffer(stream(name + "/w", n * k), np.int8).reshape(n, k)
    s = (np.frombuffer(stream(name + "/s", n * k // 16), "<u2") & 0x9FFF).view(np.float16)
    return op.Matrix(w, s.reshape(n, -1))


def bits(x):
    x = np.asarray(x)
    return (np.where(np.isnan(x), ONE_NAN, x) if x.dtype == F32 else x).tobytes().hex()


def unbits(text, dtype="<f4"):
    return np.frombuffer(bytes.fromhex(text), dtype)


# ── operations: each yields (what, expected, found) ──────────────────────────


def linear(case, name):
    if "x" in case:
        w = np.frombuffer(bytes.fromhex(case["w"]), np.int8).reshape(1, -1)
        ones = np.ones((1, case["k"] // 32), np.float16)
        yield "y", case["y"], bits(op.linear(unbits(case["x"]).reshape(1, -1), op.Matrix(w, ones)))
        return
    key = f"linear/{name}/"
    x = wide(key + "x", (case["rows"], case["k"]), case["exponent"])
    x[0, :32] = 0
    x[-1, -1] *= F32(64)
    bias = wide(key + "bias", case["n"], 0) if case["bias"] else None
    yield "y", case["y"], bits(op.linear(x, matrix(key + "matrix", case["n"], case["k"]), bias))


def embedding(case, _):
    yield "y", case["y"], bits(op.embedding(matrix("embedding/matrix", case["n"], case["k"]), case["ids"]))


def norm(case, name):
    eps = unbits(case["epsilon"])[0]
    if name == "heads":
        heads, kv, dim = case["heads"], case["kv_heads"], case["head_dim"]
        x = wide("norm/heads/x", (2, heads + 2 * kv, dim), 2)
        w = [wide("norm/heads/" + part, dim, 1) for part in "qk"]
        x[:, :heads] = op.head_norm(x[:, :heads], w[0], eps)
        x[:, heads : heads + kv] = op.head_norm(x[:, heads : heads + kv], w[1], eps)
        yield "y", case["y"], bits(x)
        return
    width, key = case["width"], f"norm/{name}/"
    x, w, b = wide(key + "x", (2, width), case["exponent"]), wide(key + "w", width, 1), wide(key + "b", width, 1)
    yield "rms_norm", case["rms_norm"], bits(op.rms_norm(x, w, eps))
    yield "layer_norm", case["layer_norm"], bits(op.layer_norm(x, w, b, eps))


def functions(case, _):
    x = unbits(case["x"])
    for name in ("exp", "erf", "gelu"):
        yield name, case[name], bits(getattr(op, name)(x))
    yield "gate", case["gate"], bits(op.gate(x[::2], x[1::2]))


def quantiser(case, _):
    n, k = case["n"], case["k"]
    x = np.stack([wide(f"quantiser/{row}", k, row % 40 - 30) for row in range(n)])
    x[0, :31] = np.arange(31) - 15.5
    x[0, 31] = 127
    x[1, :32] = 0
    m = folder.quantise(x)
    yield "first w", case["first w"], bits(m.w[:4])
    yield "first s", case["first s"], bits(m.s[:4])
    yield "w", case["w"], c1w8.H(m.w.tobytes()).hex()
    yield "s", case["s"], c1w8.H(m.s.tobytes()).hex()


def rope(case, name):
    dim, scaling = case["head_dim"], case["scaling"]
    f, _ = op.rope_frequencies(case["theta"], scaling, dim)
    yield "frequencies", case["frequencies"], bits(f)
    cos, sin = op.rope_tables(case["theta"], scaling, dim, case["positions"])
    yield "root", case["root"], c1w8.rope_root(cos, sin).hex()
    x = wide("rope/" + name, (len(case["at"]), 3, dim), 0)
    x[:, :2] = op.rotate(x[:, :2], cos[case["at"]], sin[case["at"]])
    yield "y", case["y"], bits(x)


def attention(case, name):
    heads, kv, dim = 4, 2, case["head_dim"]
    keys, start = case["keys"], case["start"]
    x = wide("attention/" + name, (keys, heads + 2 * kv, dim), 1)
    q, k, v = x[start:, :heads], x[:, heads : heads + kv].astype(np.float16), x[:, heads + kv :].astype(np.float16)
    last = np.arange(start, keys)
    first = np.maximum(0, last - case["window"] + 1) if case["window"] else 0 * last
    if case["encoder"]:
        last = 0 * last + keys - 1
    yield "y", case["y"], bits(op.attention(q, k, v, first, last))


def f64(case, name):
    between = lambda key, low, span: np.array([
        struct.unpack("<d", struct.pack("<Q", 1023 + (r >> 52) % span - low << 52 | r & (1 << 52) - 1))[0]
        for r in struct.unpack("<400Q", stream(key, 3200))])
    if name == "log":
        x = between("f64/log", 54, 60)
        found = {"y": floats.log(x)}
    elif name == "pow":
        x = between("f64/base", 0, 24).astype(F32).astype(F64)
        found = {"y": np.array([floats.pow(b, -F64(i % 127 + 1) / 128) for i, b in enumerate(x)])}
    else:
        i = np.arange(1, 400)
        x = between("f64/angle", 30, 50) if name == "angles" else (i * i).astype(F64) * F64(np.pi / 4)
        found = dict(zip(("cos", "sin"), floats.cos_sin(x)))
    yield "x", case["x"], bits(x[:8])
    for key, y in found.items():
        yield key, case[key], bits(y[:8])
        yield f"all {key}", case["all" if key == "y" else f"all {key}"], c1w8.H(y.tobytes()).hex()


def sampler(case, name):
    logits = wide("sampler/" + name, 300, case["exponent"])
    if case["quarters"]:
        logits = (np.sign(logits) * np.floor(np.abs(logits) * F32(4) + F32(0.5))).astype(F32) / F32(4)
    params = c1w8.Params(1, case["temperature"], case["top_k"], case["min_p"])
    seed = c1w8.H(name.encode())
    yield "tokens", case["tokens"], [c1w8.choose(logits, t, params, seed) for t in range(16)]


def hashes(case, name):
    out = c1w8.Output(case["input_tokens"], case["tokens"], case["text"].encode(), finish(case["finish"]))
    yield "output_hash", case["output_hash"], c1w8.output_hash(out).hex()
    yield "input_hash", case["input_hash"], c1w8.input_hash(name.encode()).hex()
    yield "chat_hash", case["chat_hash"], c1w8.input_hash(name.encode(), chat=True).hex()
    yield "params", case["scale of params"], c1w8.scale_params(params_of(case["params"])).hex()


def bound(case, _):
    genesis, requester, model, executor, voter, acc, later, given, output, top = (bytes([n]) * 32 for n in range(1, 11))
    job = c1w8.job_id(genesis, requester, int(case["count"]), model, given, c1w8.Params(7))
    e = c1w8.execution(genesis, job, case["attempt"], case["block"], acc, executor, model)
    claim = c1w8.B("assay/v2/claim", e)
    root = c1w8.bound_root(claim, top)
    seal = c1w8.B("assay/v2/seal", claim, executor, root)
    seats = [bytes([100 + seat]) * 32 for seat in range(case["seats"])]
    v = c1w8.drawn_seats(claim, case["tranche"], case["block"], later, output, seal, seats)
    dispute = c1w8.B("assay/v2/dispute", claim)
    found = {
        "job": job, "execution": e, "seed": c1w8.B("assay/v2/seed", e), "claim": claim, "T1": root, "seal": seal, "V": v,
        "vote": c1w8.B("assay/v2/vote", v, voter, root), "dispute": dispute,
        "T2": c1w8.dispute_root(dispute, case["round"], top)}
    for name, hash in found.items():
        yield name, case[name], hash.hex()


# ── models ───────────────────────────────────────────────────────────────────


def finish(said):
    return said if isinstance(said, str) else said["failed"]


def params_of(said):
    numbers = [said[key] for key in ("max_tokens", "temperature", "top_k", "min_p")]
    return c1w8.Params(*numbers, [s.encode() for s in said["stop"]])


def output_of(said):
    return c1w8.Output(said["input_tokens"], said["tokens"], said["text"].encode(), finish(said["finish"]))


def tokens_of(said):
    return [None if t == "-" else bytes.fromhex(t) for t in said.split(" ")]


def read_folder(path):
    """The bundled model, as its folder has it."""
    data = (path / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    kinds = {"I8": np.int8, "F16": np.float16, "F32": F32}
    raw = {}
    for name, t in header.items():
        begin, end = (8 + length + at for at in t["data_offsets"])
        raw[name] = np.frombuffer(data[begin:end], kinds[t["dtype"]]).reshape(t["shape"])
    scale = "_scale"
    tensors = {
        name: op.Matrix(t, raw[name + scale]) if t.dtype == np.int8 else t
        for name, t in raw.items() if not name.endswith(scale)}
    return json.loads((path / "manifest.json").read_bytes())["manifest"], tensors


def model(golden, name):
    """Checks of a whole model: its identity, its rows, its runs, what is found of claims."""
    said = golden["model"]
    if name == "assay-demo":
        manifest, tensors = read_folder(GOLDEN.parents[3] / "demo-model" / "assay-demo")
    else:
        manifest = said["manifest"]
        tensors = folder.golden_weights(manifest["numbers"], said["seed"], said["poison"])
        yield "weights_root", said["weights_root"], c1w8.H(folder.weights_file(tensors)).hex()
    identity = folder.model_id(manifest, tensors)
    yield "model_id", said["model_id"], "0x" + identity.hex()
    if "encoder" in manifest["numbers"]:
        for key, text in golden["vectors"].items():
            yield key, text["vector"], bits(c1w8.encode(manifest["numbers"]["encoder"], tensors, text["tokens"]))
        return
    made = c1w8.Model(manifest["numbers"]["decoder"], tensors, tokens_of(said["tokens"]), manifest["prompt_overhead"])
    yield "rope_root", manifest["rope_root"], "0x" + c1w8.rope_root(made.cos, made.sin).hex()

    layers = LAYERS.get(name)
    if layers:
        rows = made.forward(layers["tokens"], made.cache())
        all = np.concatenate(rows.residual + [rows.norm, made.logits(rows.norm)], 1)
        for i, row in enumerate(layers["rows"]):
            yield f"layers, row {i}", row, bits(all[i])

    done = {}
    known = golden.get("known answer")
    for key, said in (list(golden["runs"].items()) + ([("known answer", known)] if known else [])):
        params, seed = params_of(said["params"]), bytes.fromhex(said["seed"])
        run = done[key] = c1w8.execute(made, len(said["input"].encode()), said["prompt"], params, seed)
        yield f"{key}: output", output_of(said["output"]), run.output
        yield f"{key}: output hash", said["output"]["hash"], c1w8.output_hash(run.output).hex()
        yield f"{key}: trace root", said["trace_root"], run.trace_root.hex()
    if known:
        run = done["known answer"]
        answer = c1w8.D("assay/v1/known-answer", c1w8.output_hash(run.output) + run.trace_root)
        yield "known answer", known["answer"], answer.hex()
    for key, claims in golden.get("rejected", {}).items():
        for claim, said in claims.items():
            found = c1w8.finding(made, golden["runs"][key]["prompt"], done[key], output_of(said["claim"]))
            yield f"{key}: {claim}", ("reject", said["position"], bytes.fromhex(said["prefix_root"])), found


# ── the fused multiply-add, against exact arithmetic ─────────────────────────


def rounded(x):
    """A positive exact number to f32, ties to even."""
    if x == 0:
        return 0.0
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    if x < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - 23, -149)
    value = round(x / unit) * unit
    return np.inf if value >= Fraction(2) ** 128 else float(value)


def fused(_):
    """20 000 random triples: any bits, sums that nearly cancel, results that are subnormal or halfway."""
    random.seed(1)
    any_float = lambda: float(np.uint32(random.getrandbits(32)).view(F32))
    wrong = 0
    triples = []
    while len(triples) < 20_000:
        a, b, c = any_float(), any_float(), any_float()
        kind = len(triples) % 4
        if kind == 1:
            c = float(F32(-a * b * (1 + random.randint(-2, 2) * 2.0**-24)))
        elif kind == 2:
            a, b = (float(F32(np.ldexp(np.frexp(v)[0], random.randint(-76, -70)))) for v in (a, b))
            c = float(F32(np.ldexp(random.getrandbits(24), -149)))
        elif kind == 3:
            c = float(F32(np.ldexp(a * b, random.choice((-25, -24, 24, 25, 48)))))
        if all(np.isfinite((a, b, c))):
            triples.append((a, b, c))
    found = floats.fma(*(np.array(x, F32) for x in zip(*triples)))
    for (a, b, c), y in zip(triples, found):
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        wrong += rounded(abs(exact)) != abs(float(y)) or (exact != 0 and (exact < 0) != bool(np.signbit(y)))
    yield "fma is rounded once", 0, wrong


OPERATIONS = {f.__name__: f for f in (linear, embedding, norm, functions, quantiser, rope, attention, f64, sampler, hashes, bound)}


def main(names):
    passed = failed = 0
    work = [("fma", fused(None))]
    for path in sorted(GOLDEN.glob("*.json")):
        if path.stem == "layers":
            continue
        golden = json.loads(path.read_text())
        if path.stem in OPERATIONS:
            work += [(f"{path.stem}/{case}", OPERATIONS[path.stem](said, case)) for case, said in golden.items()]
        else:
            work.append((path.stem, model(golden, path.stem)))
    for where, results in work:
        if names and where.split("/")[0] not in names:
            continue
        for what, expected, found in results:
            if expected == found:
                passed += 1
            else:
                failed += 1
                print(f"FAIL {where}: {what}\n  golden {str(expected)[:300]}\n  found  {str(found)[:300]}")
    print(f"checks: {passed} passed, {failed} failed")
    return failed != 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
