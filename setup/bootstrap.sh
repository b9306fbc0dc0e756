#!/bin/sh
# Makes .venv: a link to an environment in the user's cache that holds exactly what a lock file names.
#
#   sh setup/bootstrap.sh [runtime|dev]
#   sh setup/bootstrap.sh install WHY PACKAGE...    installs Debian packages after asking
#
# POSIX sh and the usual commands only: this runs before there is anything else. When there is nothing to do it ends within
# a few milliseconds. YES=1 answers its question; PYTHON names another interpreter.
set -eu

cd "$(dirname "$0")/.."
case "${1:-runtime}" in
runtime | install) locks="requirements.txt" ;;
dev) locks="requirements.txt requirements-dev.txt" ;;
*) echo "bootstrap.sh: $1 is not known; give runtime or dev" >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

command -v sha256sum >/dev/null || die "sha256sum is needed; on macOS it is in Homebrew's formula coreutils"

# What .venv was made from stands in .venv/.pins; the environment for tests also holds what the program needs.
# shellcheck disable=SC2086 # the list of files is to be split
pins=$(sha256sum $locks)
if [ "${1:-}" != install ] && [ -x .venv/bin/python ] && [ -f .venv/.pins ]; then
    have=$(cat .venv/.pins)
    case "$have" in "$pins" | "$pins
"*) exit 0 ;; esac
fi

cache="${XDG_CACHE_HOME:-}"
case "$cache" in /*) ;; *) cache="$HOME/.cache" ;; esac
cache="$cache/pulumi-container-ci"
mkdir -p "$cache/logs"
log="$cache/logs/bootstrap-$(date +%Y%m%d-%H%M%S)-$$.log"

# step "what" "how long" command...: runs it with its output in the log, shows the log's end if it fails.
step() {
    what=$1 long=$2
    shift 2
    say "-> $what ($long, log: $log)"
    begun=$(date +%s)
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        say "   failed after $(($(date +%s) - begun)) s; the last lines of $log:"
        tail -n 15 "$log" | sed 's/^/    | /' >&2
        return 1
    fi
    say "   done in $(($(date +%s) - begun)) s: $what"
}

apt_install() { # why, packages
    why=$1
    shift
    by_hand="apt-get update && apt-get install $*"
    command -v apt-get >/dev/null || die "$* is needed $why, and there is no apt-get here; install what your system calls it"
    case "${YES:-}" in 1 | true | yes) agreed=1 ;; *) agreed= ;; esac
    if [ -z "$agreed" ] && ! { [ -t 0 ] && [ -t 2 ]; }; then
        die "$* is needed $why, and there is no terminal to ask on; to agree, type the command again with YES=1 (make up YES=1), or by hand: sudo sh -c '$by_hand'"
    elif [ -z "$agreed" ]; then
        printf 'Install the system package %s %s? [Y/n] ' "$*" "$why" >&2
        read -r answer
        case "$answer" in "" | y | Y | yes) ;; *) die "$* is needed $why; when you are ready: sudo sh -c '$by_hand'" ;; esac
    fi
    root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "installing $* needs root, and there is no sudo here; run as root: $by_hand"
        if [ -t 0 ]; then sudo -v; fi
        root="sudo -n"
    fi
    install="$root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends"
    # shellcheck disable=SC2086 # these are commands with their options
    {
        # Old lists name packages that the mirror has no more.
        if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || ! step "installing $*" "about 1 min" $install "$@"; then
            step "reading the package lists" "about 10 s" $root apt-get update &&
                step "installing $*" "about 1 min" $install "$@" || die "by hand: $by_hand"
        fi
    }
}

if [ "${1:-}" = install ]; then
    shift
    apt_install "$@"
    exit 0
fi

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    return 1
}

python=$(find_python) || {
    apt_install "to set up Python" python3 python3-venv
    python=$(find_python) || die "Python 3.11 or newer is needed, and this system's python3 is" \
        "$(python3 --version 2>&1); install a newer one and name it: make up PYTHON=/path/to/python3.12"
}

install_into() { # an environment's folder
    for lock in $locks; do last=$lock; done # the last one names everything
    size="about 20 s"
    if [ "$last" = requirements-dev.txt ]; then size="about 40 s"; fi
    step "installing the Python packages of $last" "$size" \
        "$1/bin/python" -m pip install --disable-pip-version-check --no-input --compile --require-hashes --requirement "$last" ||
        return 1
    printf '%s\n' "$pins" >"$1/.pins"
}

# A folder of the user's own (made by `pulumi install`, say) stays; it gets what the lock names.
if [ -d .venv ] && [ ! -L .venv ]; then
    new_enough .venv/bin/python || die ".venv is a folder of your own with no Python 3.11 in it; move it away and try again"
    install_into .venv || exit 1
    exit 0
fi

# One environment for each set of pins and each interpreter: another Python can't use its byte-code and binaries.
identity=$("$python" -c 'import platform, sys; print(sys.version, sys.base_prefix, platform.machine())')
key=$(printf '%s\n%s\n' "$pins" "$identity" | sha256sum | cut -c1-12)
made="$cache/venv-$key"

# A venv knows its own path, so it can't be built elsewhere and renamed: .pins, written last, says that it is whole.
command -v flock >/dev/null || die "flock is needed, so that two set-ups don't mix: it is in the package util-linux," \
    "or on macOS in Homebrew's formula flock"
exec 9>"$made.lock"
if ! flock -n 9; then
    say "another process sets up the same Python packages; waiting for it to end"
    flock 9
fi
if [ ! -f "$made/.pins" ] || ! "$made/bin/python" -c '' 2>/dev/null; then
    rm -rf "$made"
    "$python" -c 'import ensurepip' 2>/dev/null || {
        apt_install "to set up Python" python3-venv
        "$python" -c 'import ensurepip' 2>/dev/null ||
            die "$python has no ensurepip, and python3-venv did not bring it; name another one: make up PYTHON=/usr/bin/python3"
    }
    step "making an environment for Python packages" "about 5 s" "$python" -m venv "$made" || exit 1
    install_into "$made" || exit 1
fi
ln -s "$made" ".venv.$$"
"$python" -c 'import os, sys; os.replace(*sys.argv[1:])' ".venv.$$" .venv # no mv of macOS replaces a link to a folder
