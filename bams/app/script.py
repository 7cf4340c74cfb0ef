"""Runs a script's `main`; errors that the user can mend end in one sentence."""

import functools
import os
import signal
import sys
from collections.abc import Callable, Sequence

from bams.compute import distributed
from bams.compute.devices import is_out_of_memory
from bams.training.interrupts import Interrupted, handled


def script(main: Callable[[Sequence[str]], None]) -> Callable[[Sequence[str] | None], None]:
    """Let errors that the user can mend end `main(argv)` in one sentence and exit status 2.

    A run that was told to stop exits with 128 + the signal's number. `--debug` shows tracebacks.
    """

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> None:
        argv = list(sys.argv[1:] if argv is None else argv)
        # torchrun ends its processes with SIGTERM; one that waits for others could not run the handler
        signals = () if "WORLD_SIZE" in os.environ else (signal.SIGTERM,)
        try:
            # temporary files are removed on the way out
            with handled(lambda number, _: sys.exit(128 + number), *signals), distributed.started():
                main(argv)
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            sys.exit(stop.exit_status)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            sys.exit(130)
        except (ValueError, OSError, FloatingPointError, ImportError, MemoryError, RuntimeError) as error:
            kind = "out of memory: " if is_out_of_memory(error) else ""
            of_the_user = kind or not isinstance(error, MemoryError | RuntimeError)
            if not of_the_user or {"--debug", "--debug=true"} & set(argv):
                raise
            print(f"error: {kind}{' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(2)

    return wrapped
