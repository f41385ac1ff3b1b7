"""The end of a run: workers stop stage by stage, so that what is in flight is still written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.workers.runtime import EXIT_STUCK, STOP_GRACE_S

if TYPE_CHECKING:
    from engine.process import WorkerProcess
    from engine.supervisor import Supervisor


def stop_in_order(run: Supervisor) -> None:
    """Stop stage by stage, sources first, so that what is in flight is still written."""
    deadline_ns = run.clock.now_ns() + round(run.config.supervisor.stop_timeout_s * 1e9)
    stages: dict[int, list[WorkerProcess]] = {}
    for process in run.processes.values():
        stages.setdefault(process.spec.stage, []).append(process)
    for stage in sorted(stages):
        for process in stages[stage]:
            process.send({"type": "stop"})
        # A thread that is stuck cannot leave by itself, as a process does after that time.
        grace_ns = run.clock.now_ns() + round(STOP_GRACE_S * 1e9)
        for process in stages[stage]:
            until_ns = min(deadline_ns, grace_ns) if process.spec.host else deadline_ns
            end(run, process, max(0.05, (until_ns - run.clock.now_ns()) / 1e9))


def end(run: Supervisor, process: WorkerProcess, timeout_s: float) -> None:
    """Wait so long for a worker that was told to stop; kill it if it has not."""
    if process.pid is None:
        process.state = "failed" if process.state == "failed" else "stopped"
        return
    in_time = process.wait_exited(timeout_s)
    if not in_time and process.spec.host:
        run.terminal.log("debug", process.spec.name, "did not stop in time: ends with its process")
        process.state = "stopped"
        return
    if not in_time:
        run.terminal.log("warning", process.spec.name, "did not stop in time: killed")
        process.kill()
    status = run.confirm_death(process)
    if process.fatal is not None and process.state != "failed":
        run.fail(process, process.fatal["message"], process.fatal["exit_code"])
    elif status == EXIT_STUCK:
        # A decoder that waits for its camera has nothing to lose.
        level = "debug" if process.spec.kind == "decode" else "warning"
        run.terminal.log(level, process.spec.name, "did not stop in time: left at once")
    elif status and in_time:
        run.terminal.log("warning", process.spec.name, process.cause_of_death(status))
    process.state = "failed" if process.state == "failed" else "stopped"
