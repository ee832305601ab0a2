"""Progress on stderr: a live line with stage, share done, time left and the deciding metric; plain lines in a pipe.

Everything the run says also goes to `log.txt` in its folder.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

log = logging.getLogger(__name__)


class Progress:
    """Where a run tells how far it is. `with progress.stage(...)`, and inside it `progress.update(share, text)`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._console = Console(stderr=True, quiet=quiet)
        self._live = self._console.is_terminal and not quiet
        self._bar: Bar | None = None
        self._file: logging.Handler | None = None
        self._root = logging.getLogger("lepton_solutions")
        self._root.setLevel(logging.INFO)
        self._root.propagate = False
        screen: logging.Handler
        if self._live:
            screen = RichHandler(console=self._console, show_time=False, show_path=False, show_level=False)
        else:
            screen = logging.StreamHandler(sys.stderr)
        screen.setFormatter(logging.Formatter("%(message)s"))
        self._root.handlers = [] if quiet else [screen]

    def attach(self, path: Path) -> None:
        """Also write everything to a file, with times; one run's file at a time."""
        self.detach()
        self._file = logging.FileHandler(path, encoding="utf-8")
        self._file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._root.addHandler(self._file)

    def detach(self) -> None:
        """Write to no file any more."""
        if self._file is not None:
            self._root.removeHandler(self._file)
            self._file.close()
            self._file = None

    @contextmanager
    def stage(self, name: str, number: int, total: int) -> Iterator[None]:
        """One stage: a live bar while it runs, one line with its seconds when it is through."""
        start = time.perf_counter()
        if self._live:
            columns = (
                TextColumn("{task.description:<9}"),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
            )
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.add_task(f"{number}/{total} {name}", total=1.0, text="")
            self._bar.start()
        self._text = ""
        try:
            yield
        finally:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None
        log.info("%d/%d %-9s %6.1f s  %s", number, total, name, time.perf_counter() - start, self._text)

    def update(self, share: float, text: str) -> None:
        """How much of the stage is done, 0 to 1, and the figure to watch."""
        self._text = text
        if self._bar is not None:
            self._bar.update(self._bar.tasks[0].id, completed=share, text=text)

    def skipped(self, name: str, number: int, total: int) -> None:
        """A stage whose result is there already."""
        log.info("%d/%d %-9s as before", number, total, name)
