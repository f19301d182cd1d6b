"""Shows that the golden vectors notice misreadings of the specification: each is put into this implementation, and a vector
must fail.

    python mutants.py [WORD…]      only mutants whose name has one of the words
"""

import contextlib
import importlib
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

# Each misreading has a process of its own, which finds these imported. A product of small matrices needs one thread.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
for package in ("blake3", "jinja2", "numpy", "regex"):
    importlib.import_module(package)

SPEC = Path(__file__).resolve().parent
FINITE = ("operations.py", "    d = np.abs(x).max(2)", "    x = np.where(np.isfinite(x), x, F32(0))\n    d = np.abs(x).max(2)")

# What is misread; the golden file, or the case of one, that must notice; replacements (file, text, other text).
MUTANTS = [
    # ── 2: operations ──
    ("the even column is the high half", "linear", ("operations.py", "[packed & 15, packed >> 4]", "[packed >> 4, packed & 15]")),
    ("zero points are not padded to bytes", "linear", (
        "operations.py", "z = nibbles(self.zero[rows], self.s.shape[1])",
        "z = nibbles(self.zero.reshape(1, -1), self.zero.size * 2)[:, : self.s.size].reshape(self.s.shape)[rows]")),
    ("zero points are not subtracted", "linear", ("operations.py", "return w.astype(np.int32) - np.repeat", "return w.astype(np.int32) - 0 * np.repeat")),
    ("an index into the table is signed", "linear", ("operations.py", ".astype(np.int32)[w]", ".astype(np.int32)[w ^ 8]")),
    ("a table is unsigned", "linear", ("operations.py", "self.table.astype(np.int32)", "self.table.view(np.uint8).astype(np.int32)")),
    ("d of a short group is the whole one's before it", "linear", (
        "operations.py", "    return d, np.where", "    d = np.array(d)\n    d[:, -1] = d[:, -2] if d.shape[1] == 2 else d[:, -1]\n    return d, np.where")),
    ("a short group belongs to the one before", "linear", (
        "operations.py", "    d = np.abs(x).max(2) / F32(127)\n",
        "    d = np.abs(x).max(2) / F32(127)\n    d[:, -2:] = d[:, -2:].max(1, keepdims=True)\n")),
    ("q is not bounded", "linear", ("operations.py", "np.clip(np.rint(x / d[..., None]), -127, 127)", "np.rint(x / d[..., None])")),
    ("halves are rounded away from zero", "linear", (
        "operations.py", "np.rint(x / d[..., None])", "np.trunc(x / d[..., None] + np.copysign(F32(0.5), x))")),
    ("S is multiplied by the weights' scale first", "linear", (
        "operations.py", "acc = fma(total, s[:, g] * d[:, g : g + 1], acc)", "acc = fma(total * s[:, g], d[:, g : g + 1] + 0 * total, acc)")),
    ("no fma in linear", "linear", ("operations.py", "acc = fma(total, s[:, g] * d[:, g : g + 1], acc)", "acc = total * (s[:, g] * d[:, g : g + 1]) + acc")),
    ("fine has groups of 32", "linear", (
        "operations.py", "    grouped = m.in_groups(x)\n", "    grouped = x.reshape(len(x), -1, 32)\n")),
    ("an embedding's scale is that of 32 columns", "embedding", (
        "operations.py", "np.repeat(m.s[tokens].astype(F32), m.group, 1)", "np.tile(m.s[tokens].astype(F32), m.group)")),
    ("a window has one key more", "tiny-window/long", ("c2.py", 'last - n["sliding_window"] + 1', 'last - n["sliding_window"]')),
    ("tiles begin at the first key seen", "attention", ("operations.py", "for tile in range(0, keys, TILE)", "for tile in range(int(first[0]), keys, TILE)")),
    ("llama3 divides by the factor first", "rope", ("operations.py", "((1 - s) * g) / factor", "(1 - s) * (g / factor)")),
    ("yarn's upper border is a pair's number", "rope", ("operations.py", "F64(head_dim - 1)", "F64(head_dim // 2 - 1)")),
    ("yarn's lower border has no bound", "rope", ("operations.py", "max(low, F64(0))", "low")),
    ("yarn's upper border has no bound", "rope", ("operations.py", "min(high, F64(head_dim - 1))", "high")),
    ("yarn's borders may be equal", "rope", ("operations.py", "high + 0.001 if low == high else high", "high")),
    ("excepted values of a quarter turn", "f64", ("floats.py", "(0x4002D97C, 0x3FF921FB)", "(0x4002D97C, 0)")),
    ("excepted values of three quarters", "f64", ("floats.py", "(0x4015FDBC, 0x4012D97C)", "(0x4015FDBC, 0)")),
    ("excepted values of a whole turn", "f64", ("floats.py", "(0x401C463B, 0x401921FB)", "(0x401C463B, 0)")),
    # ── 3.3: rows that fail ──
    ("logits are never looked at", "tiny-overflow-logits/as the prompt's last token", ("c2.py", "if logits is None or not finite_logits(logits):", "if logits is None:")),
    ("logits of every row are looked at", "tiny-overflow-logits/inside the prompt", (
        "c2.py", '        cache.length += len(tokens)\n', '        self.look("logits", self.logits(norm), finite)\n        cache.length += len(tokens)\n')),
    ("a prefix never looks at logits", "tiny-overflow-logits/in the answer", ("c2.py", "for i in range(min(len(tokens) + 1, chose)):", "for i in ():")),
    ("a prefix looks at logits behind the end", "tiny-overflow-logits/at the end of the answer", (
        "c2.py", "for i in range(min(len(tokens) + 1, chose)):", "for i in range(len(tokens) + 1):")),
    ("a prefix does not look where the run failed", "tiny-overflow-logits/in the answer", (
        "c2.py", 'chose = len(honest.tokens) + (honest.finish == "non_finite")', "chose = len(honest.tokens)")),
    ("keys in f16 are not looked at", "tiny-overflow-k/input 36", ("c2.py", 'check("half k", new_k.astype(np.float16))', "new_k.astype(np.float16)")),
    ("a is not looked at", "tiny-overflow-a/input 24", ("c2.py", 'check("a", attention(q, k, v, first, last))', "attention(q, k, v, first, last)"), FINITE),
    ("y is not looked at", "tiny-overflow-y/input 12", ("c2.py", 'check("y", ', "("), FINITE),
    # ── 5: runs ──
    ("input_tokens is P", "tiny-fallback/a space first", ("c2.py", "min(len(prompt), model.context, size + model.overhead)", "len(prompt)")),
    ("input_tokens is not bounded by C", "tiny-llama/prompt longer than the context", ("c2.py", "min(len(prompt), model.context, size + model.overhead)", "min(len(prompt), size + model.overhead)")),
    ("input_tokens is not bounded by the bytes", "tiny-fallback/a space first", ("c2.py", "min(len(prompt), model.context, size + model.overhead)", "min(len(prompt), model.context)")),
    ("the first stop string of the list wins", "tiny-llama/two stops", ("c2.py", "said[: min(found)]", "said[: found[0]]")),
    ("a text has no limit", "tiny-long/a character across 1024 bytes", ("c2.py", "if len(said) > limit:", "if False:")),
    ("a text's limit is 16 384 bytes", "limits", ("c2.py", "return min(max(16 * max_tokens, 1_024), 65_536)", "return 16_384")),
    ("a text's limit is not bounded below", "limits", ("c2.py", "max(16 * max_tokens, 1_024)", "16 * max_tokens")),
    ("a stop string behind the limit counts", "tiny-long/a stop behind the border", ("c2.py", "if found and min(found) <= limit:", "if found:")),
    ("a stop string at the limit does not count", "tiny-long/a stop at the border", ("c2.py", "min(found) <= limit", "min(found) < limit")),
    ("a text is cut within a character", "tiny-long/a character across 1024 bytes", ("c2.py", 'return "length", text(said[:limit])', 'return "length", said[:limit]')),
    ("the end token is no token", "tiny-llama/eos", (
        "c2.py", "            return Run(Output(count, tokens, said, finish), trace.root())",
      '            return Run(Output(count, tokens[: len(tokens) - (finish == "eos")], said, finish), trace.root())')),
    ("an end token's text is the answer's too", "tiny-refusals/an end token with a text", (
        "c2.py", "text(data(tokens[:-1]), model.strips)", "text(data(tokens), model.strips)")),
    ("the last token is no end", "tiny-llama/eos as the last token", (
        "c2.py", 'if tokens[-1] in model.numbers["eos_token_ids"]:',
        'if tokens[-1] in model.numbers["eos_token_ids"] and len(tokens) < params.max_tokens:')),
    ("a stop string does not count with the last token", "tiny-llama/stop with the last token", (
        "c2.py", "if found and min(found) <= limit:", "if found and min(found) <= limit and len(tokens) < params.max_tokens:")),
    ("a text is not cut with the last token", "tiny-long/both limits", (
        "c2.py", "if len(said) > limit:", "if len(said) > limit and len(tokens) < params.max_tokens:")),
    ("a space at the beginning stays", "tiny-fallback/a space first", ("c2.py", "data = data[1:] if strips and", "data = data[1:] if False and")),
    ("min_p leaves the border out", "sampler", ("c2.py", "keep &= l * 65536 >= ", "keep &= l * 65536 > ")),
    ("the largest logit wins before it is rounded", "sampler", ("c2.py", "ids[l.argmax()]", "ids[logits[ids].argmax()]")),
    ("top_k orders logits before they are rounded", "sampler", ("c2.py", "np.arange(len(l)), -l)", "np.arange(len(l)), -logits[ids])")),
    ("min_p's reach is rounded up", "sampler", (
        "c2.py", "-int(q16(log(F64(params.min_p) / F64(65536))))", "-int(np.floor(65536 * log(F64(params.min_p) / F64(65536))))")),
    ("l is rounded down", "sampler", ("c2.py", "q16(logits[ids].astype(F64))", "np.floor(65536 * logits[ids].astype(F64)).astype(np.int64)")),
    ("noise is rounded down", "sampler", ("c2.py", "q16(-log(-log(u)))", "np.floor(65536 * -log(-log(u))).astype(np.int64)")),
    ("min_p looks at tokens that may not come", "sampler", ("c2.py", "int(l.max())", "int(q16(logits.astype(F64)).max())")),
    ("l has no bounds", "sampler", (
        "c2.py", "np.clip(np.rint(65536 * np.asarray(x, F64)), -(2**31), 2**31 - 1)", "np.rint(65536 * np.asarray(x, F64))")),
    ("a refusal's text is not cut", "tiny-refusals/a long exception", ("c2.py", "[:MAX_REFUSAL_BYTES]", "")),
    ("a refusal's text is cut within a character", "tiny-refusals/a long exception", (
        "c2.py", "text(said.encode()[:MAX_REFUSAL_BYTES])", "said.encode()[:MAX_REFUSAL_BYTES]")),
    ("an encoder's refusal has layers", "tiny-bert", (
        "c2.py", 'if "decoder" in numbers else 0', 'if "decoder" in numbers else numbers["encoder"]["num_hidden_layers"]')),
    ("a prompt that fills the context has rows", "tiny-refusals/a prompt that fills the context", (
        "c2.py", "if not 0 < len(prompt) < model.context:", "if not prompt:")),
    ("a listing is an option", "bound", ("c2.py", "else u32(listing)", 'else b"\\1" + u32(listing)')),
    # ── 6: trace ──
    ("values come before keys", "tiny-llama/31 rows", ("c2.py", "kv.append(np.concatenate([k, v], 1)", "kv.append(np.concatenate([v, k], 1)")),
    ("keys are those before the rotation", "tiny-llama/31 rows", ("c2.py", "return check(\"x\", x + apply(y, \"mlp.down_proj\")), new_k, new_v", "return check(\"x\", x + apply(y, \"mlp.down_proj\")), raw, new_v"),
     ("c2.py", "        if n[\"qk_norm\"]:\n", "        raw = new_k.astype(np.float16)\n        if n[\"qk_norm\"]:\n")),
    ("a chunk's kv leaves come before its others", "traces", ("trace.py", "for f, rows in ((leaf, x), (kv_leaf, kv))", "for f, rows in ((kv_leaf, kv), (leaf, x))")),
    ("a chunk's kv leaves come behind its others", "traces", (
        "trace.py", "        return cells + [leaf", "        cells = cells[::2] + cells[1::2]\n        return cells + [leaf")),
    ("the norm's leaf ends its chunk", "traces", ("trace.py", "[cell for c in chunks for cell in c[:-1]] + [c[-1] for c in chunks]", "[cell for c in chunks for cell in c]")),
    ("kv leaves are made like the others", "traces", ("trace.py", '"assay/v2/trace-kv"', '"assay/v2/trace-leaf"')),
    ("a node without a partner is its own", "traces", ("trace.py", "node(*p) if len(p) == 2 else p[0]", "node(*p) if len(p) == 2 else node(p[0], p[0])")),
    ("layers are counted before rows", "traces", ("trace.py", "u32(rows) + u32(layers)", "u32(layers) + u32(rows)")),
    ("the odd node is left", "traces", ("trace.py", "node(other, hash) if at & 1 else node(hash, other)", "node(hash, other) if at & 1 else node(other, hash)")),
    ("a proof repeats what is known", "tiny-llama/greedy", ("trace.py", "if at ^ 1 not in places and", "if")),
    # ── 8: files ──
    ("0.00001 is written 1e-5", "numbers", ("folder.py", "if not -5 <= exponent < 16", "if not -4 <= exponent < 16")),
    ("1e-6 is written plainly", "numbers", ("folder.py", "if not -5 <= exponent < 16", "if not -6 <= exponent < 16")),
    ("1e15 is written with an exponent", "numbers", ("folder.py", "if not -5 <= exponent < 16", "if not -5 <= exponent < 13")),
    ("1e16 is written plainly", "numbers", ("folder.py", "if not -5 <= exponent < 16", "if not -5 <= exponent < 17")),
    ("an exponent has no plus", "numbers", ("folder.py", "{'+' if exponent > 0 else ''}", "")),
    ("digits are read to f32 at once", "numbers", ("folder.py", "if F32(float(digits)) != v:", "if False:")),
    ("10000.0 is written 10000", "numbers", ("folder.py", "whole[exponent + 1 :] or '0'", "whole[exponent + 1 :]")),
    ("the profile is 1", "tiny-w4", ("folder.py", '{"c2": 2}', '{"c2": 1}')),
    ("U8 is 3", "tiny-w4", ("folder.py", '"U8": 5', '"U8": 3')),
    ("a table is stored behind the zero points' place", "tiny-w4", ("folder.py", 'name + "_table"', 'name + "_ztable"')),
    ("use_sliding_window is always false", "configs", ("folder.py", 'n["sliding_window"] is not None', "False")),
    ("rope_type stands first", "configs", ("folder.py", 'dict(sorted({**parts, "rope_type": scaling}.items()))', '{"rope_type": scaling, **parts}')),
    # ── 4: text ──
    ("a newline at the end of a template stays", "templates", ("template.py", "keep_trailing_newline=False", "keep_trailing_newline=True")),
    ("blocks keep the newline behind them", "templates", ("template.py", "trim_blocks=True", "trim_blocks=False")),
    ("blocks keep the space before them", "templates", ("template.py", "lstrip_blocks=True", "lstrip_blocks=False")),
    ("tojson escapes what is not ASCII", "templates", ("template.py", "ensure_ascii=False, indent=None", "ensure_ascii=True, indent=None")),
    ("texts are escaped", "templates", ("template.py", "autoescape=False", "autoescape=True")),
    ("reasoning is what the message has first", "templates", (
        "template.py", '(m[key] for key in ("reasoning_content", "thinking", "reasoning") if key in m)',
        '(m[key] for key in m if key in ("reasoning_content", "thinking", "reasoning"))')),
    ("tools stand though nobody reads them", "templates", ("template.py", ' and reads(tree, "tools", True)', "")),
    ("a variable that nobody reads is no part", "templates", ("template.py", " and reads(tree, key, True)", "")),
    ("digits are those of decimal numbers", "tokenizers", ("tokenizer.py", r'spans(r"\p{N}", piece)', r'spans(r"\p{Nd}", piece)')),
    ("NFC is that of a newer Unicode", "tokenizers", ("tokenizer.py", "part if NEWER.fullmatch(part) else ", ""),
     ("tokenizer.py", "for part in NEWER.split(text)", "for part in [text]")),
    ("Metaspace writes before every piece", "tokenizers", ("tokenizer.py", 'scheme == "first" and first', 'scheme == "first"')),
    ("Metaspace never cuts", "tokenizers", ("tokenizer.py", 'if step.get("split", True) else [piece]', "if False else [piece]")),
    ("Metaspace writes before ▁ too", "tokenizers", ("tokenizer.py", 'if not piece.startswith("▁") and (', "if (")),
    ("lstrip takes nothing", "tokenizers", ("tokenizer.py", 'if token["lstrip"]:', "if False:")),
    ("rstrip takes nothing", "tokenizers", ("tokenizer.py", 'if token["rstrip"]:', "if False:")),
    ("single words may be parts of words", "tokenizers", ("tokenizer.py", 'if token["single_word"] and', "if False and")),
    ("normalized tokens are looked for first", "tokenizers", ("tokenizer.py", 'if t["normalized"] == normalized}', "if not normalized}")),
    ("the shorter of two added tokens wins", "tokenizers", ("tokenizer.py", "key=lambda c: -len(c.encode())", "key=lambda c: len(c.encode())")),
    ("merges are made from the left", "tokenizers", ("tokenizer.py", "pairs = [(self.ranks[pair], i)", "pairs = [(i, i)")),
    ("merges are made though a piece is a token", "tokenizers", ("tokenizer.py", 'if self.model.get("ignore_merges") and', "if False and")),
    ("case counts in endings", "tokenizers", ("tokenizer.py", 'spans(step["pattern"]["Regex"], piece)', 'spans(step["pattern"]["Regex"].replace("(?i:", "(?:"), piece)')),
    ("later steps see text behind ByteLevel", "tokenizers", (
        "tokenizer.py", 'next += ["".join(ALPHABET[b] for b in part.encode()) for part in parts]', "next += parts"),
     ("tokenizer.py", '        if self.model.get("ignore_merges")',
      '        if not self.fallback:\n            piece = "".join(ALPHABET[b] for b in piece.encode())\n        if self.model.get("ignore_merges")')),
    ("matches in a row are all joined to what follows", "tokenizers", (
        "tokenizer.py", '"MergedWithNext": not match and before is True', '"MergedWithNext": before is True')),
    ("a missing byte is left out", "tokenizers", ("tokenizer.py", "                return None\n", "                pass\n"),
     ("tokenizer.py", "return [self.vocab[part] for part in parts]", "return [self.vocab[part] for part in parts if part in self.vocab]")),
    ("an unfinished character is marked", "tokenizers", ("c2.py", "decode(data, final=False)", "decode(data, final=True)")),
    ("an ending has no prefix", "tokenizers", ("tokenizer.py", 'if at else ""', 'if False else ""')),
    ("accents stay", "tokenizers", ("tokenizer.py", "    if strips:\n", "    if False:\n")),
]


