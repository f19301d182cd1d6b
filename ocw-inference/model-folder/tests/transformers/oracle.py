"""Renders conversations and tokenizes them with transformers, to record what the test beside it expects:

    oracle.py DIR          prints recorded.txt anew; DIR is what scripts/templates.sh prints

A line is the first 16 digits of a template's BLAKE3, or a tokenizer's name, and then of each conversation's prompt or
token ids. A dash stands for a template that refuses the conversation."""
import json
import struct
import sys
from pathlib import Path

from blake3 import blake3
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils as hf

HERE = Path(__file__).parent
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


def without_clock(source, compiled=hf._compile_jinja_template):
    """A prompt that holds the date of its rendering is none that anybody could check."""
    template = compiled(source)
    template.environment.globals.pop("strftime_now", None)
    return template


hf._compile_jinja_template = without_clock


def render(source, special, conversation):
    variables = dict(special, **conversation)
    messages = hf._normalize_chat_messages(variables.pop("messages"))
    variables.setdefault("add_generation_prompt", True)
    rendered, _ = hf.render_jinja_template([messages], chat_template=source, **variables)
    return rendered[0]


def short(data):
    return blake3(data).hexdigest()[:16]


def hashes(source, special, conversations, finish):
    for conversation in conversations.values():
        try:
            yield short(finish(render(source, special, json.loads(json.dumps(conversation)))))
        except Exception:
            yield "-"


def main(directory):
    conversations = json.loads((HERE / "conversations.json").read_text())
    published = json.loads((directory / "templates.json").read_text())
    own = json.loads((HERE / "constructs.json").read_text())
    sources = {source for _, source in published} | set(own.values())
    for name, source in sorted((short(source.encode()), source) for source in sources):
        print(name, *hashes(source, SPECIAL, conversations, str.encode))
    for path in sorted(directory.glob("*/tokenizer.json")):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(path.parent)

        def ids(text):
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            return struct.pack(f"<{len(ids)}I", *ids)

        template = tokenizer.chat_template or own["turns"]
        print(path.parent.name, *hashes(template, tokenizer.special_tokens_map, conversations, ids))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
