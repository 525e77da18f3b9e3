"""vertebral-bmd inside 3D Slicer, without a window: the command line's own commands, files and exit status.

    Slicer --no-splash --no-main-window --python-script .../VertebralBMDLib/slicer_main.py -- batch data --output out

Slicer executes this file in its main module, reads it in the encoding of the system (so it holds ASCII only), and puts its
folder first on sys.path, where the files of the library would stand in for other packages. Run by a plain Python it does the
same.
"""

import os
import sys
import traceback


def _import_the_library():
    """Find the package beside this file's folder, and nothing of it by a shorter name."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or os.curdir) != here]
    sys.path.insert(0, os.path.dirname(here))
    from VertebralBMDLib.cli import main

    return main


def _status(arguments):
    """Exit status of a command, whatever happens: with none, Slicer would stay open without a window."""
    try:
        return _import_the_library()(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1


def _exit(status):
    # In Slicer the module is always there; elsewhere it is not needed.
    slicer = sys.modules.get("slicer")
    if hasattr(slicer, "app"):
        slicer.util.exit(status)
    else:
        sys.exit(status)


if __name__ == "__main__":
    # Slicer takes "--" away; other interpreters hand it on.
    _exit(_status(sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]))
