"""`engine-ptz`: find cameras with a head, try them, measure them, move them, and score how well they would follow.

`--help` imports nothing heavy. Exit status: 0 done; 1 the camera cannot, or does not answer; 2 a flag or setting is
wrong; 130 interrupted (a head that moved has been stopped).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from engine import __version__
from engine.errors import EngineError


def build_parser() -> argparse.ArgumentParser:
    """The command line of `engine-ptz`."""
    parser = argparse.ArgumentParser(
        prog="engine-ptz",
        description="Cameras with a head: find, try, measure and move them; score how well they follow people.",
        epilog="A camera is named by --url and --driver, or by --cameras FILE --camera NAME as engine-run knows it. "
        "Passwords are read from the environment variable that --password-env names. docs/ptz.md has examples.",
    )
    parser.add_argument("--version", action="version", version=f"camring {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_discover(commands)
    _add_camera_commands(commands)
    _add_simulated_commands(commands)
    return parser


def _add_discover(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    discover = commands.add_parser("discover", help="ask the network which ONVIF cameras there are")
    discover.add_argument(
        "--timeout", type=float, default=3.0, metavar="S", help="how long to listen (default: 3)"
    )
    discover.add_argument("--interface", default="", metavar="ADDRESS", help="address of ours to ask through")
    discover.add_argument("--address", default="", metavar="HOST", help="ask this host alone")
    discover.add_argument("--json", action="store_true", help="as JSON")


def _add_camera_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    camera = argparse.ArgumentParser(add_help=False)
    chosen = camera.add_argument_group("which camera")
    chosen.add_argument("--cameras", type=Path, metavar="FILE", help="cameras file of engine-run ...")
    chosen.add_argument("--camera", metavar="NAME", help="... and the name of one with [camera.ptz]")
    chosen.add_argument("--url", help="http://host[:port], without user and password")
    chosen.add_argument("--driver", choices=("hikvision", "isapi", "onvif"), help="how to talk to it")
    chosen.add_argument("--user", help="user name")
    chosen.add_argument("--password-env", metavar="NAME", help="environment variable that holds the password")
    chosen.add_argument("--channel", type=int, default=1, metavar="N", help="video input (default: 1)")

    def add(name: str, about: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=about, parents=[camera])

    add("status", "what it can do and where it points; nothing moves").add_argument(
        "--json", action="store_true", help="as JSON"
    )
    add("probe", "prove by a short move that it moves and stops, and which way is which").add_argument(
        "--json", action="store_true", help="as JSON"
    )
    add("unlock", "let a password be tried again that was refused, after putting the camera right")
    move = add("move", "turn it, send it somewhere, or stop it")
    move.add_argument("--pan", type=float, default=0.0, metavar="DEG_S", help="speed to the right")
    move.add_argument("--tilt", type=float, default=0.0, metavar="DEG_S", help="speed upwards")
    move.add_argument("--zoom", type=float, default=0.0, metavar="OCTAVES_S", help="1 doubles in a second")
    move.add_argument("--seconds", type=float, default=0.5, metavar="S", help="for how long (default: 0.5)")
    move.add_argument(
        "--to",
        type=float,
        nargs=3,
        metavar=("PAN", "TILT", "ZOOM"),
        help="go to this azimuth, elevation and zoom ratio",
    )
    move.add_argument("--stop", action="store_true", help="stop, and see that it stands")
    move.add_argument(
        "--take", action="store_true", help="take the head over from whoever has it on this machine"
    )
    preset = add("preset", "list, call, store or forget stored places")
    preset.add_argument("action", choices=("list", "goto", "store", "remove"))
    preset.add_argument("preset", nargs="?", default="", help="its number (ISAPI) or token (ONVIF)")
    preset.add_argument("--name", default="", help="name to store it by")
    preset.add_argument(
        "--reserved", action="store_true", help="also a number that the camera reserves, whatever that does"
    )
    calibrate = add(
        "calibrate", "measure what its speed levels are in degrees a second; takes minutes, can go on later"
    )
    calibrate.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="where the speeds are kept; one that is there is gone on with",
    )
    calibrate.add_argument("--quick", action="store_true", help="fewer levels, widest zoom only")


def _add_simulated_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    score = commands.add_parser("score", help="how well a simulated camera follows, in numbers and plots")
    score.add_argument(
        "--scene", action="append", metavar="NAME", help="may be repeated (default: walk_across)"
    )
    score.add_argument(
        "--profile", default="hik-8425ix", metavar="NAME", help="kind of camera (default: hik-8425ix)"
    )
    score.add_argument("--policy", default="group", metavar="NAME", help="whom it follows (default: group)")
    score.add_argument(
        "--law",
        action="append",
        metavar="NAME",
        help="how it is steered; may be repeated (default: predictive)",
    )
    score.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (default: 3)")
    score.add_argument("--plots", type=Path, metavar="DIR", help="write PNGs there; needs camring[plots]")
    score.add_argument("--json", action="store_true", help="as JSON")
    simulate = commands.add_parser(
        "simulate", help="a simulated camera with ISAPI and ONVIF on this machine; all flags: simulate --help",
        add_help=False,
    )  # fmt: skip
    simulate.add_argument("arguments", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace) -> int:
    """Carry out one command; returns the exit status."""
    if args.command == "simulate":
        from engine.ptz_cli_simulate import simulate

        return simulate(args.arguments)
    if args.command == "score":
        from engine.ptz_cli_score import score

        return score(args)
    if args.command == "calibrate":
        from engine.ptz_cli_calibrate import calibrate

        return calibrate(args)
    from engine.ptz_cli_camera import run_command

    return run_command(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `engine-ptz`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["simulate"]:  # its flags are its own, also --help
        args = argparse.Namespace(command="simulate", arguments=arguments[1:])
    else:
        args = build_parser().parse_args(arguments)
    try:
        return run(args)
    except EngineError as error:
        print(f"engine-ptz: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
