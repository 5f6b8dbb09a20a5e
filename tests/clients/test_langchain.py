"""LangChain's OpenAI chat model."""
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

import serving
from serving import NAME

ASK = "List the tasks as JSON: buy tamo on Friday, buy rilu on Monday."
ANSWER = '[{"task": "buy tamo", "day": "Friday"}, {"task": "buy rilu", "day": "Monday"}]'


@tool
def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"{city}: 21 degrees"


class LangChain(serving.Case):
    def setUp(self):
        self.model = ChatOpenAI(model=NAME, base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="none", temperature=0,
                                max_tokens=100, max_retries=0)

    def test_invoke_and_stream(self):
        self.assertEqual(self.model.invoke(ASK).content, ANSWER)
        self.assertEqual("".join(c.content for c in self.model.stream(ASK)), ANSWER)
        self.assertEqual([m.content for m in self.model.batch([ASK] * 3)], [ANSWER] * 3)

    def test_tools(self):
        bound = self.model.bind_tools([get_weather])
        ask = [HumanMessage("What is the weather in Nagoli?")]
        a = bound.invoke(ask)
        self.assertEqual((a.tool_calls[0]["name"], a.tool_calls[0]["args"]), ("get_weather", {"city": "Nagoli"}))
        result = ToolMessage(get_weather.invoke(a.tool_calls[0]["args"]), tool_call_id=a.tool_calls[0]["id"])
        self.assertTrue(bound.invoke(ask + [a, result]).usage_metadata["output_tokens"])


if __name__ == "__main__":
    serving.main()
