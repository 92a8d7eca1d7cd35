"""Fine-tuning methods by name. A new one is a file here and a name in this list."""

from labkit.finetune.method import Method
from labkit.finetune.methods import all_weights, bias, head, head_norm, lora, magnitude, random_rows, search, sparta

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        all_weights.METHOD,
        head.METHOD,
        head_norm.METHOD,
        bias.METHOD,
        lora.METHOD,
        magnitude.METHOD,
        random_rows.METHOD,
        *sparta.METHODS,
        search.METHOD,
    )
}
