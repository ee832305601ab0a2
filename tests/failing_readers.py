"""Readers that fail, in a module that a reading process imports in no time."""

import multiprocessing
import os
import signal

from lepton_solutions.data.readers import MappedRows
from lepton_solutions.errors import UserError


class Deadly(MappedRows):
    """Kills any process that reads but the one of the test."""

    def read(self, start, stop):
        if multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(start, stop)


class Faulty(MappedRows):
    """Finds a mistake of the user's in every row."""

    def read(self, start, stop):
        raise UserError("scan.png: cannot be read", hint="look at it")
