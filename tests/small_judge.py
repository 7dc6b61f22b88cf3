"""A small untrained chat model, which follows no instructions until it is taught to judge."""

from test_other_models import SMALL, tokenizer

from owlish import Base


def untrained(folder, texts, window=256):
    """Write the model into a folder, with tokens for what `texts` hold; return it as a base."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    words = tokenizer().train_new_from_iterator(texts, 900)
    torch.manual_seed(0)
    sizes = {**SMALL, "max_position_embeddings": window}
    config = AutoConfig.for_model("qwen2", vocab_size=len(words), initializer_range=0.1, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return Base(str(folder))
