"""download_mabe.sh against a server on this machine.

The real files have gigabytes, so each test runs a copy of the script whose md5 sums are those of the server's content.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

SCRIPT = Path(__file__).parents[1] / "download_mabe.sh"
BASH = shutil.which("bash")
MICE = ["mouse_triplet_train.npy", "mouse_triplet_test.npy", "mouse_triplets_test_labels.npy"]
FLIES = ["fly_group_train.npy", "fly_group_test.npy", "fly_groups_test_labels.npy"]
CONTENT = {name: f"\x93NUMPY {name} ".encode("latin-1") * 500 for name in MICE + FLIES}
UNKNOWN_SUM, KNOWN_SUM = "fly_group_train.npy", "mouse_triplet_train.npy"
NEEDED = ["sh", "sed", "awk", "tr", "wc", "mkdir", "mv", "rm", "cut", "mktemp", "md5sum", "md5"]

pytestmark = pytest.mark.skipif(BASH is None, reason="bash is not installed")


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """A file server with `server.content`, whose flags make it a worse one."""

    def do_GET(self) -> None:
        server = self.server
        name = self.path.lstrip("/")
        asked = self.headers.get("Range")
        server.requests.append((name, asked))
        body = server.content.get(name)
        if body is None:
            self.reply(404, b"<html>no such file</html>")
        elif asked is None or not server.ranges:
            self.reply(200, body)
        elif (start := int(re.fullmatch(r"bytes=(\d+)-", asked).group(1))) >= len(body):
            self.reply(416, b"no more", f"bytes */{len(body)}")
        else:
            self.reply(206, body[start:], f"bytes {start}-{len(body) - 1}/{len(body)}")

    def reply(self, status: int, body: bytes, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.server.cut_next:  # the line breaks off in the middle of the file, once
            self.server.cut_next = False
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content = dict(CONTENT)
    server.requests, server.ranges, server.cut_next = [], True, False
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def script_with_sums(folder: Path) -> Path:
    """A copy of the script with the sums of `CONTENT` where its table has sums, the last of a line."""
    text, replaced = re.subn(
        r"^(\S+\.npy)( .*)?\b[0-9a-f]{32}$", lambda m: m[0][:-32] + md5(CONTENT[m[1]]), SCRIPT.read_text(), flags=re.M
    )
    assert replaced == 3, "the table of download_mabe.sh does not look as this test expects"
    copy = folder / SCRIPT.name
    copy.write_text(text)
    return copy


class Runner:
    """Runs the script in a folder, with what it needs and, of curl and wget, only the tools given."""

    def __init__(self, folder: Path, url: str, *tools: str) -> None:
        self.folder = folder
        self.data = folder / "data" / "mabe"
        self.script = script_with_sums(folder)
        (folder / "bin").mkdir()
        for name in [*NEEDED, *tools]:
            if found := shutil.which(name):
                (folder / "bin" / name).symlink_to(found)
        self.env = {"PATH": str(folder / "bin"), "HOME": str(folder), "TMPDIR": str(folder)}
        self.env |= {"BAMS_MABE_URL": url, "no_proxy": "*"}

    def __call__(self, *args: str) -> subprocess.CompletedProcess:
        options = {"cwd": self.folder, "env": self.env, "capture_output": True, "text": True, "timeout": 15}
        return subprocess.run([BASH, str(self.script), *args], check=False, **options)

    def put(self, name: str, content: bytes) -> Path:
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / name).write_bytes(content)
        return self.data / name

    def files(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in self.data.iterdir()}


def url_of(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(params=["curl", "wget"])
def run(request: pytest.FixtureRequest, tmp_path: Path, server: ThreadingHTTPServer) -> Runner:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return Runner(tmp_path, url_of(server), request.param)


def picked(names: list[str]) -> dict[str, bytes]:
    return {name: CONTENT[name] for name in names}


def test_fetches_all_files_and_not_again(run: Runner, server: ThreadingHTTPServer) -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert run.files() == CONTENT
    assert not list(run.folder.glob("tmp*"))
    server.requests.clear()
    mine = run.put(UNKNOWN_SUM, b"mine, and no sum says otherwise")
    done = run()
    assert (done.returncode, done.stderr, server.requests) == (0, "", [])
    assert mine.read_bytes() == b"mine, and no sum says otherwise"


@pytest.mark.parametrize(("group", "names"), [("mice", MICE), ("flies", FLIES)])
def test_fetches_one_group_into_a_folder(run: Runner, group: str, names: list[str]) -> None:
    run.data = run.folder / "my files"
    done = run("--dir", "my files", group)
    assert done.returncode == 0
    assert done.stdout == "".join(f"Fetching my files/{name}\n" for name in names)
    assert run.files() == picked(names)


def test_both_sums_of_the_test_file_are_good(run: Runner) -> None:
    name = "mouse_triplet_test.npy"
    table = next(li for li in run.script.read_text().splitlines() if li.startswith(name)).split()
    assert len(table) == 3 and table[2] == md5(CONTENT[name])
    text = run.script.read_text().replace(f"{table[1]} {table[2]}", f"{table[2]} {table[1]}")
    run.script.write_text(text)
    assert run("mice").returncode == 0
    assert run.files() == picked(MICE)


def test_goes_on_where_a_download_ended(run: Runner, server: ThreadingHTTPServer) -> None:
    half = len(CONTENT[KNOWN_SUM]) // 2
    server.cut_next = True
    first = run("mice")
    if first.returncode:  # curl ends there; wget goes on by itself
        assert "run this again" in first.stderr
        assert run.files()[f"{KNOWN_SUM}.part"] == CONTENT[KNOWN_SUM][:half]
        assert run("mice").returncode == 0
    assert [request for request in server.requests if request[1]] == [(KNOWN_SUM, f"bytes={half}-")]
    assert run.files() == picked(MICE)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("name", [UNKNOWN_SUM, KNOWN_SUM])
@pytest.mark.parametrize("extra", [-1000, 0, 7])
def test_a_part_that_the_server_cannot_resume(
    run: Runner, server: ThreadingHTTPServer, ranges: bool, name: str, extra: int
) -> None:
    """Too short, already complete, or longer than the file: it ends as the file."""
    content = CONTENT[name]
    server.ranges = ranges
    part = run.put(f"{name}.part", content[:extra] if extra < 0 else content + b"x" * extra)
    assert run("mice" if name in MICE else "flies").returncode == 0
    assert (run.data / name).read_bytes() == content
    assert not part.exists()
    if ranges and extra == 0:  # not a second time
        assert [asked for n, asked in server.requests if n == name] == [f"bytes={len(content)}-"]


def test_a_wrong_sum_is_kept_aside_and_the_rest_fetched(run: Runner, server: ThreadingHTTPServer) -> None:
    run.put(KNOWN_SUM, b"half a file")
    done = run("mice")
    assert done.returncode == 0 and md5(b"half a file") in done.stderr
    assert run.files() == picked(MICE) | {f"{KNOWN_SUM}.mismatch": b"half a file"}
    (run.data / KNOWN_SUM).unlink()
    server.content[KNOWN_SUM] = b"something else"
    done = run()
    assert done.returncode == 1
    assert md5(b"something else") in done.stderr and done.stderr.count("\n") == 1
    others = {n: c for n, c in CONTENT.items() if n != KNOWN_SUM}
    assert run.files() == others | {f"{KNOWN_SUM}.mismatch": b"something else"}


def test_a_missing_file_is_said_and_leaves_nothing(run: Runner, server: ThreadingHTTPServer) -> None:
    del server.content[KNOWN_SUM]
    done = run("mice")
    assert done.returncode == 1
    assert done.stderr == f"The server answered 404 to {url_of(server)}/{KNOWN_SUM}.\n"
    assert run.files() == picked([n for n in MICE if n != KNOWN_SUM])


def test_what_was_fetched_is_never_executed_and_no_check_accepts_any_sum(
    run: Runner, server: ThreadingHTTPServer
) -> None:
    trap = f"#!/bin/sh\ntouch '{run.folder}/executed'\n".encode()
    server.content = dict.fromkeys(CONTENT, trap)
    assert run("--no_check").returncode == 0
    assert run.files() == dict.fromkeys(CONTENT, trap)
    assert not (run.folder / "executed").exists()
    assert not any(path.stat().st_mode & 0o111 for path in run.data.iterdir())
    server.requests.clear()
    assert run("mice", "--no_check").returncode == 0
    assert server.requests == []


@pytest.mark.parametrize("args", [["rats"], ["--force"], ["--dir"], ["--dir", "--no_check"]])
def test_wrong_arguments(tmp_path: Path, server: ThreadingHTTPServer, args: list[str]) -> None:
    run = Runner(tmp_path, url_of(server), "curl", "wget")
    done = run(*args)
    assert done.returncode == 2
    assert done.stderr.startswith("download_mabe.sh: ") and done.stderr.count("\n") == 1
    assert server.requests == [] and not run.data.exists()


def test_help_and_a_missing_tool(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    run = Runner(tmp_path, url_of(server))
    done = run("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ["mice", "flies", "--dir", "--no_check", "BAMS_MABE_URL"])
    done = run()
    assert (done.returncode, done.stderr) == (2, "download_mabe.sh: needs curl or wget.\n")
    assert not run.data.exists()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_is_preferred(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    run = Runner(tmp_path, url_of(server), "curl")
    (tmp_path / "bin" / "wget").symlink_to(shutil.which("false"))
    assert run("mice").returncode == 0


def test_sums_from_the_md5_of_macos(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    md5sum = shutil.which("md5sum")
    tool = shutil.which("curl") or shutil.which("wget")
    if md5sum is None or tool is None:
        pytest.skip("md5sum, or curl and wget, are not installed")
    run = Runner(tmp_path, url_of(server), Path(tool).name)
    for name in ["md5", "md5sum"]:
        (tmp_path / "bin" / name).unlink(missing_ok=True)
    stand_in = tmp_path / "bin" / "md5"
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = -q ] && {md5sum} < "$2" | cut -d " " -f 1\n')
    stand_in.chmod(0o755)
    server.content[KNOWN_SUM] = b"something else"
    done = run("mice")
    assert done.returncode == 1 and md5(b"something else") in done.stderr
    assert set(run.files()) == {f"{KNOWN_SUM}.mismatch", *MICE[1:]}
    stand_in.unlink()
    done = run("mice")
    assert done.returncode == 2 and "md5" in done.stderr
    assert run("--no_check", "mice").returncode == 0
