import importlib.util
import os
import sys

CORE = "DiffuseMorphCore"


def importCore():
    """Import the core that belongs to this module, and no copy of another version that may lie in site-packages.

    Installed, it lies beside the module file; in the source tree, added to Additional module paths, it is one up. The
    search path of the application is left alone. Where it is in neither place, the usual import will look for it.
    """
    moduleFolder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder in (moduleFolder, os.path.dirname(moduleFolder)):
        package = os.path.join(folder, CORE)
        file = os.path.join(package, "__init__.py")
        if not os.path.isfile(file):
            continue
        loaded = sys.modules.get(CORE)
        if loaded is not None and os.path.abspath(loaded.__file__) == file:
            return
        for name in [name for name in sys.modules if name.split(".")[0] == CORE]:
            del sys.modules[name]
        specification = importlib.util.spec_from_file_location(CORE, file, submodule_search_locations=[package])
        sys.modules[CORE] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(sys.modules[CORE])
        return
