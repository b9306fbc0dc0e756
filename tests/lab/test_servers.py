"""The servers that a test's contexts come from: what no build of such a context notices."""

import socket
from pathlib import Path

import requests

from lab import pki
from tests.support import servers

HERE = "127.0.0.1"


def test_a_client_that_says_nothing_keeps_no_other_waiting_and_a_packed_file_stays_packed(tmp_path: Path) -> None:
    authority = pki.Authority.new()
    certificate = authority.server(HERE).write(tmp_path, "files")
    (tmp_path / "ca.crt").write_text(authority.pem)
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8bpacked")
    with servers.files(tmp_path, HERE, certificate) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection((HERE, port), timeout=10):
            answer = requests.get(f"{url}/a.tar.gz", verify=str(tmp_path / "ca.crt"), timeout=10)
    assert answer.content == b"\x1f\x8bpacked"
