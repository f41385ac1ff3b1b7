"""`engine-run`: flags to a checked plan, then the supervisor. `--help` imports nothing heavy.

Exit status: 0 the run ended as asked (sources ended, `--duration` over, SIGTERM or Ctrl-C); 1 a camera, model,
output or worker failed; 2 a flag or setting is wrong.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine import __version__
from engine.errors import ConfigError, EngineError
from ipc.segment import SegmentError

if TYPE_CHECKING:
    from engine.config import LoadedConfig
    from engine.supervisor import RunPlan


def build_parser() -> argparse.ArgumentParser:
    """The command line of `engine-run`."""
    parser = argparse.ArgumentParser(
        prog="engine-run",
        description="Cameras in; tracked objects as JSON lines and video out, live.",
        epilog="Sources: a file, a folder of pictures, rtsp://…, http(s)://…, rtmp://…, a webcam number, test:// "
        "(a moving test picture), or scene://… (a drawn world; the default: one with a fixed and a PTZ camera, and its "
        "score at the end). Exit status: 0 ended as asked, 1 something failed, 2 wrong setting.",
    )
    parser.add_argument(
        "--profile", default="m3-cpu", help="profile name or path of a TOML file (default: m3-cpu)"
    )
    parser.add_argument("--source", action="append", metavar="[NAME=]URL", help="a source; may be repeated")
    parser.add_argument(
        "--no-source", action="store_true", help="begin without a camera: they are added while it runs"
    )
    parser.add_argument("--cameras", type=Path, metavar="FILE", help="cameras file, TOML or JSON")
    parser.add_argument(
        "--model", metavar="NAME|PATH", help="registered or embedded model, ONNX file, or `motion`"
    )
    parser.add_argument(
        "--require-model",
        action="store_true",
        default=None,
        help="no embedded model in place of one that cannot be had: end with an error instead",
    )
    parser.add_argument(
        "--tracker", metavar="NAME", help="botsort (default), bytetrack, sort, or FILE.py:CLASS"
    )
    parser.add_argument(
        "--reid",
        metavar="NAME|PATH",
        help="re-identification model; without it identity goes by place and motion",
    )
    parser.add_argument(
        "--identity",
        metavar="SCOPE",
        help="who is remembered: off (default), camera or global; docs/identity.md",
    )
    parser.add_argument(
        "--segment",
        metavar="MODE",
        help="masks: off (default), boxes, track, prompt or auto; docs/segmentation.md",
    )
    parser.add_argument(
        "--segment-model",
        metavar="NAME|DIR",
        help="segmenter that makes them, or `detector` for the detector's own",
    )
    parser.add_argument(
        "--save-masks",
        nargs="?",
        const="png",
        choices=("png", "rle", "polygon"),
        help="write the masks of every frame into masks/CAMERA/, a file each (default: png)",
    )
    parser.add_argument(
        "--bus",
        action="append",
        metavar="URL",
        help="broker that events go to: mqtt://, nats://, redis:// or kafka://; may be repeated; docs/bus.md",
    )
    parser.add_argument(
        "--publish",
        action="append",
        metavar="URL",
        help="where processed video goes: rtmp://, rtsp://, whip:// or hls:FOLDER, {camera} = the camera's name; may "
        "be repeated; docs/publishing.md",
    )
    parser.add_argument("--out", metavar="DIR", help="folder for output files")
    parser.add_argument(
        "--record",
        metavar="FILE.mp4",
        help="one video of all cameras side by side, with masks, boxes and IDs",
    )
    parser.add_argument(
        "--offline", action="store_true", default=None, help="every frame, as fast as it goes"
    )
    parser.add_argument("--loop", action="store_true", default=None, help="start files again at their end")
    parser.add_argument("--no-overlay", action="store_true", help="write no video")
    parser.add_argument(
        "--style",
        metavar="NAME",
        help="what is drawn into video: full (default), boxes, outline, …; docs/overlay.md",
    )
    parser.add_argument("--duration", type=float, metavar="S", help="stop after this many seconds")
    parser.add_argument(
        "--rtsp-transport", choices=("tcp", "udp"), help="transport of RTSP media (default: tcp)"
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", help="address of the control endpoint (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=int, help="port of the control endpoint, 0 = any free one (default: 8080)"
    )
    parser.add_argument(
        "--tokens", metavar="FILE", help="who may log in; needed for any address but this machine's own"
    )
    parser.add_argument(
        "--new-token",
        choices=("viewer", "operator", "admin"),
        metavar="ROLE",
        help="make a token for a viewer, operator or admin, add it to the file of --tokens, show it once; stop",
    )
    parser.add_argument("--token-name", metavar="NAME", default="", help="whose it is (default: its role)")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="default: info")
    parser.add_argument(
        "--print-config", action="store_true", help="show every setting and where it is from; stop"
    )
    parser.add_argument("--version", action="version", version=f"camring {__version__}")
    return parser


def load_config(args: argparse.Namespace) -> LoadedConfig:
    """The effective configuration. Raises `ConfigError`."""
    from engine.config import load_run_config

    if args.no_source and args.offline:
        raise ConfigError("flag --no-source: an offline run has the cameras that it begins with; name them")
    flags = {
        "source": args.source or [],
        "loop": args.loop,
        "rtsp_transport": args.rtsp_transport,
        "infer.model": args.model,
        "infer.require_model": args.require_model,
        "track.tracker": args.tracker,
        "reid.model": args.reid,
        "identity.scope": args.identity,
        "segment.mode": args.segment,
        "segment.model": args.segment_model,
        "output.save_masks": args.save_masks,
        "bus.urls": args.bus,
        "stream.publish": args.publish,
        "output.directory": args.out,
        "output.record": args.record,
        "output.overlay": False if args.no_overlay else None,
        "output.style": args.style,
        "control.host": args.host,
        "control.port": args.port,
        "control.tokens": args.tokens,
        "offline": args.offline,
        "duration_s": args.duration,
        "log_level": args.log_level,
    }
    if is_default(args):
        from engine.default_run import load_default

        return load_default(args.profile, flags)
    return load_run_config(args.profile, args.cameras, flags)


def is_default(args: argparse.Namespace) -> bool:
    """Nobody has said anything of cameras: the built-in scene takes their place."""
    return not (args.source or args.cameras or args.no_source)


def make_plan(loaded: LoadedConfig, embedded: Path | None = None) -> RunPlan:
    """Check what can be checked before anything is started. Raises an `EngineError`.

    embedded  folder of embedded models, None = the package's
    """
    from engine.config.identity import OFF
    from engine.control.listen import bind_socket
    from engine.control.security import read_security
    from engine.model_setup import choose_models
    from engine.outputs.directory import claim_directory
    from engine.supervisor import RunPlan

    config = loaded.config
    if config.control.enabled:
        read_security(config.control)
    if config.output.record != OFF:
        from engine.outputs.mosaic_file import check_record

        check_record(Path(config.output.record).expanduser(), loaded.origins["output.record"])
    with ExitStack() as undo:
        output_lock_fd = claim_directory(Path(config.output.directory))
        undo.callback(os.close, output_lock_fd)
        chosen = choose_models(config, tell_progress, embedded)
        listening = bind_socket(config.control.host, config.control.port) if config.control.enabled else None
        undo.pop_all()
    return RunPlan(chosen.config, chosen.detector, output_lock_fd, listening, chosen.reid, models=chosen.told)


def make_token(role: str, name: str, tokens: str | None) -> int:
    """Show a new token on standard output, once, and keep what is needed to know it again. Raises `ConfigError`."""
    from engine.control.roles import Role
    from engine.control.tokens import append_token, new_token

    secret, token = new_token(Role[role.upper()], name or role)
    if tokens is None:
        print(f"engine-run: line for the file of control.tokens: {token.line}", file=sys.stderr)
    else:
        append_token(Path(tokens).expanduser(), token)
        print(f"engine-run: {token.name} ({role}) added to {tokens}; the token:", file=sys.stderr)
    print(secret)
    return 0


def tell_models(plan: RunPlan, log: Callable[[str, str, str], None]) -> None:
    """Which models run and why, and each that stands in for another. `log` takes level, source and text."""
    for what, model in plan.models.items():
        log("info", "engine", f"{what} {model['used']}: {model['reason']}")
    for reason in plan.degraded:
        log("warning", "engine", f"degraded: {reason}")


def tell_progress(model: str) -> Callable[[int, int], None]:
    """A line for every tenth of a model that has to be fetched before the run can begin."""
    told = -1

    def progress(have_bytes: int, all_bytes: int) -> None:
        nonlocal told
        tenth = 10 * have_bytes // max(1, all_bytes)
        if tenth != told:
            told = tenth
            print(f"engine-run: fetching {model}: {10 * tenth} % of {all_bytes} bytes", file=sys.stderr)

    return progress


def raise_descriptor_limit() -> None:
    """Take as many file descriptors as we are allowed: a camera needs about 30 in the supervisor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says "infinity" and refuses it.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(args: argparse.Namespace) -> int:
    """Load, plan, run; returns the exit status."""
    loaded = load_config(args)
    if args.print_config:
        from engine.config import render_config

        print(render_config(loaded))
        return 0
    from engine.clock import SystemClock
    from engine.control.security import OFF
    from engine.default_run import discard_truth, shown
    from engine.scene_scores import score_lines
    from engine.supervisor import Supervisor
    from engine.terminal import Terminal, summary_of

    raise_descriptor_limit()
    with closing(make_plan(loaded)) as plan, Terminal(loaded.config.log_level) as terminal:
        tell_models(plan, terminal.log)
        if is_default(args):
            discard_truth(loaded.config)
            terminal.log("info", "engine", shown(plan.config))
        if plan.listening is not None:
            host, port = plan.listening.getsockname()[:2]
            scheme = "http" if loaded.config.control.tls_cert == OFF else "https"
            address = f"[{host}]" if ":" in host else host
            terminal.log(
                "info", "engine", f"dashboard, API, health and metrics at {scheme}://{address}:{port}/"
            )
        supervisor = Supervisor(plan, SystemClock(), terminal)
        exit_code = supervisor.run()
    print(summary_of(supervisor.status, loaded.config.output.directory))
    for line in score_lines(supervisor.config):
        print(line)
    return exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `engine-run`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal can show a dash
    args = build_parser().parse_args(argv)
    try:
        if args.new_token:
            return make_token(args.new_token, args.token_name, args.tokens)
        return run(args)
    except (EngineError, SegmentError) as error:
        print(f"engine-run: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, EngineError) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
