"""The same as a page on this machine: nothing is shared, counted or fetched from another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from deltatune.ask.session import SIDES, End, Pair, label_table, prompt
from deltatune.core.errors import UserError

#: Only this machine can open it: the page has no password.
HOST = "127.0.0.1"


def require() -> None:
    """Raise UserError where gradio is not installed."""
    if find_spec("gradio") is None:
        raise UserError(
            "The page needs the package gradio. Install it with\n\n"
            "    pip install -r requirements-web.txt -c constraints.txt\n\n"
            "or ask in the terminal, without --web."
        )


def page(pair: Pair, max_new_tokens: int) -> Any:
    """A gradio page. Answers are shown as plain text, whatever markup a model writes."""
    from deltatune.ask import upstream

    upstream.keep_gradio_here(HOST)
    import gradio as gr

    subject = pair.subject
    takes_input = bool(set(subject.kind.OPTIONAL_FIELDS) & set(subject.kind.PROMPT_FIELDS))
    question_label = {"answers": "Question", "text": "Text to continue", "labels": "Text"}

    def answer(question: str, extra: str) -> Iterator[tuple[str, str, str]]:
        """(base, tuned, how they ended), again and again while they grow."""
        texts, ends = dict.fromkeys(SIDES, ""), dict.fromkeys(SIDES, "")
        try:
            rendered = prompt(subject, _question(question), extra)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
        for side in SIDES:
            stop = threading.Event()
            try:
                for piece in pair.answer(side, rendered, max_new_tokens, stop):
                    if isinstance(piece, End):
                        ends[side] = f"{side}: {piece}"
                    else:
                        texts[side] += piece
                    yield texts["base"], texts["tuned"], _joined(ends)
            finally:
                stop.set()

    def classify(question: str, extra: str) -> list[list[str]]:
        try:
            rows = label_table(pair, prompt(subject, _question(question), extra))
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return [[name, f"{base:.1%}", f"{tuned:.1%}"] for name, base, tuned in rows]

    title = f"{subject.experiment}: base and tuned"
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        gr.Markdown(f"# {title}\nSeed {subject.seed}, {subject.quantization}. {subject.note}")
        question = gr.Textbox(label=question_label[subject.outputs], lines=2)
        extra = gr.Textbox(label="Input (optional)", lines=1, visible=takes_input)
        with gr.Row():
            send = gr.Button("Ask", variant="primary")
            halt = gr.Button("Stop")
        if subject.outputs == "labels":
            table = gr.Dataframe(headers=["label", *SIDES], interactive=False)
            run, shown = classify, [table]
        else:
            with gr.Row():
                boxes = [gr.Textbox(label=s, lines=8, interactive=False) for s in SIDES]
            run, shown = answer, [*boxes, gr.Markdown()]
        events = [
            event(run, [question, extra], shown, concurrency_limit=1, api_visibility="private")
            for event in (send.click, question.submit)
        ]
        halt.click(None, cancels=events, api_visibility="private")
    return blocks


def serve(pair: Pair, max_new_tokens: int, port: int | None = None) -> None:
    """Serve the page on loopback until Ctrl-C. port: none for a free one."""
    blocks = page(pair, max_new_tokens)
    import gradio as gr

    # System fonts: gradio's own theme asks a font service for them.
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    try:
        blocks.launch(
            server_name=HOST,
            server_port=port,
            share=False,
            inbrowser=False,
            quiet=True,
            prevent_thread_lock=True,
            footer_links=[],
            theme=theme,
        )
    except OSError as error:
        raise UserError(f"The page cannot be served: {error}. Choose another --port.") from None
    print(f"Open {blocks.local_url} in a browser on this machine. Ctrl-C ends.", flush=True)
    blocks.block_thread()


def _question(text: str) -> str:
    if not text.strip():
        raise UserError("Write something first.")
    return text


def _joined(ends: dict[str, str]) -> str:
    return ", ".join(filter(None, ends.values()))
