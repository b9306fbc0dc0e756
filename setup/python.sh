#!/bin/sh
# Runs .venv/bin/python with the words given. A user who has just joined the group of the Docker engine's socket gets that
# group for this command: their shell has it only after the next log-in.
set -eu
socket=/var/run/docker.sock
if [ -S "$socket" ] && [ ! -w "$socket" ]; then
    group=$(stat -c %G "$socket")
    case " $(id -Gn "$(id -un)") " in
    *" $group "*)
        exec sg "$group" -c "$(.venv/bin/python -c 'import shlex, sys; print(shlex.join(sys.argv[1:]))' .venv/bin/python "$@")"
        ;;
    esac
fi
exec .venv/bin/python "$@"
