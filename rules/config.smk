# The config file is checked before Snakemake reads it, which takes much for valid that is not.
# One that is given with --configfile Snakemake has read by now; it is checked all the same.

import sys
from pathlib import Path

# Beside this file, whichever workflow includes it.
here = workflow.current_basedir.get_path_or_uri(secret_free=False)
sys.path.insert(0, str(Path(here).parent / "scripts"))

from deltatune.config import file as config_file
from deltatune.core.errors import UserError
from deltatune.workflow.upstream import Refused

try:
    config_lines = config_file.read_all(
        workflow.config_settings.configfiles or ["config.yaml"]
    )
except UserError as error:
    raise Refused(str(error)) from None
