#!/usr/bin/env bash
# Installs the programs of others against which the tests check, where that can be done: as root, on
# a system with apt; and bagit and a witness, into environments of their own. It never fails: a test skips, with its
# reason, where its program is absent.

set -u
seconds=180

# bagit exists as source only, and so cannot be in the locks, which take wheels.
bagit() {
  local folder=.venv-outside
  [ -x "$folder/bin/bagit.py" ] && return
  rm -rf "$folder"
  timeout --kill-after=10 "$seconds" python3 -m venv "$folder" &&
    timeout --kill-after=10 "$seconds" "$folder/bin/python" -m pip install --quiet --no-input \
      --disable-pip-version-check bagit==1.9.0
}

# A witness that others wrote; it needs a newer Python than we do.
witness() {
  local folder=.venv-outside-witness python
  [ -x "$folder/bin/aics-witness" ] && return
  rm -rf "$folder"
  for python in python3 python3.14 python3.13 python3.12 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9].*/bin/python; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue
    timeout --kill-after=10 "$seconds" "$python" -m venv "$folder" &&
      timeout --kill-after=10 "$seconds" "$folder/bin/python" -m pip install --quiet --no-input \
        --disable-pip-version-check aics-witness==0.1.0
    return
  done
  return 1
}
cd "$(dirname "$0")/.." || exit 0
bagit </dev/null >/dev/null 2>&1 ||
  echo "tests/outside.sh: bagit could not be installed, its tests will skip" >&2

witness </dev/null >/dev/null 2>&1 ||
  echo "tests/outside.sh: aics-witness could not be installed, its tests will skip" >&2

declare -A package=(
  [pgbouncer]=pgbouncer
  [7z]=p7zip-full
  [strip-nondeterminism]=strip-nondeterminism
  [bsdtar]=libarchive-tools
  [unzip]=unzip
  [go]=golang-go
)

missing=()
for program in "${!package[@]}"; do
  # Services such as pgbouncer live outside of an ordinary PATH.
  PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
[ -e /usr/share/i18n/locales/da_DK ] || missing+=(locales)
[ -e /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ] || missing+=(golang-golang-x-mod-dev)
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "tests/outside.sh: absent here, their tests will skip: ${missing[*]}" >&2
  exit 0
fi

export DEBIAN_FRONTEND=noninteractive
# RUNLEVEL keeps invoke-rc.d from starting the services that come along.
export RUNLEVEL=1
install() {
  timeout --kill-after=10 "$seconds" \
    apt-get install --yes --quiet --quiet --no-install-recommends \
    -o DPkg::Lock::Timeout=30 -o Acquire::Retries=1 "${missing[@]}" </dev/null >/dev/null 2>&1
}
install || {
  timeout --kill-after=10 "$seconds" apt-get update --quiet --quiet </dev/null >/dev/null 2>&1
  install
} || echo "tests/outside.sh: could not be installed, their tests will skip: ${missing[*]}" >&2
exit 0