def noticed(vectors, changes):
    """Whether a vector fails, and what the checks say. That the program itself fails shows nothing."""
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()) as said:
        tests = Path(place) / "ocw-inference" / "engine" / "tests"
        here = tests / "spec"
        shutil.copytree(SPEC, here, ignore=shutil.ignore_patterns("__pycache__"))
        (tests / "golden").symlink_to(SPEC.parent / "golden")
        for file, old, new in changes:
            text = (here / file).read_text()
            if old not in text:
                return False, f"{file} no longer has: {old}"
            (here / file).write_text(text.replace(old, new))
        sys.path.insert(0, str(here))
        try:
            importlib.import_module("check").main(["--first", *vectors])
        except Exception:
            print(traceback.format_exc())
    return said.getvalue().startswith("FAIL "), said.getvalue()[-800:]


def main(words):
    chosen = [m for m in MUTANTS if not words or any(word in m[0] for word in words)]
    work = [(sorted({vector for _, vector, *_ in chosen}), [])] + [([vector], changes) for _, vector, *changes in chosen]
    # A fresh process for each, so that none finds the modules of another.
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        (seen, said), *results = pool.starmap(noticed, work, chunksize=1)
    if seen or "0 failed" not in said:
        print(f"without any misreading, the checks fail:\n{said}")
        return True
    missed = [(mutant[0], said) for mutant, (seen, said) in zip(chosen, results) if not seen]
    for name, said in missed:
        print(f"NOT NOTICED: {name}\n{said}")
    print(f"misreadings: {len(chosen) - len(missed)} of {len(chosen)} noticed")
    return bool(missed) or not chosen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
