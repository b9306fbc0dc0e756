"""What a closed network has in Jenkins' place: a page, and the sample's steps. Nothing else is believed of it."""

import docker
import pytest
import requests

from offline import images
from tests.support.names import PREFIX
from tests.support.verbs import clone

NAME = f"{PREFIX}-stand-in"


def test_the_stand_in_shows_its_page_runs_the_samples_steps_and_says_what_it_is(
    engine: docker.DockerClient, stand_in: str, sample_image: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = clone(tmp_path_factory.mktemp("stand-in"), "offline")
    made.edit(jenkins={"image": stand_in, "memoryMib": 512})
    with made.deployed(NAME):
        assert "What runs is a stand-in, not Jenkins: it has no log-in" in made.first
        url = made.keys["ci:jenkins"]["httpPort"]
        assert "This is not Jenkins." in requests.get(f"http://127.0.0.1:{url}/login", timeout=10).text
        text = made.run("sample")
        assert f"{NAME} is not Jenkins but a stand-in" in text
        assert "The container sees the workspace of this build.\n" in text
        image = engine.images.get(sample_image)
        assert image.short_id.removeprefix("sha256:") in text
        assert engine.containers.run(image, remove=True) == b"This is a simple file.\n"


def test_the_stand_ins_are_not_made_again_and_say_what_they_are(engine: docker.DockerClient, stand_in: str) -> None:
    images.ensure("unix:///var/run/docker.sock")  # a clone of another version may have put its own there since
    before = [engine.images.get(name).id for name in (stand_in, images.BASE)]
    images.ensure("unix:///var/run/docker.sock")
    assert [engine.images.get(name).id for name in (stand_in, images.BASE)] == before
    assert "Jenkins" in engine.images.get(stand_in).labels[images.STAND_IN]
