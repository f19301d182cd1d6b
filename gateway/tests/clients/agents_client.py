"""Agents of openai-agents that call a tool, whole and streamed, by responses and by chat completions. The environment is that of openai_client.py."""

import asyncio
import os

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_default_openai_client,
    set_tracing_disabled,
)
from openai import AsyncOpenAI, OpenAI

BASE = os.environ["ASSAY_BASE_URL"]
KEY = os.environ.get("ASSAY_API_KEY", "none")
names = OpenAI(base_url=f"{BASE}/v1", api_key=KEY).models.list().data
model = os.environ.get("ASSAY_MODEL") or names[0].id
asked = []


@function_tool
def weather(city: str) -> str:
    """Returns the weather in a city."""
    asked.append(city)
    return "sunny"


async def main():
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY)
    set_default_openai_client(client, use_for_tracing=False)
    # A name alone is what most programs have: it means responses.
    for one in (
        model,
        OpenAIResponsesModel(model=model, openai_client=client),
        OpenAIChatCompletionsModel(model=model, openai_client=client),
    ):
        asked.clear()
        agent = Agent(name="Forecaster", instructions="Use the tool.", tools=[weather], model=one)
        result = await Runner.run(agent, "What is the weather in Rome?")
        assert "sunny" in result.final_output and asked == ["Rome"], (result.final_output, asked)
        assert result.context_wrapper.usage.total_tokens > 0
        streamed = Runner.run_streamed(agent, "What is the weather in Rome?")
        async for _ in streamed.stream_events():
            pass
        assert "sunny" in streamed.final_output and asked == ["Rome", "Rome"], (streamed.final_output, asked)
    print("openai-agents: ok")


asyncio.run(main())
