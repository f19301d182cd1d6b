"""Section 4.1 and 4.3 of docs/spec/c2.md: text to tokens, and the bytes of tokens."""

import json
import unicodedata
from functools import cache

import regex

# Characters that Unicode has since 9.0 and that newer normalizations reorder, compose or decompose: not this one.
NEWER = regex.compile("([" + "".join(
    "".join(f"\\U{int(end, 16):08X}-"[: 11 - (i > 0)] for i, end in enumerate(part.split("-") * (1 if "-" in part else 2)))
    for part in """
    5C8-5C9 7FD 897-89F 8CA-8D3 9FE C3C D3B-D3C EBA 1715 1ABF-1AF0 1DF6-1DFA A82C 105C9 105E4 10D24-10D27 10D69-10D6D
    10EAB-10EAC 10ECB-10ECF 10EF0-10EFB 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 1133B 11382-11385 1138B 1138E 11390-11391
    113B8 113BB 113C2 113C5 113C7-113C9 113CE-113D0 1145E 11839-1183A 11930 11938 1193D-1193E 11943 119E0 11A34 11A47 11A99
    11D42 11D44-11D45 11D97 11F41-11F42 1611E-16129 1612F 16D63 16D67-16D6A 16FF0-16FF1 1D127-1D128 1D250-1D252 1D25B-1D25C
    1D25F 1D280-1D281 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF 1E6E3 1E6E6 1E6EE-1E6EF 1E6F5
    """.split()) + "])")

X, E = r"[^\r\n\p{L}\p{N}]?", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
U, V = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
Z = r"\s*[\r\n]+|\s+(?!\S)|\s+"
G = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PATTERNS = {
    "gpt2": G,
    "llama3": rf"{E}|{X}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{Z}",
    "qwen2": rf"{E}|{X}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{Z}",
    "qwen3.5": rf"{E}|{X}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{Z}",
    "tekken": rf"{X}{U}*{V}+|{X}{U}+{V}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{Z}",
    "o200k": rf"{X}{U}*{V}+{E}?|{X}{U}+{V}*{E}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{Z}",
}


def nfc(text):
    return "".join(part if NEWER.fullmatch(part) else unicodedata.normalize("NFC", part) for part in NEWER.split(text))


def alphabet():
    """The character of each byte."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (b for b in range(256) if b not in plain)
    return {b: chr(b) for b in plain} | {b: chr(0x100 + i) for i, b in enumerate(others)}


ALPHABET = alphabet()
BYTES = {c: b for b, c in ALPHABET.items()}


def cut(text, matches, behavior, invert=False):
    """Step 2's Split: `matches` are (begin, end)."""
    parts, at = [], 0
    for begin, end in matches:
        parts += [(text[at:begin], False), (text[begin:end], True)]
        at = end
    parts = [(part, match != invert) for part, match in parts + [(text[at:], False)] if part]
    if behavior == "Isolated":
        return [part for part, _ in parts]
    pieces, before = [], None
    for i, (part, match) in enumerate(parts):
        joins = {
            "Contiguous": match == before,
            "MergedWithPrevious": match and before is False,
            "MergedWithNext": not match and before is True,
        }[behavior]
        if joins and pieces:
            pieces[-1] += part
        else:
            pieces.append(part)
        before = match if not joins or behavior == "Contiguous" else None
    return pieces


def spans(pattern, text):
    return [m.span() for m in regex.finditer(pattern, text) if m.end() > m.start()]


def steps(part, key):
    if part is None:
        return []
    return part[key] if part["type"] == "Sequence" else [part]


def word_break(text, at):
    """Whether no word goes on over this place."""
    before, after = text[at - 1 : at] if at else "", text[at : at + 1]
    return bool(regex.fullmatch(r"\w", before)), bool(regex.fullmatch(r"\w", after))


