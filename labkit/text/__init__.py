"""Language models that write queries: encoding, sampling, quality, canaries (2305.05973)."""

from labkit.text.language import (
    DEFAULT_TEMPLATE,
    Language,
    Tokens,
    encode_plain,
    encode_prompts,
    encode_queries,
    load_language,
    query_log_probs,
    query_logits,
)

__all__ = [
    "DEFAULT_TEMPLATE",
    "Language",
    "Tokens",
    "encode_plain",
    "encode_prompts",
    "encode_queries",
    "load_language",
    "query_log_probs",
    "query_logits",
]
