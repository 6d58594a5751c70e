"""Side by side: what trimming keeps of answers and evidence, here and with what LlamaIndex and LangChain ship."""
