# Shared by every part of ./dev: messages, folders, ports, processes, waiting.
# shellcheck shell=bash

ALL_SERVERS=(kafka elasticsearch elasticsearch9 opensearch elasticsearch-secured prometheus)
# shellcheck disable=SC2034  # read in servers.sh
INDEX_SERVERS=(elasticsearch elasticsearch9 opensearch)

say() { printf '%s\n' "$*" >&2; }
die() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}

kind_of() {
  case $1 in
    kafka) echo kafka ;;
    prometheus) echo prometheus ;;
    elasticsearch | elasticsearch9 | opensearch | elasticsearch-secured) echo index ;;
    *) die "no server is called '$1'; there are: ${ALL_SERVERS[*]}" ;;
  esac
}

version_of() {
  case $1 in
    kafka) echo "$KAFKA_VERSION" ;;
    elasticsearch | elasticsearch-secured) echo "$ELASTICSEARCH_VERSION" ;;
    elasticsearch9) echo "$ELASTICSEARCH9_VERSION" ;;
    opensearch) echo "$OPENSEARCH_VERSION" ;;
    prometheus) prometheus_version ;;
  esac
}

# Index servers refuse to run as root, so root runs them as nobody. Used before a command.
AS_SERVER_USER=()
if [ "$(id -u)" -eq 0 ]; then
  AS_SERVER_USER=(setpriv --reuid=nobody --regid="$(id -gn nobody)" --clear-groups)
fi

# Sets STATE, the folder of everything that ./dev makes: .dev, or, where the
# servers could not live there, a folder of this checkout below TMPDIR.
find_state() {
  local dev=$ROOT/.dev
  mkdir -p "$dev"
  if [ -f "$dev/state" ] && [ "$(sed -n 1p "$dev/state")" = "$ROOT" ]; then
    STATE=$(sed -n 2p "$dev/state")
    if [ -d "$STATE" ]; then return; fi
  fi
  STATE=$dev
  if unfit_for_servers "$dev"; then
    STATE=${TMPDIR:-/tmp}/sluice-dev-$(printf %s "$ROOT" | sha256sum | cut -c1-12)
    mkdir -p "$STATE"
    [ -O "$STATE" ] || die "$STATE belongs to someone else: set TMPDIR to a folder of your own"
    if unfit_for_servers "$STATE"; then
      die "the servers cannot live in $dev nor in $STATE: set TMPDIR to a folder with a plain name that everyone may search (chmod a+x)"
    fi
    say "dev: $dev does not suit the servers (closed to their user, or an unusual name); using $STATE"
  fi
  printf '%s\n%s\n' "$ROOT" "$STATE" >"$dev/state"
}

# Unfit: a name that launcher scripts would split, or a folder closed to the servers' user.
unfit_for_servers() {
  case $1 in *[!A-Za-z0-9/._+-]*) return 0 ;; esac
  (cd / && ! "${AS_SERVER_USER[@]}" test -x "$1" 2>/dev/null)
}

home_of() { echo "$STATE/$1"; }

# One ./dev of a checkout changes servers at a time. Servers must not inherit the lock: 9>&-.
take_lock() {
  exec 9>"$ROOT/.dev/lock"
  flock -n 9 && return
  say "dev: another ./dev of this checkout is at work; waiting up to 10 minutes"
  flock -w 600 9 || die "another ./dev of this checkout is still at work"
}

drop_lock() { exec 9>&-; }

# --- ports ---------------------------------------------------------------

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port_of SERVER WHICH: the remembered port.
port_of() { sed -n "s/^$2 //p" "$(home_of "$1")/ports" 2>/dev/null || true; }

# Below the range from which the system takes the ports of outgoing connections.
free_port() {
  local port try
  for try in {1..200}; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
    case " $* " in *" $port "*) continue ;; esac
    port_answers "$port" || { echo "$port" && return; }
  done
  die "no free port found between 20000 and 30000 after $try tries"
}

# remember_ports SERVER WHICH...: keeps what is remembered and free, chooses the rest.
remember_ports() {
  local server=$1 file which port taken=() lines=()
  shift
  file=$(home_of "$server")/ports
  for which; do
    port=$(port_of "$server" "$which")
    if [ -z "$port" ] || port_answers "$port"; then port=$(free_port "${taken[@]}"); fi
    taken+=("$port")
    lines+=("$which $port")
  done
  printf '%s\n' "${lines[@]}" >"$file"
}

# --- processes -----------------------------------------------------------

# Every server carries one argument that only this checkout gives it. A server
# is found by that argument, so no file can name a process that is not ours.
marker_of() {
  if [ "$1" = prometheus ]; then
    echo "--config.file=$(home_of "$1")/prometheus.yml"
  else
    echo "-Dsluice.dev=$(home_of "$1")"
  fi
}

pid_of() {
  local found
  found=$(marker_of "$1" | grep -lzxF -f /dev/stdin /proc/[0-9]*/cmdline 2>/dev/null | head -n 1) || true
  found=${found#/proc/}
  echo "${found%/cmdline}"
}

is_running() { [ -n "$(pid_of "$1")" ]; }

# stop_server NAME: asks, waits, and ends it the hard way when it does not listen.
stop_server() {
  local server=$1 pid deadline
  pid=$(pid_of "$server")
  [ -n "$pid" ] || { say "$server: not running" && return; }
  kill -TERM "$pid" 2>/dev/null || true
  deadline=$((SECONDS + 30))
  while [ "$(pid_of "$server")" = "$pid" ]; do
    if [ $SECONDS -ge $deadline ]; then
      say "$server: still there after 30 s, ending it with SIGKILL"
      kill -KILL "$pid" 2>/dev/null || true
      deadline=$((SECONDS + 10))
    fi
    sleep 0.1
  done
  say "$server: stopped"
}

# --- waiting -------------------------------------------------------------

# wait_ready NAME SECONDS WHAT CHECK...: until CHECK succeeds; on failure the log's tail.
wait_ready() {
  local server=$1 limit=$2 what=$3 started=$SECONDS grace=$((SECONDS + 5))
  shift 3
  say "$server: waiting for $what (up to $limit s)"
  until "$@"; do
    if [ $((SECONDS - started)) -ge "$limit" ]; then
      show_log "$server"
      stop_server "$server"
      die "$server: not ready after $limit s; the end of its log is above"
    fi
    if [ $SECONDS -ge $grace ] && ! is_starting "$server"; then
      show_log "$server"
      die "$server: ended before it was ready; the end of its log is above"
    fi
    sleep 0.2
  done
}

# A launcher that is still at work counts as well as the server itself.
is_starting() {
  is_running "$1" && return
  local launcher
  launcher=$(cat "$(home_of "$1")/launcher.pid" 2>/dev/null) || return 1
  [ -d "/proc/$launcher" ]
}

show_log() {
  local home log
  home=$(home_of "$1")
  for log in "$home/start.log" "$home/server.log" "$home/logs/$1.log"; do
    [ -s "$log" ] || continue
    say "--- the end of $log"
    tail -n 25 "$log" >&2
  done
}
