"""Gauges of this web process: CPU, memory, sockets, connections to the database, waiting requests, lost log lines."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from forumapi.database.connections import Database
from forumapi.observability import log, metrics
from forumapi.observability.log import logger
from forumapi.realtime.live_service import Live
from forumapi.request.admission.admission_gate import AdmissionGate

_PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessGauges:
    """Gauges of this web process: its processor time, memory, live connections and lost log lines, and those of
    `database` and `gate`; `sample` is called once a second.
    """

    def __init__(self, database: Database, live: Live, gate: AdmissionGate) -> None:
        self._database = database
        self._gate = gate
        self._live = live
        self._cpu_s = 0.0
        self._lines_lost = 0

    def sample(self) -> None:
        """Set the gauges to their current values, and log how many log lines were lost since the last call."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = used.ru_utime + used.ru_stime
        metrics.CPU_SECONDS.add(cpu_s - self._cpu_s)
        self._cpu_s = cpu_s
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        metrics.WORKER_MEMORY.set(pages * _PAGE)
        metrics.SOCKETS.set(self._live.connections)
        self._database.sample_gauges()
        self._gate.sample_gauges()
        lost = log.lost() - self._lines_lost
        if lost:
            self._lines_lost += lost
            metrics.LOG_LOST.add(lost)
            logger.warning("%d lines of the log were lost", lost)
