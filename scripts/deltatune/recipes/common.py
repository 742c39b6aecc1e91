"""What recipes of all programs have, as settings here: optimizer, schedule, sources, names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from deltatune.core.errors import UserError
from deltatune.models.settings import Lora
from deltatune.recipes.translation import Translation, name_of, shown
from deltatune.train.optimizers import optimizer_names
from deltatune.train.settings import Training

Pin = Callable[[str, str, str], str]
"""(model or dataset, id, branch or tag) -> commit. Raises UserError where it is not known."""

UNPINNED = "commit-to-be-written"
_TRAINING, _LORA = "training", "lora"
_SCHEDULES = get_args(Training.model_fields["schedule"].annotation)
_INITIAL = (True, False, "gaussian", "orthogonal")


def optimizer(t: Translation, place: str, default: str) -> str:
    """The optimizer by its name in transformers; another one becomes the default here."""
    name = t.text(place, default)
    known = optimizer_names()
    if name in known or not known:
        return t.keep(place, f"{_TRAINING}.optimizer", name)
    usual = Training().optimizer
    t.lose(place, f"{shown(name, place)} is none of transformers.Trainer; {usual} instead")
    return usual


def schedule(t: Translation, place: str, default: str) -> str:
    name = t.text(place, default)
    if name in _SCHEDULES:
        return t.keep(place, f"{_TRAINING}.schedule", name)
    usual = Training().schedule
    t.lose(place, f"{shown(name, place)} is none of {', '.join(_SCHEDULES)}; {usual} instead")
    return usual


def warmup(t: Translation, default: float) -> float:
    """The fraction of the steps, of `warmup_ratio` or `warmup_steps`."""
    key = f"{_TRAINING}.warmup"
    ratio, steps, total = (t.number(p) for p in ("warmup_ratio", "warmup_steps", "max_steps"))
    if ratio is not None and 0 <= ratio < 1:
        return t.keep("warmup_ratio", key, ratio)
    if steps is not None and 0 <= steps < 1:
        return t.keep("warmup_steps", key, steps)
    if steps and total and steps < total:
        return t.keep("warmup_steps", key, round(steps / total, 6), "of max_steps")
    if steps:
        t.lose(
            "warmup_steps",
            f"here it is a fraction of the steps, whose number the data decide; {key}: {default}, "
            "change it once `snakemake plan` has said how many there are",
        )
    return t.keep("warmup_ratio", key, default)


def evaluations(t: Translation, epochs: float) -> int | None:
    """How often the validation loss is computed, in all of the training."""
    key = f"{_TRAINING}.evaluations"
    per_epoch, every = t.number("evals_per_epoch"), t.number("eval_steps")
    total = t.number("max_steps")
    if per_epoch and total and total > 0:
        t.lose("evals_per_epoch", f"max_steps have no epochs here; {key} has its default")
    elif per_epoch and per_epoch > 0:
        return t.keep("evals_per_epoch", key, max(1, round(per_epoch * epochs)))
    if every and 0 < every < 1:
        return t.keep("eval_steps", key, max(1, round(1 / every)))
    if every and every >= 1 and total and total > 0:
        return t.keep("eval_steps", key, max(1, round(total / every)), "of max_steps")
    if every:
        t.lose("eval_steps", f"here it is their number in all; {key} has its default")
    return None


def precision(t: Translation, half: dict[str, str]) -> str | None:
    """half: field -> the compute type that it asks for; None where no field says any."""
    given = {place: "auto" if t.get(place) == "auto" else t.flag(place) for place in half}
    chosen = {place: "auto" if on == "auto" else half[place] for place, on in given.items() if on}
    kept = next(iter(chosen.values()), None)
    for place, compute_type in chosen.items():
        if compute_type == kept:
            t.keep(place, f"{_TRAINING}.precision", kept)
    return kept


def duration(t: Translation, place: str, default: float) -> dict[str, Any]:
    """`max_steps`, which comes before epochs in both programs, or `epochs`."""
    steps = t.integer("max_steps")
    if steps and steps > 0:
        t.answer(place, "max_steps decides")
        return {"max_steps": t.keep("max_steps", f"{_TRAINING}.max_steps", steps)}
    t.answer("max_steps", "all epochs")
    return {"epochs": t.keep(place, f"{_TRAINING}.epochs", t.number(place, default))}


def sizes(t: Translation, rows: str, default: int) -> dict[str, int]:
    """batch_size and gradient_accumulation."""
    batch_size = t.integer(rows, default)
    steps = t.integer("gradient_accumulation_steps", 1)
    t.keep(rows, f"{_TRAINING}.batch_size", batch_size, "rows of max_length tokens, on one GPU")
    t.keep("gradient_accumulation_steps", f"{_TRAINING}.gradient_accumulation", steps)
    return {"batch_size": batch_size, "gradient_accumulation": steps}


def limits(t: Translation, epochs: float, half: dict[str, str]) -> dict[str, Any]:
    """What a recipe says of `max_grad_norm`, `evaluations` and `precision`.

    half: see `precision`.
    """
    chosen: dict[str, Any] = {}
    if norm := t.number("max_grad_norm"):
        chosen["max_grad_norm"] = t.keep("max_grad_norm", f"{_TRAINING}.max_grad_norm", norm)
    if (count := evaluations(t, epochs)) is not None:
        chosen["evaluations"] = count
    if compute_type := precision(t, half):
        chosen["precision"] = compute_type
    return chosen


def rows(t: Translation, task: dict[str, Any], packed: str, on_prompt: str, usual: bool) -> None:
    """`packing` and `train_on_prompt` of a task.

    packed, on_prompt: the recipe's fields. usual: whether the other program packs by itself.
    """
    task["packing"] = t.keep(
        packed, "tasks.NAME.packing", usual if t.get(packed) is None else t.flag(packed)
    )
    if task["kind"] == "instruct":
        task["train_on_prompt"] = t.keep(on_prompt, "tasks.NAME.train_on_prompt", t.flag(on_prompt))
    elif task["kind"] == "prose":
        t.answer(on_prompt, "of prose, all of the text is trained on")
    elif t.flag(on_prompt):
        t.lose(on_prompt, "of a conversation the assistant's turns alone are trained on here")


def sampling(
    t: Translation, places: dict[str, str], defaults: dict[str, float | None]
) -> dict[str, Any]:
    """`sampling` of an evaluation; {} where answers are greedy, or nothing is said of it.

    places: do_sample, temperature, top_p, top_k -> the field of each. defaults: those of the other
    program where it draws.
    """
    key = "evaluation.sampling"
    if all(t.get(place) is None for place in places.values()):
        return {}
    values = {name: t.number(places[name], default) for name, default in defaults.items()}
    if not t.flag(places["do_sample"], True) or values["temperature"] == 0:
        for place in places.values():
            t.answer(place, f"{key}: null, the likeliest token each time")
        return {}
    t.keep(places["do_sample"], key, True)
    chosen: dict[str, float] = {}
    for name, value in values.items():
        place = places[name]
        if value is None or (name == "top_k" and value == 0):
            t.answer(place, f"{key}.{name}: null, all tokens")
        elif name == "top_k" and value >= 1:
            chosen[name] = t.keep(place, f"{key}.{name}", int(value))
        elif name != "top_k" and 0 < value <= (1 if name == "top_p" else 100):
            chosen[name] = t.keep(place, f"{key}.{name}", value)
        else:
            t.refuse(place, f"{shown(value)} is none that tokens can be drawn by")
    return {"sampling": chosen}


def lora(t: Translation, keys: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """keys: field -> (key of `lora`, default of the other program, or None for the one here)."""
    settings = {}
    for place, (key, default) in keys.items():
        value = t.number(place) if key in ("rank", "alpha", "dropout") else t.get(place)
        if value is None and default is None:
            continue
        value = default if value is None else value
        if key == "init_lora_weights" and value not in _INITIAL:
            t.lose(place, f"{shown(value, place)} is not among {shown(_INITIAL, place)}; true here")
            continue
        settings[key] = t.keep(place, f"{_LORA}.{key}", value)
    # The names of what is refused later are those of the model.
    return {key: value for key, value in settings.items() if key in Lora.model_fields}


# ---------------------------------------------------------------- models, data sets


def exists(path: str, folder: Path) -> bool:
    try:
        return (folder / Path(path).expanduser()).exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, ~ of nobody
        return False


def is_local(path: str, folder: Path) -> bool:
    """Whether a path or an id is a path: it looks like one, or there is something behind it."""
    return exists(path, folder) or path.startswith(("/", "./", "../", "~")) or path.count("/") > 1


def model(t: Translation, place: str, revision: str, folder: Path, pin: Pin) -> tuple[str, dict]:
    """(name, section) of the base."""
    path = t.text(place)
    if not path:
        t.refuse(place, "no model is named")
        return "model", {}
    if is_local(path, folder):
        return name_of(path, "model"), {
            "source": "local",
            "path": t.keep(place, "models.NAME.path", path),
        }
    name = name_of(path, "model")
    t.keep(place, f"models.{name}.id", path)
    section = {"source": "hub", "id": path}
    return name, section | pinned(t, "model", path, revision, f"models.{name}", pin)


def pinned(t: Translation, kind: str, id: str, place: str, where: str, pin: Pin) -> dict[str, str]:
    """`revision`: the commit that a branch or tag is now."""
    wanted = t.text(place) or "main"
    key = f"{where}.revision"
    try:
        return {"revision": t.keep(place, key, pin(kind, id, wanted))}
    except UserError as error:
        t.to_do.append(f"{key}: write a commit of '{shown(id)[1:-1]}' there ({error})")
    if wanted != "main":
        return {"revision": t.keep(place, key, wanted)}
    return {"revision": UNPINNED}


def size(t: Translation, place: str) -> float | int | None:
    """The size of the validation split; None for the default here."""
    share = t.number(place)
    key = "split.validation"
    if share and 0 < share < 1:
        return t.keep(place, key, share)
    if share and share >= 1:
        return t.keep(place, key, int(share))
    if t.get(place) is not None:
        t.lose(place, f"training has a validation set here; {key} has its default")
    return None
