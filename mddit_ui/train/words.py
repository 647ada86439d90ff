"""Tokenizers over the closed vocabulary of the caption grammar: one word, one token."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Tokenizer

from mddit_ui.train.captions import known_words

PAD, UNKNOWN, END = "<pad>", "<unk>", "</s>"
CLIP_CONTEXT = 40  # tokens; three things take 30, the end one


def t5_tokenizer() -> T5Tokenizer:
    """A T5Tokenizer, as PixArtAlphaPipeline wants; every word scores the same, what is unknown becomes <unk>."""
    pieces = [(PAD, 0.0), (END, 0.0), (UNKNOWN, -20.0), *((f"▁{word}", -2.0) for word in known_words())]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


def clip_tokenizer() -> PreTrainedTokenizerFast:
    """Word-level, lower case; the end token has the highest id, since open_clip pools the text there."""
    words = [PAD, UNKNOWN, *known_words(), END]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, len(words) - 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        model_max_length=CLIP_CONTEXT,
    )


def clip_ids(tokenizer: PreTrainedTokenizerFast, captions: list[str]):
    """Token ids (b, 40) int64, padded, as open_clip's own HFTokenizer makes them."""
    return tokenizer(
        captions, return_tensors="pt", max_length=CLIP_CONTEXT, padding="max_length", truncation=True
    ).input_ids


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
