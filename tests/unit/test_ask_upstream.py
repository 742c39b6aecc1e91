"""What libraries do that asking works around. Where one of these fails, its workaround in
ask/upstream.py can go."""

from __future__ import annotations

import inspect
import os
from importlib.util import find_spec

import pytest
import tiny
import torch
from deltatune.ask import upstream
from transformers import TextIteratorStreamer


def pieces(streamer_class: type, text: str) -> list[str]:
    """What a streamer has given before the end of a text."""
    tokenizer = tiny.tokenizer()
    streamer = streamer_class(tokenizer)
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        streamer.put(torch.tensor([token]))
    return [piece for piece in list(streamer.text_queue.queue) if piece]


def test_transformers_holds_a_word_back_until_the_space_behind_it():
    dots = "." * 40
    assert pieces(TextIteratorStreamer, f"a {dots}")[1:] == []


@pytest.mark.skipif(find_spec("gradio") is None, reason="gradio is not installed")
def test_gradio_asks_over_http_whether_its_own_page_answers():
    from gradio import networking

    assert "httpx" in inspect.getsource(networking.url_ok)


def test_gradio_is_told_to_stay_here(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    upstream.keep_gradio_here("127.0.0.1")
    assert os.environ["NO_PROXY"] == "example.org,127.0.0.1"
    assert os.environ["no_proxy"] == "127.0.0.1"
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    monkeypatch.delenv("no_proxy")
