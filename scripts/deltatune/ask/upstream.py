"""Behavior of libraries that asking works around, each with the version that it was seen in.
tests/unit/test_ask_upstream.py fails when one can go."""

from __future__ import annotations

import os

from transformers import TextIteratorStreamer

# ---------------------------------------------------------------- transformers


class PieceStreamer(TextIteratorStreamer):
    """Gives a text token by token.

    transformers 5.23.0 gives a word with the space that follows it, and so a long word or a row of
    dots not at all until the end (`TextStreamer.put`).
    """

    def put(self, value):
        if self.next_tokens_are_prompt:
            self.next_tokens_are_prompt = False
            return
        self.token_cache.extend(value.tolist())
        text = self.tokenizer.decode(self.token_cache, **self.decode_kwargs)
        # A character of several bytes that is not whole yet.
        if not text.endswith("\ufffd"):
            self.on_finalized_text(text[self.print_len :])
            self.print_len = len(text)


# ---------------------------------------------------------------- gradio


def keep_gradio_here(host: str) -> None:
    """Set the environment that gradio reads when it is imported.

    gradio 6 reports its use unless it is told not to, and asks over HTTP whether its own page
    answers (`networking.url_ok`), which a proxy would be asked for.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), host]))
