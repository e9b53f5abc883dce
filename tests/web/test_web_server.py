"""`lvunet demo --web`: what the server of the page gives, what it refuses, how it ends."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from socket import create_server
from threading import Thread

import pytest

from lvunet.cli import web
from lvunet.errors import ConfigError

Lvunet = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page of one file of each kind, and a secret beside it."""
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    for name in ("index.html", "a.js", "a.mjs", "a.wasm", "a.onnx", "a.css", "a.webmanifest", "assets/b.js"):
        (page / name).write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    return page


@pytest.fixture
def get(folder: Path) -> Iterator[Callable[[str], tuple[HTTPResponse, str]]]:
    """Ask a server of that page for a path, exactly as it is written."""
    with web.server(0, folder) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()

        def ask(path: str, method: str = "GET") -> tuple[HTTPResponse, str]:
            connection = HTTPConnection("127.0.0.1", listening.server_port, timeout=10)
            connection.request(method, path)
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return answer, text

        yield ask
        listening.shutdown()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/a.js", "text/javascript; charset=utf-8"),
        ("/a.mjs", "text/javascript; charset=utf-8"),
        ("/a.wasm", "application/wasm"),
        ("/a.onnx", "application/octet-stream"),
        ("/a.css", "text/css; charset=utf-8"),
        ("/a.webmanifest", "application/manifest+json"),
    ],
)
def test_a_file_has_the_type_that_browsers_insist_on_and_the_headers_that_allow_threads(
    get: Callable[[str], tuple[HTTPResponse, str]], path: str, kind: str
) -> None:
    answer, text = get(path)
    assert (answer.status, text) == (200, path.strip("/") or "index.html")
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/assets/", "/nothing.js", "/../secret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt"]
)
def test_nothing_is_listed_and_nothing_outside_the_folder_is_given(
    get: Callable[[str], tuple[HTTPResponse, str]], path: str
) -> None:
    answer, text = get(path)
    assert answer.status == 404
    assert "secret" not in text
    assert "b.js" not in text


def test_the_policy_of_the_page_is_a_header_of_all_its_files_so_that_workers_have_it_too(page: Path) -> None:
    text = (page / "index.html").read_text(encoding="utf-8")
    with web.server(0, page) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        connection = HTTPConnection("127.0.0.1", listening.server_port, timeout=10)
        connection.request("GET", "/sw.js")
        policy = connection.getresponse().headers["Content-Security-Policy"]
        connection.close()
        listening.shutdown()
    assert f'content="{policy}"' in text
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy


def test_nothing_can_be_sent_to_it(get: Callable[[str, str], tuple[HTTPResponse, str]]) -> None:
    assert get("/", "POST")[0].status == 501


def test_it_listens_to_this_machine_alone(folder: Path) -> None:
    with web.server(0, folder) as listening:
        assert listening.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_an_error_if_asked_for_and_otherwise_another_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"--port {taken} cannot be had \(Address already in use\)"):
            web.server(taken, folder)
        monkeypatch.setattr(web, "PORT", taken)
        with web.server(None, folder) as listening:
            assert listening.server_port != taken


def test_a_clone_without_the_page_names_the_command_that_builds_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make web"):
        web.server(0, tmp_path)


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (("--web", "--port", 70_000), "--port 70000: give 0 to 65535"),
        (("--web", "--data", "images"), "--web takes no --data"),
        (("--port", 80), "demo --web --port"),
    ],
)
def test_flags_that_make_no_sense_are_refused_in_a_sentence(
    lvunet: Lvunet, flags: tuple[object, ...], answer: str
) -> None:
    code, _, complaint = lvunet("demo", *flags)
    assert code == 2
    assert answer in complaint


def test_the_command_says_where_the_built_page_is_serves_it_and_ends_calmly_on_ctrl_c(page: Path) -> None:
    command = [sys.executable, "-m", "lvunet.cli", "demo", "--web", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = process.stdout.readline().split()[0]
        connection = HTTPConnection(address.removeprefix("http://").strip("/"), timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().read() == (page / "index.html").read_bytes()
        connection.close()
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=10)
        assert (process.returncode, said.strip(), complaint) == (0, "ended.", "")
