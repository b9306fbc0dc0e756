#!/bin/sh -eu
# Runs the sample's steps with the docker commands of the Docker Pipeline plugin, without Jenkins.
# Source: the plugin docker-workflow, DockerClient.java and WithContainerStep.java.
image=simple-jenkins-image
run() { echo "+ $*"; "$@"; }

workspace=$JENKINS_HOME/workspace/sample
mkdir -p "$workspace"
cd "$workspace"
printf 'This is a simple file.\n' > a.txt
printf 'FROM alpine:latest\nCOPY a.txt /a.txt\nCMD ["cat", "/a.txt"]\n' > Dockerfile

run docker build -t "$image" .

# The engine of `access: tcp` does not see the workspace. Its certificates are files of this container, dind's a volume.
if [ -n "${DOCKER_CERT_PATH:-}" ] && ! grep -q " $DOCKER_CERT_PATH " /proc/mounts; then
    run docker run --rm "$image"
    exit
fi

# An engine that does not know this container, as docker:dind, has the home at the same path.
if docker inspect -f . "$(hostname)" > /dev/null 2>&1; then
    mounts="--volumes-from $(hostname)"
else
    mounts="-v $workspace:$workspace:rw,z"
fi
# The word proves that the container sees this workspace, not an empty folder of the same name.
word=$(cat /proc/sys/kernel/random/uuid)
echo "$word" > word
# shellcheck disable=SC2086 # two words
set -- docker run -t -d -u "$(id -u):$(id -g)" -w "$workspace" $mounts "$image" cat
echo "+ $*"
container=$("$@")
trap 'docker stop --time=1 "$container" > /dev/null; docker rm -f --volumes "$container" > /dev/null' EXIT
run docker top "$container" -eo pid,comm
run docker exec "$container" cat /a.txt
[ "$(docker exec "$container" cat word)" = "$word" ] || { echo "The container does not see the workspace." >&2; exit 1; }
echo "The container sees the workspace of this build."
