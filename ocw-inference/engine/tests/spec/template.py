"""Sections 4.2 and 4.4 of docs/spec/c2.md: what a conversation becomes. The meaning is Jinja's on Python, so Jinja computes it;
the limits and the steps that §4.2 counts are not here."""

import json
import re

import jinja2
from jinja2 import nodes

SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
SPACE = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


class Refused(Exception):
    """An input that becomes no prompt: the failure, and its text."""

    def __init__(self, failure, text=""):
        super().__init__(failure, text)


def raise_exception(message):
    raise Refused("template", str(message))


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False, autoescape=False,
        extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"])
    env.filters["tojson"] = tojson
    env.globals = {"range": range, "namespace": jinja2.utils.Namespace, "dict": dict, "raise_exception": raise_exception}
    return env


def source_of(source):
    """CR LF and CR are LF; generation blocks are `with` blocks."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"(\{%-?\+?\s*)(end)?generation(\s*[-+]?%\})", r"\1\2with\3", source)


def conversation(text):
    """The conversation of an input that is a text."""
    return {"messages": [{"role": "user", "content": text}]}


def message(m):
    m = {key: value for key, value in m.items() if value is not None}
    thought = next((m[key] for key in ("reasoning_content", "thinking", "reasoning") if key in m), None)
    if thought is not None:
        m = dict([("thinking", thought), *m.items(), ("reasoning_content", thought)])
    for call in m.get("tool_calls", []):
        given = call["function"].get("arguments")
        if isinstance(given, str):
            call["function"]["arguments"] = json.loads(given)
    return m


def variables(chat):
    tools = chat.get("tools") or None
    return {
        "messages": [message(m) for m in chat["messages"]],
        "tools": None if chat.get("tool_choice") == "none" else tools,
        "documents": None, "add_generation_prompt": True,
    } | chat.get("chat_template_kwargs", {})


def reads(tree, name, variable):
    """Whether the source reads a variable, or an attribute or text constant, of this name."""
    if variable:
        return any(n.name == name and n.ctx == "load" for n in tree.find_all(nodes.Name))
    constants = any(n.value == name for n in tree.find_all(nodes.Const))
    return constants or any(n.attr == name for n in tree.find_all(nodes.Getattr))


def parts(chat, tree, text):
    """4.4: each part's name, and whether it stands in the text."""
    for i, m in enumerate(chat["messages"]):
        if m["role"] == "assistant":
            for j, call in enumerate(m.get("tool_calls") or []):
                yield f"messages[{i}].tool_calls[{j}]", call["function"]["name"] in text and reads(tree, "tool_calls", False)
            continue
        whole = isinstance(m["content"], str)
        for j, part in enumerate([m["content"]] if whole else [p["text"] for p in m["content"]]):
            said = part.strip(SPACE)
            quoted = m["role"] == "tool" and json.dumps(said, ensure_ascii=False)[1:-1] in text
            yield f"messages[{i}]" + ("" if whole else f".content[{j}]"), said in text or quoted
    for i, tool in enumerate(variables(chat)["tools"] or []):
        yield f"tools[{i}]", tool["function"]["name"] in text and reads(tree, "tools", True)
    for key in chat.get("chat_template_kwargs", {}):
        yield key, key not in SPECIAL and reads(tree, key, True)


def render(source, chat):
    """The text of a conversation, or Refused."""
    env, source = environment(), source_of(source)
    try:
        text = env.from_string(source).render(variables(chat))
    except Refused:
        raise
    except Exception as error:
        raise Refused("template") from error
    for name, stands in parts(chat, env.parse(source), text):
        if not stands:
            raise Refused("part_left_out", name)
    return text


MARK = "Xq7Zk9Wv"


def overhead(source, tokenizer):
    """4.2: prompt_overhead."""
    text = render(source, conversation(MARK))
    before, after = text.split(MARK)
    cost = lambda id: 1 if tokenizer.bytes()[id] is None else len(tokenizer.bytes()[id])
    return sum(cost(id) for part in (before, after) for id in tokenizer.encode(part))
