#!/usr/bin/env bash
# Installs the programs of others with which the tests check, Chromium among them, where that can be done: Debian packages as
# root on a system with apt; Python and npm packages into environments of their own, from wherever pip
# and npm are configured to get them. It never fails: a test skips, with its reason, where its program is absent.
#
# With everything in place it only looks. The last line says what is here and what is not.

set -u
seconds=180 # for each step that reaches out
cd "$(dirname "$0")/.." || exit 0

export DEBIAN_FRONTEND=noninteractive
# RUNLEVEL keeps invoke-rc.d from starting the services that come along.
export RUNLEVEL=1

has() {
  # Services such as pgbouncer live outside of an ordinary PATH.
  PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null
}

# A registry that cannot be reached costs a minute at most: without this npm tries for many.
export npm_config_fetch_retries=1 npm_config_fetch_timeout=20000

quietly() {
  timeout --kill-after=10 "$seconds" "$@" </dev/null >/dev/null 2>&1
}

# --- Debian packages ---

declare -A package=(
  [pgbouncer]=pgbouncer
  [7z]=p7zip-full
  [strip-nondeterminism]=strip-nondeterminism
  [bsdtar]=libarchive-tools
  [unzip]=unzip
  [go]=golang-go
  [openssl]=openssl
)

missing_packages() {
  local program
  for program in "${!package[@]}"; do
    has "$program" || echo "${package[$program]}"
  done
  [ -e /usr/share/i18n/locales/da_DK ] || echo locales
  [ -e /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ] || echo golang-golang-x-mod-dev
}

missing_node() {
  has node || echo nodejs
  has npm || echo npm
}

missing_browser() {
  has chromium || has chromium-browser || has google-chrome || echo chromium
}

debian() {
  [ "$#" -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] && has apt-get || return
  local options=(--yes --quiet --quiet --no-install-recommends
    -o DPkg::Lock::Timeout=30 -o Acquire::Retries=1)
  quietly apt-get install "${options[@]}" "$@" || {
    quietly apt-get update --quiet --quiet
    quietly apt-get install "${options[@]}" "$@"
  }
}

mapfile -t wanted < <(missing_packages)
debian "${wanted[@]}"
# Apart, because npm brings hundreds of others: what goes wrong there costs nothing else.
mapfile -t wanted < <(missing_node)
debian "${wanted[@]}"
# 400 MB with everything it needs.
mapfile -t wanted < <(missing_browser)
seconds=600 debian "${wanted[@]}"

# --- Python packages: in an environment of their own, and not in the locks, which are ours ---

python_packages=(bagit==1.9.0 'securesystemslib[crypto]==1.6.0' in-toto-attestation==0.9.3)
venv=.venv-outside

has_python() {
  local name=${1%%[[=]*} version=${1##*==}
  compgen -G "$venv/lib/python3*/site-packages/${name//-/_}-$version.dist-info" >/dev/null
}

for one in "${python_packages[@]}"; do
  has_python "$one" && continue
  [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null || {
    rm -rf "$venv"
    quietly python3 -m venv "$venv" || break
  }
  quietly "$venv/bin/python" -m pip install --no-input --disable-pip-version-check "$one"
done

# --- a witness that others wrote: it needs a newer Python than we do ---

witness=aics-witness==0.1.0
witness_venv=.venv-outside-witness

has_witness() {
  [ -x "$witness_venv/bin/aics-witness" ]
}

has_witness || {
  rm -rf "$witness_venv"
  for python in python3 python3.14 python3.13 python3.12 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9].*/bin/python; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue
    quietly "$python" -m venv "$witness_venv" &&
      quietly "$witness_venv/bin/python" -m pip install --no-input --disable-pip-version-check "$witness"
    break
  done
}

# --- npm packages: in a folder of their own; their own scripts are not run ---

npm_packages=(@sigstore/verify@4.1.3 @sigstore/bundle@5.0.1 @sigstore/core@4.0.1
  @sigstore/protobuf-specs@0.5.2)
node_folder=.node-outside

has_npm() {
  local name=${1%@*} version=${1##*@}
  grep -qs "\"version\": \"$version\"" "$node_folder/node_modules/$name/package.json"
}

for one in "${npm_packages[@]}"; do
  has_npm "$one" && continue
  has node && has npm || break
  mkdir -p "$node_folder"
  # All at once: a version that is only asked for later is one that was resolved otherwise before.
  seconds=60 quietly npm install --prefix "$node_folder" --save-exact --ignore-scripts --no-audit --no-fund \
    "${npm_packages[@]}"
  break
done

# --- what is here ---

mapfile -t absent < <(missing_packages; missing_node; missing_browser)
for one in "${python_packages[@]}"; do has_python "$one" || absent+=("$one"); done
has_witness || absent+=("$witness")
for one in "${npm_packages[@]}"; do has_npm "$one" || absent+=("$one"); done
if [ "${#absent[@]}" -eq 0 ]; then
  echo "tests/outside.sh: all programs of others are here"
else
  echo "tests/outside.sh: absent here, their tests will skip: ${absent[*]}"
fi
exit 0
