#!/bin/sh
# Installs the Debian packages a make target needs, and only those that are missing.
#
#   tests/system_packages.sh TARGET COMMAND=PACKAGE...
#
# A package is missing when its COMMAND is not found; an empty COMMAND means "install it".
# Works as root or with a sudo that asks no password; otherwise says in one line what to run.
# Tests want programs, not services: what is installed here is neither started nor enabled for the next boot.
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
stubs=$(mktemp -d)
trap 'rm -rf "$log" "$stubs"' EXIT
# The maintainer scripts find these first, so that no service is started or enabled. A policy-rc.d would
# only keep them from starting now, and would be a file of the system that a kill leaves behind.
for command in deb-systemd-helper deb-systemd-invoke invoke-rc.d update-rc.d; do
    ln -s /bin/true "$stubs/$command"
done
install() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        -o "DPkg::Path=$stubs:/usr/sbin:/usr/bin:/sbin:/bin" \
        install --no-install-recommends $missing </dev/null >"$log" 2>&1
}

echo "make $target: installing$missing"
# Old package lists are the usual reason for a first failure; fetch new ones only then.
if ! install; then
    $as_root apt-get -q -o DPkg::Lock::Timeout=300 update </dev/null >/dev/null 2>&1 || true
    install || give_up "apt-get said: $(grep '^E:' "$log" | head -n 1)"
fi
