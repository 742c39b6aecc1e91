"""The program of each process of distributed training; `train.launch` starts them."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deltatune.core import signals
from deltatune.core.errors import UserError
from deltatune.models import oom
from deltatune.models.batch import OutOfMemory

#: Seconds to finish a step and save it in, once the launcher has gone.
GRACE = 180


class MessageQueue:
    """The file through which a process sends messages to its launcher, which reads them."""

    def __init__(self, folder: str, rank: int) -> None:
        self._path = Path(folder, f"{rank}.jsonl")

    def send(self, kind: str, content: Any) -> None:
        """Append one line in one write."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "content": content}) + "\n")


def main(path: str) -> int:
    """The exit status. Errors are sent, not raised: the launcher ends the other processes."""
    threading.Thread(target=_watchdog, args=(os.getppid(),), daemon=True).start()
    signals.end_with_parent()
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    rank = int(os.environ["RANK"])
    queue = MessageQueue(job["messages"], rank)
    try:
        result = _work(job, queue, rank)
    except UserError as error:
        queue.send("user_error", str(error))
        return 1
    except OutOfMemory as error:
        traceback.print_exc()
        queue.send("out_of_memory", asdict(error.batch))
        return 1
    except Exception as error:
        traceback.print_exc()
        if oom.out_of_memory(error):
            queue.send("user_error", _too_large(job["training"]["sharded"]))
        else:
            text = f"process {rank}: {type(error).__name__}: {str(error)[:300]}"
            queue.send("failed", text)
        return 1
    if rank == 0:
        queue.send("result", result)
    return 0


def _watchdog(launcher: int) -> None:
    """End this process some time after its launcher: one that waits on a GPU for another process,
    which was killed too, would not notice that it is asked to stop."""
    while os.getppid() == launcher:
        time.sleep(1)
    time.sleep(GRACE)
    os._exit(1)


def _too_large(sharded: bool) -> str:
    advice = "" if sharded else "Set training.sharded: true, "
    verb = "Load" if sharded else "load"
    return (
        f"Out of memory while the base was loaded. {advice}{verb} it in fewer bits (quantization: "
        "nf4), or use GPUs with more memory."
    )


def _work(job: dict, queue: MessageQueue, rank: int) -> dict:
    if rank:
        # What the first one prints is enough; errors are printed by all.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import torch
    from accelerate import PartialState

    if job["on_gpu"]:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # It joins the processes, as the Trainer would later: NCCL on GPUs, gloo without.
    PartialState(cpu=not job["on_gpu"])
    from deltatune.train import distributed
    from deltatune.train import job as training_job

    def sender(kind: str):
        return lambda text: queue.send(kind, text) if rank == 0 else None

    result = training_job.run(job, progress=sender("progress"), say=sender("say"))
    # The first one has saved the adapter; now all may end.
    distributed.all_gather(None)
    torch.distributed.destroy_process_group()
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
