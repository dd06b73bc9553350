# Clients of the streams that this project did not write: their libraries come from the languages' own
# package registries, Chromium from the system's package archive. Each is made ready once below
# clients/, where `run` starts it and `version` says what it is.
# shellcheck shell=bash

CLIENTS=(curl node-ws python-websockets go-coder-websocket chromium autobahn)
# What the last call of fetch_clients could not make ready.
CLIENTS_MISSING=()

client_home() { echo "$STATE/clients/$1"; }
client_sources() { echo "$ROOT/tests/clients/$1"; }

# Makes every client ready that can be; answers whether all are.
fetch_clients() {
  local client
  CLIENTS_MISSING=()
  for client in "${CLIENTS[@]}"; do
    # in a process of its own, so that one that cannot be had ends only itself
    if ! "$ROOT/dev" fetch-client "$client"; then CLIENTS_MISSING+=("$client"); fi
  done
  [ ${#CLIENTS_MISSING[@]} -eq 0 ]
}

# fetch_client CLIENT: anew where its sources have changed.
fetch_client() {
  local client=$1 home made
  home=$(client_home "$client")
  made=$(client_fingerprint "$client")
  if [ -x "$home/run" ] && [ "$(cat "$home/made" 2>/dev/null)" = "$made" ]; then return; fi
  rm -rf "$home.part"
  mkdir -p "$home.part"
  # shellcheck disable=SC2064
  trap "tail -n 15 '$STATE/client.log' >&2; say '$client could not be made ready; its last words are above'" EXIT
  "fetch_${client//-/_}" "$(client_sources "$client")" "$home.part" "$home" >"$STATE/client.log" 2>&1
  trap - EXIT
  chmod +x "$home.part/run"
  echo "$made" >"$home.part/made"
  rm -rf "$home"
  mv "$home.part" "$home"
  say "$client: $(cat "$home/version")"
}

client_fingerprint() {
  local sources=("$(client_sources "$1")"/*)
  [ -e "${sources[0]}" ] || sources=()
  cat "$ROOT/dev.d/clients.sh" "${sources[@]}" | sha256sum | cut -d' ' -f1
}

client_version() { cat "$(client_home "$1")/version" 2>/dev/null; }

# --- one function for each: its sources, where to make it, where it will stand ---

fetch_curl() {
  need curl "install it (Debian and Ubuntu: apt-get install curl)"
  write_run "$2" "$(command -v curl)"
  curl --version | sed -n '1s/^\(curl [^ ]*\).*/\1/p' >"$2/version"
}

fetch_node_ws() {
  need npm "install Node.js 18 or newer"
  cp "$1"/* "$2/"
  (cd "$2" && npm ci --no-audit --no-fund)
  # which of its programs is the first argument
  write_run "$2" env "--chdir=$3" "$(command -v node)"
  echo "node ws $(sed -n 's/.*"ws": "\([^"]*\)".*/\1/p' "$1/package.json")" >"$2/version"
}

fetch_python_websockets() {
  need python3 "install Python 3.10 or newer"
  cp "$1"/* "$2/"
  python3 -m pip install --require-hashes --no-deps --target "$2/packages" -r "$1/requirements.txt"
  write_run "$2" env "PYTHONPATH=$3/packages" "$(real_python python3)" "$3/client.py"
  echo "python websockets $(sed -n 's/^websockets==\([^ ]*\).*/\1/p' "$1/requirements.txt")" >"$2/version"
}

fetch_go_coder_websocket() {
  need go "install Go 1.23 or newer"
  (cd "$1" && CGO_ENABLED=0 go build -mod=readonly -o "$2/run" .)
  echo "go coder/websocket $(sed -n 's/^require github.com\/coder\/websocket //p' "$1/go.mod")" >"$2/version"
}

# The package and what it needs are unpacked, not installed, where no browser is there already.
fetch_chromium() {
  local found libraries
  for found in chromium chromium-browser google-chrome; do
    if command -v "$found" >/dev/null; then
      write_run "$2" "$(command -v "$found")"
      "$found" --version | sed 's/ *$//' >"$2/version"
      return
    fi
  done
  need apt-get "put chromium or google-chrome on the PATH"
  need dpkg-deb "put chromium or google-chrome on the PATH"
  mkdir -p "$2/packages/partial"
  download_chromium "$2/packages" || { apt-get -qq update && download_chromium "$2/packages"; }
  for found in "$2"/packages/*.deb; do dpkg-deb -x "$found" "$2/root"; done
  rm -r "$2/packages"
  libraries=$(find "$2/root" -name '*.so*' -printf '%h\n' | sort -u | sed "s|^$2|$3|" | paste -sd:)
  write_run "$2" env "LD_LIBRARY_PATH=$libraries" "$3/root/usr/lib/chromium/chromium"
  LD_LIBRARY_PATH=${libraries//$3/$2} "$2/root/usr/lib/chromium/chromium" --version | sed 's/ *$//' >"$2/version"
}

download_chromium() {
  apt-get -y -qq --no-install-recommends --download-only -o APT::Sandbox::User=root -o Debug::NoLocking=1 \
    -o Dir::Cache::archives="$1" install chromium
}

# Autobahn's suite still needs Python 2.7.
fetch_autobahn() {
  local python
  python=$(python27) || die "Autobahn's test suite needs Python 2.7: put python2.7 on the PATH"
  cp "$1"/* "$2/"
  "$python" -m pip install --no-deps --target "$2/packages" -r "$1/requirements.txt"
  # a folder of several packages that no installer has marked as one
  touch "$2/packages/zope/__init__.py"
  write_run "$2" "$python" "$3/wstest.py" "$3/packages"
  echo "autobahntestsuite $(sed -n 's/^autobahntestsuite==//p' "$1/requirements.txt")" >"$2/version"
}

python27() {
  local found
  for found in "$(command -v python2.7)" "$HOME"/.pyenv/versions/2.7.*/bin/python /usr/bin/python2.7; do
    if [ -n "$found" ] && "$found" -c 'import pip' 2>/dev/null; then echo "$found" && return; fi
  done
  return 1
}

# The interpreter itself, not a shim that asks the folder that it is called in.
real_python() { "$1" -c 'import sys; print(sys.executable)'; }

# write_run FOLDER COMMAND...: the script that starts a client.
write_run() {
  local into=$1
  shift
  {
    echo '#!/bin/sh'
    printf 'exec'
    printf " '%s'" "$@"
    # shellcheck disable=SC2016
    echo ' "$@"'
  } >"$into/run"
}

# What the tests find them by; what is not ready is named as missing, so that nothing is left out in silence.
clients_env() {
  local client name missing=""
  for client in "${CLIENTS[@]}"; do
    name=${client//-/_}
    if [ -x "$(client_home "$client")/run" ]; then
      export_line "SLUICE_TEST_CLIENT_${name^^}" "$(client_home "$client")/run"
    else
      missing+="${missing:+ }SLUICE_TEST_CLIENT_${name^^}"
    fi
  done
  if [ -n "$missing" ]; then export_line SLUICE_TEST_CLIENTS_MISSING "$missing"; fi
}
