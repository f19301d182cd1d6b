"""Computes the golden vectors of ../golden from the specification's text and compares them bit for bit.

    python check.py [FILE[/CASE]…]        (scripts/spec-test.sh brings what it needs)

A case is one of a file of operations, or a run of a model's file.
"""

import json
import random
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

import c2
import floats
import folder
import operations as op
import template
import trace
from floats import F32, F64
from golden import bits, golden_weights, matrix, stream, unbits, wide
from scale import B, D, H
from tokenizer import PATTERNS, Tokenizer

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
DEMO = GOLDEN.parents[3] / "demo-model" / "assay-demo"


def read(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


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
    m = matrix(key + "matrix", case["n"], case["k"], case["format"])
    yield "y", case["y"], bits(op.linear(x, m, bias))
    if "fine" in case:
        yield "fine", case["fine"], bits(op.fine(x, m, bias))


def embedding(case, name):
    yield "y", case["y"], bits(op.embedding(matrix(f"embedding/{name}", case["n"], case["k"], case["format"]), case["ids"]))


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


def quantizer(case, name):
    n, k, group = case["n"], case["k"], case["group"]
    x = np.stack([wide(f"quantizer/{row}", k, row % 40 - 30) for row in range(n)])
    x[0, :31] = np.arange(31) - 15.5
    x[0, 31] = 127
    x[1, :group] = 0
    m = folder.quantize(x, group)
    yield "first w", case["first w"], bits(m.w[:4])
    yield "first s", case["first s"], bits(m.s[:4])
    yield "w", case["w"], H(m.w.tobytes()).hex()
    yield "s", case["s"], H(m.s.tobytes()).hex()


def rope(case, name):
    dim, scaling = case["head_dim"], case["scaling"]
    f, _ = op.rope_frequencies(case["theta"], scaling, dim)
    yield "frequencies", case["frequencies"], bits(f)
    cos, sin = op.rope_tables(case["theta"], scaling, dim, case["positions"])
    yield "root", case["root"], c2.rope_root(cos, sin).hex()
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
        multiples = {"quarters": i * i, "multiples": i}
        x = between("f64/angle", 30, 50) if name == "angles" else multiples[name].astype(F64) * F64(np.pi / 4)
        found = dict(zip(("cos", "sin"), floats.cos_sin(x)))
    yield "x", case["x"], bits(x[:8])
    for key, y in found.items():
        yield key, case[key], bits(y[:8])
        yield f"all {key}", case["all" if key == "y" else f"all {key}"], H(y.tobytes()).hex()


def sampler(case, name):
    if name == "noise":
        all = np.concatenate([c2.noise(H(b"noise"), t, 300) for t in range(16)])
        yield "first", case["first"], all[:8].tolist()
        yield "all", case["all"], H(all.astype("<i8").tobytes()).hex()
        return
    logits = wide("sampler/" + name, 300, case["exponent"])
    if case["quarters"]:
        logits = (np.sign(logits) * np.floor(np.abs(logits) * F32(4) + F32(0.5))).astype(F32) / F32(4)
    params = c2.Params(1, case["temperature"], case["top_k"], case["min_p"])
    seed = H(name.encode())
    allowed = np.arange(300) % case["every"] == 0 if "every" in case else None
    yield "tokens", case["tokens"], [c2.choose(logits, t, params, seed, allowed) for t in range(16)]


def hashes(case, name):
    out = c2.Output(case["input_tokens"], case["tokens"], case["text"].encode(), finish(case["finish"]))
    yield "output_hash", case["output_hash"], c2.output_hash(out).hex()
    yield "input_hash", case["input_hash"], c2.input_hash(name.encode()).hex()
    yield "chat_hash", case["chat_hash"], c2.input_hash(name.encode(), chat=True).hex()
    yield "params", case["scale of params"], c2.scale_params(params_of(case["params"])).hex()


def bound(case, _):
    genesis, requester, model, executor, voter, acc, later, given, output, top = (bytes([n]) * 32 for n in range(1, 11))
    job = c2.job_id(genesis, requester, int(case["count"]), model, given, c2.Params(7), case.get("listing"))
    e = c2.execution(genesis, job, case["attempt"], case["block"], acc, executor, model)
    claim = B("assay/v2/claim", e)
    root = c2.bound_root(claim, top)
    seal = B("assay/v2/seal", claim, executor, root)
    seats = [bytes([100 + seat]) * 32 for seat in range(case["seats"])]
    v = c2.drawn_seats(claim, case["tranche"], case["block"], later, output, seal, seats)
    dispute = B("assay/v2/dispute", claim)
    found = {
        "job": job, "execution": e, "seed": B("assay/v2/seed", e), "claim": claim, "T1": root, "seal": seal, "V": v,
        "vote": B("assay/v2/vote", v, voter, root), "dispute": dispute, "T2": c2.dispute_root(dispute, case["round"], top)}
    for name, hash in found.items():
        yield name, case[name], hash.hex()


def traces(case, name):
    """The trace of rows that any bytes make."""
    layers, rows, width, kv = (case[key] for key in ("layers", "rows", "width", "kv width"))
    floats_of = lambda part, w, e: wide(f"traces/{name}/{part}", (rows, w), e)
    halves = lambda part: np.frombuffer(stream(f"traces/{name}/{part}", 2 * rows * 2 * kv), np.float16).reshape(rows, 2 * kv)
    made = trace.Trace(layers)
    made.push(c2.Rows(
        [floats_of(f"x/{l}", width, 0) for l in range(layers)], [halves(f"kv/{l}") for l in range(layers)],
        floats_of("n", width, 0), None), rows)
    yield "leaves", case["leaves"], [hash.hex() for hash in made.leaves()]
    yield "root", case["root"], made.root().hex()
    for said in case["paths"]:
        at = trace.index(rows, layers, said["chunk"], said.get("layer"), said["kind"])
        path = [bytes.fromhex(hash) for hash in said["path"]]
        yield f"index of {said}", said["index"], at
        yield f"path of {at}", path, trace.path(made.leaves(), at)
        yield f"root of {at}", made.root(), trace.root_of(rows, layers, at, made.leaves()[at], path)


# ── text and files ───────────────────────────────────────────────────────────


def tokenizer_of(case):
    """A case's tokenizer: a file, or parts that differ from those of another case."""
    if "tokenizer" in case:
        return Tokenizer(case["tokenizer"])
    file = json.loads(read("tokenizers")[case["like"]]["tokenizer"])
    model = file["model"]
    for part, value in case.get("parts", {}).items():
        gone = lambda token: any(symbol in token for symbol in value)
        if part == "vocab":
            model["vocab"] |= value
        elif part == "without":
            model["vocab"] = {token: id for token, id in model["vocab"].items() if not gone(token)}
            model["merges"] = [pair for pair in model["merges"] if not any(map(gone, pair))]
        elif part == "ignore_merges":
            model[part] = value
        else:
            file[part] = value
    return Tokenizer(json.dumps(file))


def tokenizers(case, _):
    made = tokenizer_of(case)
    for step in made.pre:
        if step["type"] == "Split":
            yield "pattern", True, step["pattern"]["Regex"] in PATTERNS.values()
    shown = lambda ids: "refused" if ids is None else ids
    if "bytes" in case:
        yield "bytes", case["bytes"], " ".join("-" if not b else b.hex() for b in made.bytes())
    for said in case["texts"]:
        ids = made.marked(said["text"]) if made.words else made.encode(said["text"])
        yield repr(said["text"]), said["tokens"], shown(ids)
    for said in case.get("written", []):
        data = b"".join(made.bytes()[id] or b"" for id in said["tokens"])
        yield f"text of {said['tokens']}", said["text"], c2.text(data, made.strips).decode()


def templates(case, _):
    for said in case["conversations"]:
        chat = json.loads(said["chat"])
        try:
            found = {"rendered": template.render(case["template"], chat)}
        except template.Refused as refused:
            failure, text = refused.args
            found = {"failure": failure, "text": text}
        yield said["chat"], {key: said[key] for key in said if key != "chat"}, found


def numbers(case, name):
    yield name, case, folder.number(unbits(name)[0])


def configs(case, _):
    yield "config.json", case["config.json"], folder.config_file(case["architecture"], case["numbers"]).decode()
    yield "scale of numbers", case["scale of numbers"], folder.scale_numbers(case["numbers"]).hex()


def limits(case, name):
    yield "max_text_bytes", case["max_text_bytes"], c2.max_text_bytes(int(name))


# ── models ───────────────────────────────────────────────────────────────────


def finish(said):
    return said if isinstance(said, str) else said["failed"]


def params_of(said):
    numbers = [said[key] for key in ("max_tokens", "temperature", "top_k", "min_p")]
    return c2.Params(*numbers, [s.encode() for s in said["stop"]])


def output_of(said):
    return c2.Output(said["input_tokens"], said["tokens"], said["text"].encode(), finish(said["finish"]))


def identity(golden, name):
    """Manifest, tensors, and what is checked of them."""
    said, checks = golden["model"], []
    if name == "assay-demo":
        file = (DEMO / "manifest.json").read_bytes()
        whole = json.loads(file)
        manifest, known = whole["manifest"], whole["known_answer"]
        tensors = folder.read_weights((DEMO / "model.safetensors").read_bytes())
        checks.append(("manifest.json", file, folder.manifest_file(manifest, tensors, known)))
    else:
        manifest = said["manifest"]
        tensors = golden_weights(manifest["numbers"], said)
        checks.append(("weights_root", said["weights_root"], H(folder.weights_file(tensors)).hex()))
        file = folder.manifest_file(manifest, tensors, said["known_answer"])
        checks.append(("manifest.json", said["manifest.json"], H(file).hex()))
    checks.append(("model_id", said["model_id"], "0x" + folder.model_id(manifest, tensors).hex()))
    config = folder.config_file(manifest["architecture"], manifest["numbers"])
    checks.append(("config.json", manifest["config_root"], "0x" + H(config).hex()))
    return manifest, tensors, checks


def texts(said, name):
    """The tokenizer and the template of a golden model, as bytes."""
    if name == "assay-demo":
        return [(DEMO / file).read_bytes() for file in ("tokenizer.json", "chat_template.jinja")]
    return read("tokenizers")[said["tokenizer"]]["tokenizer"].encode(), said["template"].encode()


def model(golden, name, only=()):
    """Checks of a whole model: its identity, its rows, its runs, what is found of claims; or `only` those of some runs."""
    said = golden["model"]
    manifest, tensors, checks = identity(golden, name)
    yield from checks
    tokenizer_file, source = texts(said, name)
    yield "tokenizer_root", manifest["tokenizer_root"], "0x" + H(tokenizer_file).hex()
    yield "template_root", manifest["template_root"], "0x" + H(source).hex()
    if "encoder" in manifest["numbers"]:
        for key, text in golden["vectors"].items():
            yield key, text["vector"], bits(c2.encode(manifest["numbers"]["encoder"], tensors, text["tokens"]))
        known = said["known_answer"]
        vector = c2.encode(manifest["numbers"]["encoder"], tensors, Tokenizer(tokenizer_file).marked(known["prompt"]))
        yield "known answer", known["answer"], "0x" + D("assay/v2/known-answer", vector.astype("<f4").tobytes()).hex()
        refused = c2.refused(manifest["numbers"], "not_generative")
        for key, asked in golden["runs"].items():
            yield from ran(key, asked, refused)
        yield from rejections(golden, None, {key: refused for key in golden["runs"]})
        return
    tokenizer, source = Tokenizer(tokenizer_file), source.decode()
    yield "prompt_overhead", manifest["prompt_overhead"], template.overhead(source, tokenizer)
    made = c2.Model(manifest["numbers"]["decoder"], tensors, tokenizer.bytes(), manifest["prompt_overhead"], tokenizer.strips)
    yield "rope_root", manifest["rope_root"], "0x" + c2.rope_root(made.cos, made.sin).hex()

    layers = read("layers").get(name)
    if layers and not only:
        rows = made.forward(layers["tokens"], made.cache())
        all = np.concatenate(rows.residual + [rows.norm, made.logits(rows.norm)], 1)
        for i, row in enumerate(layers["rows"]):
            yield f"layers, row {i}", row, bits(all[i])

    done = {}
    known = golden.get("known answer")
    asked_for = lambda runs: {key: of_run for key, of_run in runs.items() if not only or key in only}
    for key, asked in asked_for(golden["runs"] | ({"known answer": known} if known else {})).items():
        prompt, refusal = prompt_of(tokenizer, source, asked["input"])
        yield f"{key}: prompt", asked["prompt"], prompt
        if refusal:
            done[key] = c2.refused(manifest["numbers"], *refusal)
        else:
            params, seed = params_of(asked["params"]), bytes.fromhex(asked["seed"])
            # Row by row, the longest answers would take a minute.
            guess = asked["output"]["tokens"] if len(asked["output"]["tokens"]) > 100 else []
            done[key] = c2.execute(made, len(asked["input"].encode()), asked["prompt"], params, seed, guess)
        yield from ran(key, asked, done[key])
    if "known answer" in done:
        run = done["known answer"]
        answer = D("assay/v2/known-answer", c2.output_hash(run.output) + run.trace_root)
        yield "known answer", known["answer"], answer.hex()
    yield from rejections(golden, made, done)
    for key, chunks in asked_for(golden.get("cells", {})).items():
        for asked in chunks:
            yield from cells(made, golden["runs"][key], asked)


def prompt_of(tokenizer, source, said):
    """The prompt of a text, and why there is none: the failure and its text."""
    try:
        prompt = tokenizer.encode(template.render(source, template.conversation(said)))
    except template.Refused as refused:
        return None, refused.args
    return prompt, ("template",) if prompt is None else ("no_tokens",) if not prompt else None


def ran(key, asked, run):
    """What a run gave."""
    yield f"{key}: output", output_of(asked["output"]), run.output
    yield f"{key}: output hash", asked["output"]["hash"], c2.output_hash(run.output).hex()
    yield f"{key}: trace root", asked["trace_root"], run.trace_root.hex()


def rejections(golden, made, done):
    """What is found of other claims than a run's output."""
    for key, claims in golden.get("rejected", {}).items():
        if key not in done:
            continue
        for claim, asked in claims.items():
            found = c2.finding(made, golden["runs"][key]["prompt"], done[key], output_of(asked["claim"]))
            yield f"{key}: {claim}", ("reject", asked["position"], bytes.fromhex(asked["prefix_root"])), found


def cells(made, run, said):
    """6.3: a chunk from committed data alone."""
    layers, fed = made.numbers["num_hidden_layers"], run["prompt"] + run["output"]["tokens"][:-1]
    cache = made.cache()
    rows = made.forward(fed, cache)
    whole = trace.Trace(layers)
    whole.push(rows, len(fed))
    top, chunk = bytes.fromhex(run["trace_root"]), said["chunk"]
    first = chunk * trace.CHUNK
    yield "leaves", said["leaves"], [hash.hex() for hash in whole.chunk(chunk)]
    kv = [b"".join(whole.kv[layer][:first]) for layer in range(layers)]
    yield "spot check", said["leaves"], [hash.hex() for hash in c2.spot_check(made, fed, chunk, kv)]
    for layer in range(layers):
        before = rows.residual[layer - 1] if layer else made.embedded(fed)
        found = c2.cell(made, layer, before[first : first + trace.CHUNK], cache.k[layer][:first], cache.v[layer][:first])
        yield f"cell {layer}", said["leaves"][2 * layer : 2 * layer + 2], [hash.hex() for hash in found[:2]]
    cells_before = [(c, layer, "kv") for c in range(chunk) for layer in range(layers)]
    own = [(chunk, layer, kind) for layer in range(layers) for kind in ("x", "kv")] + [(chunk, None, "n")]
    places = [trace.index(len(fed), layers, c, layer, kind) for c, layer, kind in cells_before + own]
    hashes = [trace.kv_leaf(whole.kv[layer][c * trace.CHUNK : (c + 1) * trace.CHUNK]) for c, layer, _ in cells_before]
    hashes += [bytes.fromhex(hash) for hash in said["leaves"]]
    proof = [bytes.fromhex(hash) for hash in said["proof"]]
    yield "proof", proof, trace.proof(whole.leaves(), places)
    yield "root", top, trace.root_of_all(len(fed), layers, list(zip(places, hashes)), proof)


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


KINDS = {f.__name__: f for f in (
    linear, embedding, norm, functions, quantizer, rope, attention, f64, sampler, hashes, bound, traces, tokenizers, templates,
    numbers, configs, limits)}


def checks(stem, cases=()):
    """(where, checks) of a file, or of these cases of it."""
    golden = read(stem)
    if stem in KINDS:
        return [(f"{stem}/{case}", KINDS[stem](said, case)) for case, said in golden.items() if not cases or case in cases]
    return [(stem, model(golden, stem, cases))]


def main(names):
    """With `--first`, ends at the first check that fails."""
    first, files = "--first" in names, {}
    for name in names:
        if name != "--first":
            stem, _, case = name.partition("/")
            files.setdefault(stem, []).extend([case] if case else [])
    passed = failed = 0
    work = [] if files else [("fma", fused(None))]
    if not files:
        files = {path.stem: [] for path in sorted(GOLDEN.glob("*.json")) if path.stem != "layers"}
    for where, results in work + [check for stem, cases in files.items() for check in checks(stem, cases)]:
        for what, expected, found in results:
            if expected == found:
                passed += 1
            else:
                failed += 1
                print(f"FAIL {where}: {what}\n  golden {str(expected)[:300]}\n  found  {str(found)[:300]}")
                if first:
                    return True
    print(f"checks: {passed} passed, {failed} failed")
    return failed != 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
