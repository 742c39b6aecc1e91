"""Ask a base and what was tuned from it the same question, in a terminal or a page.

    python scripts/try_model.py EXPERIMENT
    python scripts/try_model.py EXPERIMENT --once "Name a river."
    python scripts/try_model.py EXPERIMENT --web

Start it in the folder that snakemake was run in. Ctrl-C stops an answer, Ctrl-D ends.
"""

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

# Everything is on this machine: nothing is asked of the hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import yaml
from deltatune.ask import session, terminal, web
from deltatune.core.errors import UserError
from deltatune.workflow.flow import Flow


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="try_model.py",
        description="Ask a base and what was tuned from it the same question, side by side.",
        epilog="Ctrl-C stops an answer, Ctrl-D ends.",
    )
    parser.add_argument("experiment", help="a name under `experiments` in config.yaml")
    parser.add_argument("--seed", type=int, help="training seed; default: the first of `seeds`")
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        metavar="N",
        help="longest answer; default: as in the task's evaluation",
    )
    parser.add_argument("--configfile", type=Path, default=Path("config.yaml"), metavar="FILE")
    parser.add_argument("--input", default="", help="the input that goes with each instruction")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", metavar="QUESTION", help="ask this, print both answers, end")
    how.add_argument("--web", action="store_true", help="a page on this machine (needs gradio)")
    parser.add_argument("--port", type=int, help="of the page; default: a free one from 7860")
    found = parser.parse_args(given)
    if found.max_new_tokens is not None and found.max_new_tokens < 1:
        parser.error("--max-new-tokens must be 1 or more")
    return found


def read_config(path: Path) -> dict:
    if not path.is_file():
        raise UserError(
            f"There is no '{path}' here. Start this in the folder that snakemake was run in, or "
            "name the file with --configfile."
        )
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no settings.")
    return config


def subject(given: argparse.Namespace) -> session.Subject:
    usual = given.configfile == Path("config.yaml")
    option = "" if usual else f" --configfile {given.configfile}"
    flow = Flow(read_config(given.configfile))
    return session.find(flow, given.experiment, given.seed, f"snakemake --cores 1{option}")


def load(chosen: session.Subject) -> session.Pair:
    """Load without the libraries' own remarks, which would stand between the answers."""
    warnings.filterwarnings("ignore")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from transformers.utils import logging as remarks

    remarks.set_verbosity_error()
    remarks.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        return session.load(chosen)


def ask(pair: session.Pair, question: str, given: argparse.Namespace) -> None:
    """Print both answers, or the shares of the labels."""
    prompt = session.prompt(pair.subject, question, given.input)
    if pair.subject.outputs == "labels":
        rows = session.label_table(pair, prompt)
        print("\n".join(terminal.table(rows, terminal.window()[0])))
        return
    limit = given.max_new_tokens or pair.subject.longest
    live = terminal.Live(sys.stdout)
    titles = {side: side for side in session.SIDES}
    texts = dict.fromkeys(session.SIDES, "")

    def lines() -> list[str]:
        width, _ = terminal.window()
        return terminal.columns(tuple(titles.values()), tuple(texts.values()), width)

    for side in session.SIDES:
        drawn = 0.0
        with interruptible() as stop:
            for piece in pair.answer(side, prompt, limit, stop):
                if isinstance(piece, session.End):
                    titles[side] = f"{side} ({piece})"
                else:
                    texts[side] += piece
                # Often enough to be read as it comes, seldom enough not to flicker.
                if time.monotonic() - drawn > 0.05:
                    live.draw(lines())
                    drawn = time.monotonic()
    live.draw(lines(), last=True)


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, in place of ending the program."""
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def converse(pair: session.Pair, given: argparse.Namespace) -> None:
    """Questions from the keyboard, until Ctrl-D."""
    # A shell that starts programs in the background has them ignore Ctrl-C, which asks again here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  line editing, and earlier questions with the arrow keys
    what = {"answers": "A question", "text": "Text to continue", "labels": "A text"}
    print(f"{what[pair.subject.outputs]}, then Enter. Ctrl-C stops an answer, Ctrl-D ends.")
    while True:
        try:
            question = input("\n> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            continue
        if not question.strip():
            continue
        try:
            ask(pair, question, given)
        except KeyboardInterrupt:
            print("\n(stopped)")
        except UserError as error:
            print(error)


def main() -> None:
    given = arguments()
    try:
        chosen = subject(given)
        if given.input:
            session.prompt(chosen, "?", given.input)  # refused before anything is loaded
        if given.web:
            web.require()
        name = f"{chosen.experiment}, seed {chosen.seed}, {chosen.quantization}"
        print(f"Loading {name} ...", file=sys.stderr)
        if chosen.note:
            print(f"Note: {chosen.note}", file=sys.stderr)
        pair = load(chosen)
        if given.web:
            web.serve(pair, given.max_new_tokens or chosen.longest, given.port)
        elif given.once is not None:
            ask(pair, given.once, given)
        else:
            converse(pair, given)
    except UserError as error:
        print(f"\n{error}\n", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
