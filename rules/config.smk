# The config file is checked before Snakemake reads it, which takes much for valid that is not.
# One that is given with --configfile Snakemake has read by now; it is checked all the same.

import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from deltatune.config import file as config_file
from deltatune.core.errors import UserError
from deltatune.core.text import printable

try:
    config_lines = config_file.read_all(
        workflow.config_settings.configfiles or ["config.yaml"]
    )
except UserError as error:
    # One message for the person, not a traceback through Snakemake.
    print(f"\ndeltatune: {printable(str(error))}\n", file=sys.stderr)
    sys.exit(1)
