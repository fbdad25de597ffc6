#!/bin/sh
# Makes .venv: the newest Python >= 3.11 of this machine, the packages of requirements-dev.lock with
# their hashes checked, and edgegw itself as an editable install.
#
#   tests/make_venv.sh STAMP
#
# STAMP is touched when all is done; make does not come back while it exists. Safe to start twice at once.
set -eu

stamp=$1
exec 9>.venv.lock
flock 9
[ ! -e "$stamp" ] || exit 0

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}
makes_venvs() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

python=
for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if new_enough "$candidate" && makes_venvs "$candidate"; then
        python=$candidate
        break
    fi
done

if [ -z "$python" ]; then
    # Debian ships Python without ensurepip; its package python3-venv adds it to Debian's own python3.
    for candidate in ${PYTHON:-/usr/bin/python3 python3.13 python3.12 python3.11 python3}; do
        if new_enough "$candidate"; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "make: needs Python 3.11 or newer: run apt-get install python3 python3-venv" >&2
        exit 1
    fi
    sh tests/system_packages.sh setup =python3-venv
    if ! makes_venvs "$python"; then
        echo "make: $python still has no ensurepip: run apt-get install python3-venv, or set PYTHON" >&2
        exit 1
    fi
fi

if ! new_enough .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "make: new .venv with $("$python" --version 2>&1)"
    "$python" -m venv --clear .venv
fi
echo "make: installing the packages of requirements-dev.lock (a minute at most on a usual line)"
export PIP_DISABLE_PIP_VERSION_CHECK=1
.venv/bin/python -m pip install --quiet --require-hashes -r requirements-dev.lock
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
rm -f .venv/.ready-*
touch "$stamp"
echo "make: .venv is ready"
