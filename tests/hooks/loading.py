"""Something is changed in a module as soon as it is loaded."""

import importlib.abc
import importlib.util
import sys


def when_loaded(module, change):
    """Call `change` with the module of this name."""
    sys.meta_path.insert(0, _Loading(module, change))


class _Loading(importlib.abc.MetaPathFinder):
    def __init__(self, module, change):
        self._module, self._change = module, change

    def find_spec(self, name, path, target=None):
        if name != self._module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            self._change(module)

        spec.loader.exec_module = exec_module
        return spec