class Tokenizer:
    def __init__(self, source):
        t = json.loads(source)
        self.model, self.vocab = t["model"], t["model"]["vocab"]
        self.words = self.model.get("type") == "WordPiece"
        self.fallback = bool(self.model.get("byte_fallback"))
        self.normalizers = steps(t.get("normalizer"), "normalizers")
        self.pre = steps(t.get("pre_tokenizer"), "pretokenizers")
        decoder = steps(t.get("decoder"), "decoders")
        self.strips = self.fallback and len(decoder) == 4 and decoder[3]["start"] == 1
        self.added = t.get("added_tokens") or []
        pairs = (m.split(" ", 1) if isinstance(m, str) else m for m in self.model.get("merges", []))
        self.ranks = {tuple(pair): rank for rank, pair in reversed(list(enumerate(pairs)))}
        ids = self.vocab | {token["content"]: token["id"] for token in self.added}
        self.size = max(ids.values()) + 1
        self.of_byte = lambda b: f"<0x{b:02X}>" if self.fallback else ALPHABET[b]
        self.missing = set() if self.words else {b for b in range(256) if self.of_byte(b) not in ids}
        self.post = t.get("post_processor")

    # ── the bytes of tokens (4.3) ──

    @cache
    def bytes(self):
        """The bytes of each id; None for special tokens and where there is no token."""
        all = [None] * self.size
        added = {token["content"] for token in self.added}
        for token, id in self.vocab.items():
            if token in added:
                continue
            if self.words:
                all[id] = token.encode()
            elif not self.fallback:
                all[id] = bytes(BYTES[c] for c in token)
            elif regex.fullmatch("<0x[0-9A-Fa-f]{2}>", token):
                all[id] = bytes([int(token[3:5], 16)])
            else:
                all[id] = token.replace("▁", " ").encode()
        for token in self.added:
            all[token["id"]] = None if token["special"] else token["content"].encode()
        return all

    # ── text to tokens (4.1) ──

    def normalize(self, text):
        for step in self.normalizers:
            if step["type"] == "NFC":
                text = nfc(text)
            elif step["type"] == "Prepend":
                text = step["prepend"] + text if text else text
            elif step["type"] == "Replace":
                text = text.replace(step["pattern"]["String"], step["content"])
            else:
                text = bert(step, text)
        return text

    def cut_at_added(self, text, normalized):
        """Step 1: pieces of text, and ids of added tokens, in their order."""
        form = lambda token: self.normalize(token["content"]) if normalized else token["content"]
        tokens = {form(t): t for t in self.added if t["normalized"] == normalized}
        if not tokens:
            return [text]
        longest_first = "|".join(regex.escape(c) for c in sorted(tokens, key=lambda c: -len(c.encode())))
        pieces, done = [], 0
        for match in regex.finditer(longest_first, text):
            token, (begin, end) = tokens[match[0]], match.span()
            if token["single_word"] and (word_break(text, begin)[0] or word_break(text, end)[1]):
                continue
            if token["lstrip"]:
                begin = max(done, len(regex.sub(r"\s+\Z", "", text[:begin])))
            if token["rstrip"]:
                end += len(regex.match(r"\s*", text[end:])[0])
            pieces += [text[done:begin], token["id"]]
            done = end
        return [piece for piece in pieces + [text[done:]] if piece != ""]

    def pieces(self, text):
        """Steps 1 and 2 up to the normalizer: (a piece, whether it begins the text), or (an id, None)."""
        all = []
        for i, part in enumerate(self.cut_at_added(text, False)):
            if isinstance(part, int):
                all.append((part, None))
                continue
            for j, piece in enumerate(self.cut_at_added(self.normalize(part), True)):
                all.append((piece, None if isinstance(piece, int) else i == 0 and j == 0))
        return [piece for piece in all if piece[0] != ""]

    def encode(self, text):
        """Ids, or None if the text is refused."""
        ids, parts = [], self.pieces(text)
        for part, first in parts:
            if first is not None and any(self.lacks(c) for c in part):
                return None
        for part, first in parts:
            ids += [part] if first is None else [id for piece in self.pre_tokenized(part, first) for id in self.tokens(piece)]
        return ids

    def lacks(self, c):
        return not (self.fallback and c in self.vocab) and any(b in self.missing for b in c.encode())

    def pre_tokenized(self, text, first):
        """Step 2's pre-tokenizers."""
        pieces = [text]
        for step in self.pre:
            kind, next = step["type"], []
            for i, piece in enumerate(pieces):
                if kind == "ByteLevel":
                    parts = cut(piece, spans(G, piece), "Isolated") if step.get("use_regex", True) else [piece]
                    next += ["".join(ALPHABET[b] for b in part.encode()) for part in parts]
                elif kind == "Split":
                    next += cut(piece, spans(step["pattern"]["Regex"], piece), step["behavior"], step["invert"])
                elif kind == "Digits":
                    next += cut(piece, spans(r"\p{N}", piece), "Isolated" if step["individual_digits"] else "Contiguous")
                elif kind == "Metaspace":
                    next += metaspace(step, piece, first and i == 0)
                else:
                    next += [w for s in regex.split(r"\s+", piece) if s for w in cut(s, spans(PUNCTUATION, s), "Isolated")]
            pieces = next
        return pieces

    def tokens(self, piece):
        """Steps 3 and 4."""
        if self.words:
            return self.word(piece)
        if self.model.get("ignore_merges") and piece in self.vocab:
            return [self.vocab[piece]]
        parts = []
        for c in piece:
            parts += [c] if c in self.vocab else [self.of_byte(b) for b in c.encode()]
        while True:
            pairs = [(self.ranks[pair], i) for i, pair in enumerate(zip(parts, parts[1:])) if pair in self.ranks]
            if not pairs:
                return [self.vocab[part] for part in parts]
            _, at = min(pairs)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]

    def word(self, word):
        unknown = [self.vocab[self.model["unk_token"]]]
        if len(word) > self.model.get("max_input_chars_per_word", 100):
            return unknown
        ids, at = [], 0
        while at < len(word):
            prefix = self.model["continuing_subword_prefix"] if at else ""
            ends = (end for end in range(len(word), at, -1) if prefix + word[at:end] in self.vocab)
            end = next(ends, None)
            if end is None:
                return unknown
            ids.append(self.vocab[prefix + word[at:end]])
            at = end
        return ids

    def marked(self, text):
        """The tokens of an encoder's text, its two marks around them."""
        if self.post["type"] == "BertProcessing":
            first, last = self.post["cls"][1], self.post["sep"][1]
        else:
            ends = (self.post["single"][i]["SpecialToken"]["id"] for i in (0, 2))
            first, last = (self.post["special_tokens"][name]["ids"][0] for name in ends)
        return [first, *self.encode(text), last]


def metaspace(step, piece, first):
    """▁ for each space and, by the scheme, before the piece; with `split` each ▁ begins a piece."""
    scheme = step.get("prepend_scheme", "always")
    piece = piece.replace(" ", "▁")
    if not piece.startswith("▁") and (scheme == "always" or (scheme == "first" and first)):
        piece = "▁" + piece
    return [p for p in regex.split("(?=▁)", piece) if p] if step.get("split", True) else [piece]


# ── WordPiece ────────────────────────────────────────────────────────────────

PUNCTUATION = r"[\p{P}!-/:-@\[-`{-~]"
CHINESE = r"([一-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b81f\U0002b920-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f])"


def bert(step, text):
    """BertNormalizer."""
    if step["clean_text"]:
        text = "".join(c for c in text if c in "\t\n\r" or not regex.match(r"[\p{C}\0\uFFFD]", c))
        text = regex.sub(r"\s", " ", text)
    if step["handle_chinese_chars"]:
        text = regex.sub(CHINESE, r" \1 ", text)
    strips = step["lowercase"] if step.get("strip_accents") is None else step["strip_accents"]
    if strips:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return "".join(c.lower() for c in text) if step["lowercase"] else text
