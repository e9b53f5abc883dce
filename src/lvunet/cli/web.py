"""The page of `lvunet demo --web`: the built files of `web/`, served to this machine alone."""

import errno
import re
import sys
import webbrowser
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from lvunet.errors import ConfigError

PAGE = Path(__file__).parents[1] / "page"
PORT = 8256  # not 8000: a service worker would stay behind in front of whatever else is served there one day
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",  # with the next one: threads in WebAssembly
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # a newer package has a newer page
}


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder: no listings, no log, the types that browsers insist on whatever this system believes."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lvunet", ""
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".mjs": "text/javascript; charset=utf-8",
        ".onnx": "application/octet-stream",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }

    def __init__(self, *arguments: Any, policy: str, **options: Any) -> None:
        self.policy = policy  # before: the handler answers while it is made
        super().__init__(*arguments, **options)

    def end_headers(self) -> None:
        for name, value in {**HEADERS, "Content-Security-Policy": self.policy}.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: object) -> None:
        self.send_error(404)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that hangs up, as it does when a page is closed while it loads."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def server(port: int | None = None, folder: Path = PAGE) -> ThreadingHTTPServer:
    """Return a server of the page, already listening on 127.0.0.1; its `server_port` is the port.

    By default at `PORT`, or at any that is free where that is taken, as with 0. Raises `ConfigError` for a page that
    was not built, and for a port that was asked for but cannot be had.
    """
    if port is not None and not 0 <= port < 2**16:
        raise ConfigError(f"--port {port}: give 0 to {2**16 - 1}, or none.")
    if not (folder / "index.html").is_file():
        raise ConfigError(f"no page in {folder}: this copy of lvunet was made without it. Build it: make web.")
    handler = partial(_Handler, directory=str(folder), policy=_policy(folder))
    try:
        return _Server(("127.0.0.1", PORT if port is None else port), handler)
    except OSError as error:
        if port is None and error.errno == errno.EADDRINUSE:
            return _Server(("127.0.0.1", 0), handler)
        raise ConfigError(f"--port {port} cannot be had ({error.strerror}). Give another, or none.") from error


def _policy(folder: Path) -> str:
    """Return the page's own Content-Security-Policy: said by a header it binds its workers, too."""
    text = (folder / "index.html").read_text(encoding="utf-8")
    found = re.search(r'Content-Security-Policy"\s+content="([^"]+)"', text)
    return found[1] if found else "default-src 'self'"


def serve(port: int | None, browser: bool, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C, and open a browser on it if asked to; raises as `server`."""
    with server(port) as listening:
        address = f"http://127.0.0.1:{listening.server_port}/"
        say(f"{address} is the page; images stay on this machine. Ctrl-C ends it.")
        if browser:  # in a thread: a text browser would wait for us, and we for it
            Thread(target=webbrowser.open, args=[address], daemon=True).start()
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            say("ended.")
