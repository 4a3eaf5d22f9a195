"""Bodies of requests, as OpenAI's API names their fields, with vLLM's names for extensions."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

TokenId = Annotated[int, Field(ge=0, strict=True, le=1 << 31)]
TokenKey = Annotated[int, Field(ge=0, le=1 << 31)]  # keys of JSON objects are texts
Stop = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Text = str
Bias = Annotated[float, Field(ge=-100, le=100)]
MOST_STOPS, MOST_CHOICES, MOST_LOGPROBS, MOST_BIASES = 16, 128, 20, 1024


class Checked(BaseModel):
    """A body whose texts are all valid Unicode: JSON can hold half a surrogate pair."""

    @model_validator(mode="before")
    @classmethod
    def check_texts(cls, value: Any) -> Any:
        """Raise ValueError for text that cannot be written."""
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except (UnicodeEncodeError, TypeError) as error:
            raise ValueError("texts must be valid Unicode") from error
        return value


class Body(Checked):
    """A body of OpenAI's API; names that are not listed are refused, as OpenAI does."""

    model_config = ConfigDict(extra="forbid")


class StreamOptions(BaseModel):
    """`include_usage`: the last chunk counts tokens."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Sampled(Body):
    """What completions and chats share."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1, le=MOST_CHOICES)
    max_tokens: int | None = Field(default=None, ge=0)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    seed: int | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[TokenKey, Bias] | None = Field(default=None, max_length=MOST_BIASES)
    user: str | None = None  # for OpenAI's own records
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, lt=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=100)


class CompletionBody(Sampled):
    """`/v1/completions`: one or several prompts, as text or as token ids."""

    prompt: Text | list[TokenId] | list[Text] | list[list[TokenId]]
    echo: bool | None = None
    logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)
    best_of: int | None = Field(default=None, ge=1)
    suffix: Annotated[str, StringConstraints(max_length=0)] | None = None  # not supported


class Part(BaseModel):
    """A part of a message's content; only text can be read."""

    type: Literal["text"]
    text: Text


class Called(BaseModel):
    """The function of a tool call; `arguments` are JSON."""

    name: str
    arguments: str


class ToolCall(BaseModel):
    """A call that an earlier answer made."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: Called


class Message(BaseModel):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    def text(self) -> str:
        """Its content as one text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Function(BaseModel):
    """A function that the model may call; `parameters` are a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(BaseModel):
    """A tool; only functions are known."""

    type: Literal["function"]
    function: Function


class FunctionName(BaseModel):
    """The name of an offered function."""

    name: str


class NamedTool(BaseModel):
    """The tool that has to be called."""

    type: Literal["function"]
    function: FunctionName


class TextFormat(BaseModel):
    """Free text."""

    type: Literal["text"]


class ObjectFormat(BaseModel):
    """A JSON object."""

    type: Literal["json_object"]


class NamedSchema(BaseModel):
    """A JSON schema; the answer follows it, with `strict` and without."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class SchemaFormat(BaseModel):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


Format = Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class ChatBody(Sampled):
    """`/v1/chat/completions`: a conversation that ends before the answer."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: Format | None = None
    modalities: list[Literal["text"]] | None = None
    service_tier: Literal["auto", "default"] | None = None  # there is one
    store: bool | None = None  # the rest: for OpenAI's own records
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class EmbeddingBody(Body):
    """`/v1/embeddings`."""

    model: str
    input: Text | list[TokenId] | list[Text] | list[list[TokenId]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1)
    user: str | None = None


class RunCode(Checked):
    """SandboxFusion's `/run_code`."""

    code: str
    language: str
    stdin: str | None = None
    compile_timeout: float | None = None
    run_timeout: float | None = None
    memory_limit_MB: float | None = None
    files: dict[str, str | None] | None = None
    fetch_files: list[str] | None = None


class Judge(Checked):
    """`/judge`: a problem as `burnish sandbox judge` reads it."""

    model_config = ConfigDict(extra="allow")
    code: str
    language: str | None = None
    tests: list[dict[str, Any]] | None = None


class Analyze(Checked):
    """`/analyze`."""

    code: str
    language: str | None = None
    stdins: list[str] | None = None
    run: bool | None = None
    limits: dict[str, Any] | None = None
    sarif: bool | None = None


class Detect(Checked):
    """`/detect`."""

    code: str
    path: str | None = None
