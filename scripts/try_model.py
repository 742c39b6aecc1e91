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


def parse_arguments() -> argparse.Namespace:
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
    how.add_argument("--once", metavar="QUESTION", help="ask this, print both answers, exit")
    how.add_argument("--web", action="store_true", help="a local web page (needs gradio)")
    parser.add_argument("--port", type=int, help="of the page; default: a free one")
    arguments = parser.parse_args()
    if arguments.max_new_tokens is not None and arguments.max_new_tokens < 1:
        parser.error("--max-new-tokens must be 1 or more")
    return arguments


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


def find_subject(arguments: argparse.Namespace) -> session.Subject:
    usual = arguments.configfile == Path("config.yaml")
    option = "" if usual else f" --configfile {arguments.configfile}"
    flow = Flow(read_config(arguments.configfile))
    return session.find(flow, arguments.experiment, arguments.seed, f"snakemake --cores 1{option}")


def load(subject: session.Subject) -> session.Pair:
    """Load without the warnings of libraries, which would stand between the answers."""
    warnings.filterwarnings("ignore")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        return session.load(subject)


def ask(pair: session.Pair, question: str, arguments: argparse.Namespace) -> None:
    """Print both answers, or the shares of the labels."""
    prompt = session.prompt(pair.subject, question, arguments.input)
    console = terminal.console()
    if pair.subject.outputs == "labels":
        console.print(terminal.label_table(session.label_table(pair, prompt)))
        return
    limit = arguments.max_new_tokens or pair.subject.longest
    answers = terminal.SideBySide(session.SIDES)
    with terminal.live(console, answers):
        for side in session.SIDES:
            with interruptible() as stop:
                for piece in pair.answer(side, prompt, limit, stop):
                    if isinstance(piece, session.End):
                        answers.titles[side] = f"{side} ({piece})"
                    else:
                        answers.texts[side] += piece


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, in place of ending the program."""
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def converse(pair: session.Pair, arguments: argparse.Namespace) -> None:
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
            ask(pair, question, arguments)
        except KeyboardInterrupt:
            print("\n(stopped)")
        except UserError as error:
            print(error)


def main() -> None:
    arguments = parse_arguments()
    try:
        subject = find_subject(arguments)
        if arguments.input:
            session.prompt(subject, "?", arguments.input)  # refused before anything is loaded
        if arguments.web:
            web.require()
        name = f"{subject.experiment}, seed {subject.seed}, {subject.quantization}"
        print(f"Loading {name} ...", file=sys.stderr)
        if subject.note:
            print(f"Note: {subject.note}", file=sys.stderr)
        pair = load(subject)
        if arguments.web:
            web.serve(pair, arguments.max_new_tokens or subject.longest, arguments.port)
        elif arguments.once is not None:
            ask(pair, arguments.once, arguments)
        else:
            converse(pair, arguments)
    except UserError as error:
        print(f"\n{error}\n", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
