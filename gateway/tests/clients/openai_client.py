"""What the official client of OpenAI makes of a gateway. The base URL ends in /v1.

ASSAY_BASE_URL: the server, without /v1.  ASSAY_API_KEY: its token, if it has one.
ASSAY_SCRIPTED=1: the network follows the scripts of the tests, so every word is known.
"""

import asyncio
import os

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

BASE = os.environ["ASSAY_BASE_URL"]
KEY = os.environ.get("ASSAY_API_KEY", "none")
SCRIPTED = os.environ.get("ASSAY_SCRIPTED") == "1"

client = OpenAI(base_url=f"{BASE}/v1", api_key=KEY)
model = os.environ.get("ASSAY_MODEL") or client.models.list().data[0].id
hello = [{"role": "user", "content": "Say hello."}]
weather = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Person(BaseModel):
    name: str
    age: int


def check_models():
    assert client.models.retrieve(model).id == model
    try:
        client.models.retrieve("no-such-model")
        raise AssertionError("an unknown model was found")
    except openai.NotFoundError as e:
        assert e.code == "model_not_found"


def check_whole():
    reply = client.chat.completions.create(model=model, messages=hello, max_tokens=16, temperature=0)
    assert reply.choices[0].finish_reason in ("stop", "length")
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.assay["verdict"] == "confirmed" and reply.assay["receipt"].endswith(reply.assay["job"])
    assert reply._request_id == reply.assay["job"]
    if SCRIPTED:
        assert reply.choices[0].message.content == "Hello, dear world!"
    return reply


def check_stream():
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model=model, messages=hello, max_tokens=16, temperature=0, stream=True, stream_options=options
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage.completion_tokens > 0 and chunks[-1].assay["verdict"] == "confirmed"
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")
    if SCRIPTED:
        assert text == "Hello, dear world!"
    # The same key returns the same job.
    headers = {"Idempotency-Key": chunks[0].assay["idempotency_key"]}
    again = client.chat.completions.create(
        model=model, messages=hello, max_tokens=16, temperature=0, extra_headers=headers
    )
    assert again.choices[0].message.content == text and again.id == chunks[0].id


def check_helper():
    with client.chat.completions.stream(model=model, messages=hello, max_tokens=16, temperature=0) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.role == "assistant"


def check_completion():
    reply = client.completions.create(model=model, prompt="Once upon a time", max_tokens=8, temperature=0)
    assert reply.object == "text_completion" and reply.usage.completion_tokens > 0


