"""How programs of this machine get into an image, and what the stand-in for an engine's image is made of."""

import shutil
import subprocess
from pathlib import Path

import pytest

from offline import dind, images, programs
from ops.toolchain.console import OpsError


def test_a_program_that_the_machine_lacks_is_named_with_what_to_do() -> None:
    with pytest.raises(OpsError, match="no no-such-program") as caught:
        programs.find("sh", "no-such-program", remedy="apt-get install it")
    assert caught.value.remedy == "apt-get install it"


def test_a_program_comes_with_the_libraries_that_it_loads_and_their_loader() -> None:
    shell = programs.find("sh", remedy="")["sh"]
    names = {path.name for path in programs.libraries(shell)}
    assert any(name.startswith("libc.so") for name in names)
    assert any(name.startswith("ld-") for name in names)


def test_what_is_no_program_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    assert programs.libraries(tmp_path / "text") == set()


def test_the_entry_point_of_the_stand_in_is_a_shell_script_without_mistakes() -> None:
    [entry_point] = [path for path in dind.sources() if path.suffix == ".sh"]
    shell = shutil.which("sh") or "/bin/sh"
    done = subprocess.run([shell, "-n", str(entry_point)], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_the_image_is_started_as_the_official_one_is() -> None:
    config = images.config(images.DIND)
    assert config["Entrypoint"] == ["dockerd-entrypoint.sh"]
    assert "DOCKER_TLS_CERTDIR=/certs" in config["Env"]
    assert config["Volumes"] == {"/var/lib/docker": {}}
