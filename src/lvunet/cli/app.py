"""All commands under one name.

Exit code 0: all done. 1: done, but some files were left out, and named. 2: not done, and why. 130: interrupted.
"""

import os
import signal
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from lvunet.card import INTENDED_USE, VERSION
from lvunet.errors import LVUNetError
from lvunet.screen import complain

app = App(
    name="lvunet",
    suppress_keyboard_interrupt=False,
    help=f"LV-UNet. {INTENDED_USE}",
    version=f"lvunet {VERSION}. {INTENDED_USE}",
)
for command in (
    "model:segment",
    "training:train",
    "evaluation:evaluate",
    "export:export",
    "benchmark:benchmark",
    "model:demo",
    "export:doctor",
    "robustness:robustness",
):
    app.command(f"lvunet.cli.{command}")  # by its path: a command loads only what it needs itself
for group in ("data", "weights"):
    app.command(f"lvunet.cli.{group}:app", name=group)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line, by default that of the process, and exit."""
    for name in ("SIGTERM", "SIGHUP"):  # a closed terminal, a stopped container: they leave as little behind as Ctrl-C
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) == signal.SIG_DFL:  # nohup has the second one ignored
            signal.signal(number, signal.default_int_handler)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's: 40 ms of each start, and no command needs them
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0].startswith("-"):
        app.resolved_commands()  # the list of all commands has a sentence of each
    try:
        code = app(given, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        complain(_in_a_sentence(error))
        code = 2
    except LVUNetError as error:
        complain(str(error))
        code = 2
    except ModuleNotFoundError as error:
        complain(f"this command needs the package {error.name}: pip install 'lvunet[train]'")
        code = 2
    except OSError as error:
        complain(f"{error.strerror}: {error.filename}" if error.filename else str(error))
        code = 2
    except KeyboardInterrupt:
        complain("interrupted. Whole files are kept, half ones are not; `train` and `demo` go on if run again.")
        code = 130
    sys.exit(code or 0)


def _in_a_sentence(error: CycloptsError) -> str:
    """Return what is wrong with the arguments; of a value out of its range, which and why, without pydantic's words."""
    from pydantic import ValidationError

    cause = error.__cause__ or error.__context__
    if not isinstance(cause, ValidationError):
        return str(error)
    first = cause.errors()[0]
    flag = "--" + ".".join(map(str, first["loc"])).replace("_", "-")
    return f"{flag} {first['input']}: {first['msg']}." if first["loc"] else f"{first['msg']}."