def check_tools():
    messages = [{"role": "user", "content": "What is the weather in Rome?"}]
    reply = client.chat.completions.create(model=model, messages=messages, tools=[weather])
    call = reply.choices[0].message.tool_calls[0]
    assert reply.choices[0].finish_reason == "tool_calls" and call.function.name == "weather"
    messages += [reply.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    answer = client.chat.completions.create(model=model, messages=messages, tools=[weather])
    assert "sunny" in answer.choices[0].message.content
    with client.chat.completions.stream(model=model, messages=messages[:1], tools=[weather]) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert streamed.function.arguments == call.function.arguments


def check_schema():
    reply = client.beta.chat.completions.parse(model=model, messages=hello, response_format=Person)
    person = reply.choices[0].message.parsed
    assert isinstance(person, Person), reply
    if SCRIPTED:
        assert person == Person(name="Ada", age=36)


def check_responses():
    fields = {"model": model, "input": "Say hello.", "max_output_tokens": 16, "temperature": 0}
    reply = client.responses.create(**fields)
    assert reply.status in ("completed", "incomplete") and reply.usage.output_tokens > 0
    assert reply.assay["verdict"] == "confirmed" and reply._request_id == reply.assay["job"]
    events = list(client.responses.create(**fields, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[-1].type == f"response.{events[-1].response.status}"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    # The demo model answers greedily alike.
    assert text == events[-1].response.output_text == reply.output_text, (text, reply.output_text)
    if SCRIPTED:
        assert text == "Hello, dear world!"
    asked = [{"role": "user", "content": "Say hello."}, *reply.output, {"role": "user", "content": "Again."}]
    again = client.responses.create(model=model, input=asked, max_output_tokens=8, temperature=0)
    assert again.assay["verdict"] == "confirmed"
    try:
        client.responses.create(model=model, input="More.", previous_response_id=reply.id)
        raise AssertionError("a response was continued that nobody stores")
    except openai.BadRequestError as e:
        assert e.param == "previous_response_id"


def check_responses_with_tools():
    tool = {"type": "function", "strict": True} | weather["function"]
    asked = [{"role": "user", "content": "What is the weather in Rome?"}]
    reply = client.responses.create(model=model, input=asked, tools=[tool])
    call = next(item for item in reply.output if item.type == "function_call")
    assert call.name == "weather" and call.status == "completed"
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    answer = client.responses.create(model=model, input=[*asked, *reply.output, output], tools=[tool])
    assert "sunny" in answer.output_text
    with client.responses.stream(model=model, input=asked, tools=[tool]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.done" in kinds and kinds[-1] == "response.completed", kinds
    assert final.output[-1].arguments == call.arguments and final.output[-1].parsed_arguments
    parsed = client.responses.parse(model=model, input="Who?", text_format=Person)
    assert isinstance(parsed.output_parsed, Person), parsed
    with client.responses.stream(model=model, input="Who?", text_format=Person) as stream:
        stream.until_done()
        assert isinstance(stream.get_final_response().output_parsed, Person)


def check_reasoning():
    asked = [{"role": "user", "content": "count"}]
    message = client.chat.completions.create(model=model, messages=asked).choices[0].message
    assert (message.reasoning_content, message.content) == ("Let me count.", "Two or three.")
    chunks = client.chat.completions.create(model=model, messages=asked, stream=True)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Let me count."
    raw = {"x-assay-reasoning": "raw"}
    message = client.chat.completions.create(model=model, messages=asked, extra_headers=raw).choices[0].message
    assert message.content.startswith("<think>")
    with client.responses.stream(model=model, input="count") as stream:
        deltas = [event.delta for event in stream if event.type == "response.reasoning_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output[0].content[0].text == "Let me count."
    assert final.output_text == "Two or three."
    more = [*asked, *final.output, {"role": "user", "content": "Say hello."}]
    assert client.responses.create(model=model, input=more).output_text == "Hello, dear world!"


def check_errors():
    for fields, kind in [({"n": 2}, openai.BadRequestError), ({"model": "no-such-model"}, openai.NotFoundError)]:
        try:
            client.chat.completions.create(**({"model": model, "messages": hello} | fields))
            raise AssertionError(f"{fields} was accepted")
        except kind as e:
            assert e.param in ("n", "model")
    if not SCRIPTED:
        return
    wrong = [{"role": "user", "content": "overturned"}]
    try:
        client.chat.completions.create(model=model, messages=wrong)
        raise AssertionError("an overturned answer was returned")
    except openai.InternalServerError as e:
        assert e.code == "answer_overturned", e.code
    text = ""
    try:
        for chunk in client.chat.completions.create(model=model, messages=wrong, stream=True):
            text += chunk.choices[0].delta.content or ""
        raise AssertionError("an overturned stream ended well")
    except openai.APIError as e:
        assert e.code == "answer_overturned" and text == "The moon is cheese."
    try:
        for _ in client.responses.create(model=model, input="overturned", stream=True):
            pass
        raise AssertionError("an overturned response ended well")
    except openai.APIError as e:
        assert e.code == "answer_overturned", e
    try:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "too expensive"}])
        raise AssertionError("a request beyond the limit was accepted")
    except openai.RateLimitError as e:
        raise AssertionError("funds are no rate") from e
    except openai.APIStatusError as e:
        assert (e.status_code, e.code) == (402, "insufficient_quota")


async def check_async():
    asynchronous = AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY)
    asked = [asynchronous.chat.completions.create(model=model, messages=hello, max_tokens=8) for _ in range(3)]
    replies = await asyncio.gather(*asked)
    assert len({reply.id for reply in replies}) == 3


check_models()
check_whole()
check_stream()
check_helper()
check_completion()
check_responses()
if SCRIPTED:
    check_reasoning()
if SCRIPTED or os.environ.get("ASSAY_TOOLS") == "1":
    check_tools()
    check_schema()
    check_responses_with_tools()
check_errors()
asyncio.run(check_async())
print(f"openai {openai.__version__}: ok")
