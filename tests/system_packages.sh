#!/bin/sh
# Installs the Debian packages a make target needs, and only those that are missing.
#
#   tests/system_packages.sh TARGET COMMAND=PACKAGE...
#
# A package is missing when its COMMAND is not found; an empty COMMAND means "install it".
# Works as root or with a sudo that asks no password; otherwise says in one line what to run.
set -eu

target=$1
shift
PATH=$PATH:/usr/sbin:/sbin

missing=
for pair in "$@"; do
    command=${pair%%=*}
    if [ -z "$command" ] || ! command -v "$command" >/dev/null 2>&1; then
        missing="$missing ${pair#*=}"
    fi
done
[ -n "$missing" ] || exit 0

give_up() {
    echo "make $target: needs$missing: run apt-get install$missing ($1)" >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 || give_up "no apt-get on this machine"
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    give_up "neither root nor sudo without a password"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends $missing </dev/null >"$log" 2>&1
}

echo "make $target: installing$missing"
# Old package lists are the usual reason for a first failure; fetch new ones only then.
if ! install; then
    $as_root apt-get -q -o DPkg::Lock::Timeout=300 update </dev/null >/dev/null 2>&1 || true
    install || give_up "apt-get said: $(grep '^E:' "$log" | head -n 1)"
fi
