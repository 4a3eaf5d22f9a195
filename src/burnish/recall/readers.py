"""The reader that suits a model."""

from burnish.base.errors import ModelError
from burnish.kv.policies import kv_policies
from burnish.models.adapters import Adapter
from burnish.models.handle import ModelHandle
from burnish.models.load import Model
from burnish.models.remote import Remote
from burnish.recall.adapter_reader import adapter_reader
from burnish.recall.decoder_reader import DecoderReader
from burnish.recall.reader import Reader
from burnish.recall.remote_reader import RemoteReader


def open_reader(
    model: ModelHandle | Model | Remote, *, kv: str = "full", chunk_rows: int = 512
) -> Reader:
    """A reader of `model` whose keys and values are kept by the policy that `kv` describes.

    Raises ModelError for a policy on a model that is not our decoder, and what
    `kv_policies.parse` and `ModelHandle.model` raise.
    """
    policy = kv_policies.parse(kv)
    if isinstance(model, ModelHandle):
        model = model.remote if model.is_server else model.model
    if isinstance(model, Model) and not isinstance(model.network, Adapter):
        return DecoderReader(model, policy, chunk_rows=chunk_rows)
    if kv_policies.name_of(policy) != "full":
        raise ModelError(
            "KV policy", kv, "needs a model that burnish's own decoder runs",
            remedy="Use a model of the Llama, Mistral or Qwen family, or leave --kv out",
        )  # fmt: skip
    if isinstance(model, Remote):
        return RemoteReader(model)
    assert isinstance(model.network, Adapter)
    return adapter_reader(model.network, chunk_rows=chunk_rows)
