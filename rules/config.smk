# The config file is checked before Snakemake reads it, which takes much for valid that is not.
# One that is given with --configfile Snakemake has read by now; it is checked all the same.

import sys
from pathlib import Path

# Beside this file, whichever workflow includes it.
here = workflow.current_basedir.get_path_or_uri(secret_free=False)
sys.path.insert(0, str(Path(here).parent / "scripts"))

from deltatune.config import file as config_file
from deltatune.core.errors import UserError
from deltatune.workflow import upstream
from deltatune.workflow.upstream import Refused

upstream.quote_interpreter()
upstream.compare_by_any_record()

try:
    # A module that is given a `config` reads no file.
    if workflow.modifier.skip_configfile:
        config_files, config_name, config_lines = [], "the config of this module", {}
    else:
        given = workflow.config_settings
        config_files = config_file.used(given.configfiles)
        config_name = config_file.name(config_files, bool(given.config))
        config_lines = config_file.read_all(config_files)
        # What comes from the command line stands in no line.
        config_lines = {} if given.config else config_lines
except UserError as error:
    raise Refused(str(error)) from None
