"""What the official client of Anthropic makes of a gateway. The environment is that of openai_client.py."""

import os

import anthropic
from anthropic import Anthropic

BASE = os.environ["ASSAY_BASE_URL"]
KEY = os.environ.get("ASSAY_API_KEY", "none")
SCRIPTED = os.environ.get("ASSAY_SCRIPTED") == "1"
GREEDY = {"temperature": 0}  # newer versions have no argument for it

client = Anthropic(base_url=BASE, api_key=KEY)
model = os.environ.get("ASSAY_MODEL") or client.models.list().data[0].id
hello = [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}]
weather = {
    "name": "weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def check_whole():
    reply = client.messages.create(model=model, max_tokens=16, extra_body=GREEDY, system="Be brief.", messages=hello)
    assert reply.stop_reason in ("end_turn", "max_tokens") and reply.usage.output_tokens > 0
    assert reply.assay["verdict"] == "confirmed" and reply._request_id == reply.assay["job"]
    if SCRIPTED:
        assert reply.content[0].text == "Hello, dear world!"


def check_stream():
    with client.messages.stream(model=model, max_tokens=16, extra_body=GREEDY, messages=hello) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert message.content[0].text == text and message.usage.input_tokens > 0
    assert message.assay["job"].startswith("0x")
    kinds = [e.type for e in client.messages.create(model=model, max_tokens=16, messages=hello, stream=True)]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds


def check_tools():
    messages = [{"role": "user", "content": "What is the weather in Rome?"}]
    reply = client.messages.create(model=model, max_tokens=64, messages=messages, tools=[weather])
    use = next(block for block in reply.content if block.type == "tool_use")
    assert reply.stop_reason == "tool_use" and use.name == "weather"
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "sunny"}]}
    messages += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
    answer = client.messages.create(model=model, max_tokens=64, messages=messages, tools=[weather])
    assert "sunny" in answer.content[0].text
    with client.messages.stream(model=model, max_tokens=64, messages=messages[:1], tools=[weather]) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[-1].input == use.input, streamed


def check_thinking():
    asked = [{"role": "user", "content": "count"}]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    fields = {"model": model, "max_tokens": 2048, "messages": asked, "thinking": thinking}
    reply = client.messages.create(**fields)
    assert [block.type for block in reply.content] == ["thinking", "text"], reply
    assert (reply.content[0].thinking, reply.content[1].text) == ("Let me count.", "Two or three.")
    with client.messages.stream(**fields) as stream:
        thoughts = "".join(event.thinking for event in stream if event.type == "thinking")
        final = stream.get_final_message()
    assert thoughts == final.content[0].thinking == "Let me count."
    # Blocks without a signature are sent back as they are.
    more = [*asked, {"role": "assistant", "content": final.content}, hello[0]]
    again = client.messages.create(model=model, max_tokens=16, messages=more)
    assert again.content[0].text == "Hello, dear world!"


def check_errors():
    try:
        client.messages.create(model="no-such-model", max_tokens=16, messages=hello)
        raise AssertionError("an unknown model was found")
    except anthropic.NotFoundError as e:
        assert e.body["error"]["type"] == "not_found_error"
    try:
        counted = client.messages.count_tokens(model=model, messages=hello).input_tokens
        assert counted == len("Say hello.") if SCRIPTED else counted > 0
    except anthropic.APIStatusError as e:
        assert e.status_code == 501 and not SCRIPTED
    if not SCRIPTED:
        return
    wrong = [{"role": "user", "content": "overturned"}]
    try:
        with client.messages.stream(model=model, max_tokens=16, messages=wrong) as stream:
            stream.until_done()
        raise AssertionError("an overturned stream ended well")
    except anthropic.APIStatusError as e:
        assert e.body["error"]["code"] == "answer_overturned"


check_whole()
check_stream()
if SCRIPTED or os.environ.get("ASSAY_TOOLS") == "1":
    check_tools()
if SCRIPTED:
    check_thinking()
check_errors()
print(f"anthropic {anthropic.__version__}: ok")
