"""HTTP: the interface of OpenAI's servers for a model, the sandbox's service, and a chat page."""
