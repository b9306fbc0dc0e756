#!/bin/sh
# Starts a Docker engine in a container, as the official image does where this project counts on it: with
# DOCKER_TLS_CERTDIR it makes an authority, a server's and a client's certificate there at every start (the keys stay),
# and listens on :2376 for that client alone, beside the unix socket.
set -eu

days=825
certs=${DOCKER_TLS_CERTDIR:-}

names() {
    ip -o address | awk '{ sub("/.*", "", $4); print "IP:" $4 }'
    printf 'DNS:%s\n' docker localhost "$(hostname)"
    [ -z "${DOCKER_TLS_SAN:-}" ] || echo "$DOCKER_TLS_SAN"
}

key() {
    [ -s "$1" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$1"
}

# signed FOLDER NAME EXTENSION... : a key of FOLDER's own, and its certificate by the authority
signed() {
    folder=$certs/$1 subject=$2
    shift 2
    mkdir -p "$folder"
    key "$folder/key.pem"
    openssl req -new -key "$folder/key.pem" -out "$folder/csr.pem" -subj "/CN=$subject"
    printf '%s\n' "$@" > "$folder/openssl.cnf"
    openssl x509 -req -in "$folder/csr.pem" -CA "$certs/ca/cert.pem" -CAkey "$certs/ca/key.pem" -CAcreateserial \
        -out "$folder/cert.pem" -days "$days" -extfile "$folder/openssl.cnf" 2>&1
    cp "$certs/ca/cert.pem" "$folder/ca.pem"
}

if [ -n "$certs" ]; then
    mkdir -p "$certs/ca"
    key "$certs/ca/key.pem"
    openssl req -new -x509 -key "$certs/ca/key.pem" -out "$certs/ca/cert.pem" -subj '/CN=docker:dind CA' \
        -days "$days" -addext keyUsage=critical,digitalSignature,keyCertSign
    signed server 'docker:dind server' 'extendedKeyUsage = serverAuth' \
        "subjectAltName = $(names | sort -u | paste -s -d , -)"
    signed client 'docker:dind client' 'extendedKeyUsage = clientAuth'
    chmod 0644 "$certs/client/key.pem" # whoever has the folder mounted may be any user
    set -- --host=tcp://0.0.0.0:2376 --tlsverify --tlscacert="$certs/server/ca.pem" \
        --tlscert="$certs/server/cert.pem" --tlskey="$certs/server/key.pem" "$@"
fi

# An engine that was killed leaves these, and its process's number may be another's now.
rm -f /run/docker*.pid /run/docker/containerd/containerd.pid

# Control groups of version 2 let no group have both processes and groups with controllers.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p /sys/fs/cgroup/init
    while ! {
        xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs 2> /dev/null || :
        sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
    }; do sleep 0.1; done
fi

# Nothing can be pulled where this stands in, so the engine is given what it starts from. A pulled image stays.
(
    until docker --host unix:///var/run/docker.sock version > /dev/null 2>&1; do sleep 0.2; done
    [ -n "$(docker --host unix:///var/run/docker.sock image ls -q)" ] ||
        docker --host unix:///var/run/docker.sock load --input /usr/share/ci/images.tar
) &

exec docker-init -- dockerd --host=unix:///var/run/docker.sock "$@"
