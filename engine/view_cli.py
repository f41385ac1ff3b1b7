"""`engine-view`: a window that shows what the engine sees; where there can be none, the dashboard in a browser.

Exit status: 0 closed by the user or all sources have ended; 1 something failed; 2 a flag or setting is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import __version__
from engine.config.overlay import DEFAULT_OVERLAY_STYLE, OVERLAY_STYLES
from engine.errors import ConfigError, EngineError, ViewerError

if TYPE_CHECKING:
    from engine.view_feed import PictureFeed

WINDOW_WH = (1280, 720)


def build_parser(prog: str = "engine-view") -> argparse.ArgumentParser:
    """The command line of `engine-view`."""
    styles = "; ".join(f"{name}: {what}" for name, what in OVERLAY_STYLES.items())
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Show cameras with what the engine finds in them, and point at objects with the mouse.",
        epilog=f"Styles: {styles}. In the window, h lists the keys. Without a display or the extra 'view' the "
        "dashboard is opened in a browser instead.",
    )
    parser.add_argument(
        "--source", "--rtsp", action="append", metavar="[NAME=]URL", help="a source; may be repeated"
    )
    parser.add_argument("--cameras", type=Path, metavar="FILE", help="cameras file, TOML or JSON")
    parser.add_argument(
        "--url", help="show a running engine, such as http://127.0.0.1:8080, instead of starting one"
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="with --url: file with the token for that engine"
    )
    parser.add_argument(
        "--profile", default="m3-cpu", help="profile name or path of a TOML file (default: m3-cpu)"
    )
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
        "--segment",
        metavar="MODE",
        help="masks from the start: boxes, track, prompt or auto; `prompt` for clicks",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting, as reid.model=osnet-x0-25",
    )
    parser.add_argument(
        "--style",
        choices=tuple(OVERLAY_STYLES),
        default=DEFAULT_OVERLAY_STYLE,
        help="what is drawn (default: full)",
    )
    parser.add_argument(
        "--snapshots", type=Path, metavar="DIR", help="folder for snapshots (default: this one)"
    )
    parser.add_argument("--browser", action="store_true", help="open the dashboard, no window")
    parser.add_argument("--duration", type=float, metavar="S", help="close after this many seconds")
    parser.add_argument("--version", action="version", version=f"camring {__version__}")
    return parser


def settings_of(args: argparse.Namespace) -> dict[str, object]:
    """The settings that the flags stand for, by dotted name. Raises `ConfigError`."""
    settings: dict[str, object] = {}
    for text in args.set:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"flag --set: write KEY=VALUE, found {text!r}")
        settings[key] = value
    named = {
        "infer.model": args.model,
        "infer.require_model": args.require_model,
        "segment.mode": args.segment,
    }
    settings.update({key: value for key, value in named.items() if value is not None})
    return settings


def open_window(args: argparse.Namespace) -> Any:
    """A window, or None and a line of why there is none."""
    if args.browser:
        return None
    try:
        from engine.view_window import Window

        return Window("camring", *WINDOW_WH)
    except ViewerError as error:
        print(f"engine-view: {error}; opening the dashboard in a browser instead", file=sys.stderr)
        return None


def view(args: argparse.Namespace, window: Any, feed: PictureFeed) -> None:
    """Show pictures until the window is closed."""
    from engine.view_app import Viewer

    style = args.style if args.style in feed.styles else feed.styles[0]
    Viewer(feed, window, style, args.snapshots).run(args.duration)


def start_and_view(args: argparse.Namespace, window: Any) -> None:
    """A run of our own, in the window, or on the dashboard where there is none."""
    from engine.api import Engine
    from engine.view_feed import RunFeed

    settings = settings_of(args)
    if window is None:
        settings.setdefault("control.enabled", True)
        settings.setdefault("duration_s", args.duration)
    sources = args.source or (None if args.cameras else ["test://"])
    engine = Engine.from_profile(
        args.profile, sources=sources, cameras=args.cameras, settings=settings, frames=window is not None
    )
    with engine:
        if window is not None:
            view(args, window, RunFeed(engine, tuple(OVERLAY_STYLES)))
            return
        show_in_browser(engine.url)
        for _ in engine.results(newest=True):
            pass  # whoever looks, looks at the dashboard


def attach_and_view(args: argparse.Namespace, window: Any) -> None:
    """A run that goes on elsewhere, in the window, or on its dashboard."""
    if window is None:
        show_in_browser(args.url)
        return
    from engine.view_remote import RemoteFeed

    token = args.token_file.read_text().strip() if args.token_file else ""
    with contextlib.closing(RemoteFeed(args.url, token)) as feed:
        view(args, window, feed)


def show_in_browser(url: str) -> None:
    """Open a page, or say where it is."""
    opened = webbrowser.open(url)
    print(
        f"engine-view: {'the dashboard is at' if opened else 'no browser either; open'} {url}",
        file=sys.stderr,
    )


def run(args: argparse.Namespace) -> None:
    """Show what was asked for. Raises an `EngineError`."""
    if args.url and (args.source or args.cameras):
        raise ConfigError("flag --url: shows a running engine; leave out --source and --cameras")
    window = open_window(args)
    try:
        (attach_and_view if args.url else start_and_view)(args, window)
    finally:
        if window is not None:
            window.close()


def main(argv: Sequence[str] | None = None, prog: str = "engine-view") -> int:
    """Entry point of `engine-view`."""
    args = build_parser(prog).parse_args(argv)
    try:
        run(args)
    except (EngineError, OSError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, EngineError) else 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
