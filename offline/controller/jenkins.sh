#!/bin/sh -eu
# Starts the stand-in for Jenkins: looks at what the stack has given to the container, then serves one page.
fail() { echo "The stand-in stops: $*" >&2; exit 1; }

echo "This is not Jenkins but a stand-in for it. It runs the steps of the sample job and nothing else: make sample"
echo "user $(id -u):$(id -g), groups $(id -G)"

# What the stack uploads is root's. Jenkins could not start with a file that its user cannot read.
for folder in "${CASC_JENKINS_CONFIG:-}" /etc/ci /usr/share/jenkins/ref /run/secrets /certs/client; do
    [ -e "$folder" ] || continue
    find "$folder" -type f -o -type l | while read -r file; do
        cat "$file" > /dev/null || fail "user $(id -u) cannot read $file"
        echo "can read $file"
    done
done
[ -z "${CASC_JENKINS_CONFIG:-}" ] || [ -s "$CASC_JENKINS_CONFIG/jenkins.yaml" ] ||
    fail "CASC_JENKINS_CONFIG is $CASC_JENKINS_CONFIG, which has no jenkins.yaml"
mkdir -p "$JENKINS_HOME/workspace" || fail "user $(id -u) cannot write to $JENKINS_HOME"

httpd -f -p 50000 -h /usr/share/www &
agents=$!
httpd -f -p 8080 -h /usr/share/www &
trap 'kill $! $agents; exit 0' TERM INT
echo "The page is at port 8080."
wait
