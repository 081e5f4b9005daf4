"""A real node of this build, and the papers of a second one for the client."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from pathlib import Path

_MAIN = Path(__file__).parents[3] / "packages" / "routy" / "dist" / "cli" / "main.js"
_START_SECONDS = 20.0


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Node:
    """`routy up` in a folder of its own. `papers` is the state of a node of site `py`."""

    def __init__(self, services: dict[str, int], forwards: dict[int, str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._config, self._state = folder / "gray.toml", folder / "gray"
        self.papers = folder / "py"
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._init(services, forwards)
            self._enrol(folder)
            self._up()
        except BaseException:
            self.stop()
            raise

    def _init(self, services: dict[str, int], forwards: dict[int, str]) -> None:
        offered = [f"--service={name}=127.0.0.1:{port}" for name, port in services.items()]
        reached = [f"--forward=127.0.0.1:{port}={to}" for port, to in forwards.items()]
        names = ("--site=gray", "--node=gray1", "--fabric=acme", "--allow=py")
        self._run("init", *names, f"--listen={self.address}", *offered, *reached)

    def _enrol(self, folder: Path) -> None:
        request, certificate = str(folder / "py.csr"), str(folder / "py.crt")
        own = (f"--config={folder / 'py.toml'}", f"--state={self.papers}")
        names = ("--site=py", "--node=py1")
        _routy("cert", "request", *own, *names, f"--out={request}")
        self._run("cert", "issue", f"--csr={request}", f"--out={certificate}")
        _routy("cert", "install", certificate, *own)

    def _up(self) -> None:
        with self._log.open("wb") as log:
            command = ["node", str(_MAIN), "up", f"--config={self._config}"]
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the node does not come up:\n{self.log()}")
            time.sleep(0.05)

    def _run(self, *words: str) -> str:
        return _routy(*words, f"--config={self._config}", f"--state={self._state}")

    def log(self) -> str:
        """What the node has logged."""
        return self._log.read_text("utf-8")

    def command(self, *words: str) -> str:
        """Runs a command for the running node."""
        return _routy(*words, f"--config={self._config}")

    def restart(self) -> None:
        """Stops it and starts another process of it."""
        self._end()
        self._up()

    def stop(self) -> None:
        """Stops it and removes its folder."""
        self._end()
        self._folder.cleanup()

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _routy(*words: str) -> str:
    done = subprocess.run(
        ["node", str(_MAIN), *words], capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode != 0:
        raise AssertionError(f"routy {' '.join(words)}: {done.stderr or done.stdout}")
    return done.stdout


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
