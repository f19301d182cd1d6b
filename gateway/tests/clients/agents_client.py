"""An agent of openai-agents that calls a tool, whole and streamed. The environment is that of openai_client.py."""

import asyncio
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
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
    agent = Agent(
        name="Forecaster",
        instructions="Use the tool.",
        tools=[weather],
        model=OpenAIChatCompletionsModel(model=model, openai_client=client),
    )
    result = await Runner.run(agent, "What is the weather in Rome?")
    assert "sunny" in result.final_output and asked == ["Rome"], (result.final_output, asked)
    streamed = Runner.run_streamed(agent, "What is the weather in Rome?")
    async for _ in streamed.stream_events():
        pass
    assert "sunny" in streamed.final_output and asked == ["Rome", "Rome"], (streamed.final_output, asked)
    print("openai-agents: ok")


asyncio.run(main())
