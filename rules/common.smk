# What the other rule files share: the validated settings as `flow`, and bounds for wildcards.

import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from deltatune.errors import UserError
from deltatune.workflow import NAME, SPLITS, SYSTEM, Flow

try:
    flow = Flow(config)
except UserError as error:
    # One message for the person, not a traceback through Snakemake.
    print(f"\ndeltatune: {error}\n", file=sys.stderr)
    sys.exit(1)


wildcard_constraints:
    dataset=NAME,
    task=NAME,
    model=NAME,
    experiment=NAME,
    system=SYSTEM,
    seed=r"\d+",
    split="|".join(SPLITS),
    table="comparison|elsewhere",
