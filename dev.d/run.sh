# ./dev run: everything a newcomer needs to see Sluice at work.
# shellcheck shell=bash

# Of what `sluice traffic` invents, the one with most calls.
DEMO_AREA=id:5a1f00

run() {
  local seconds=0
  while [ $# -gt 0 ]; do
    case $1 in
      --seconds) seconds=${2:?"--seconds wants a number"} && shift 2 ;;
      *) die "run knows no '$1'; './dev help' shows what it takes" ;;
    esac
  done
  need cargo "install Rust with rustup (https://rustup.rs); the toolchain's version is pinned here"
  up kafka elasticsearch
  eval "$(print_env kafka elasticsearch)"
  say "building sluice"
  cd "$ROOT" || exit 1
  cargo build
  run_demo "$seconds"
}

# The one place that knows sluice's own commands.
run_demo() {
  local seconds=$1 sluice=$ROOT/target/debug/sluice
  SLUICE_API_TOKEN=$(admin_token)
  export SLUICE_API_TOKEN
  "$sluice" setup
  if ! has_geo_database; then
    "$sluice" geo-demo "$(demo_geo_database)"
    SLUICE_GEO_DATABASES=$(demo_geo_database)
    export SLUICE_GEO_DATABASES
  fi
  trap 'stop_demo; exit 130' INT TERM
  trap stop_demo EXIT
  "$sluice" run &
  SLUICE_PID=$!
  # the gateway's own records first, then invented calls
  "$sluice" traffic --rate 50 "$ROOT"/pipelines/apiconnect/samples/apiconnect-*.json &
  TRAFFIC_PID=$!

  await_events
  open_channel "$sluice"
  show_around
  if [ "$seconds" -gt 0 ]; then
    wait_while_running "$seconds"
  else
    say "Ctrl-C stops sluice and the traffic."
    wait "$SLUICE_PID"
  fi
}

# A real one, that geoip/fetch has got.
has_geo_database() { compgen -G "$ROOT/geoip/*.mmdb" >/dev/null; }

demo_geo_database() { echo "$STATE/geo-demo.mmdb"; }

# What sluice needs beside the servers to go on with what ./dev run has made; nothing before that.
demo_env() {
  if [ -s "$(api_token_file)" ]; then export_line SLUICE_API_TOKEN "$(admin_token)"; fi
  if ! has_geo_database && [ -s "$(demo_geo_database)" ]; then
    export_line SLUICE_GEO_DATABASES "$(demo_geo_database)"
  fi
}

# The traffic first, so that sluice drains what was sent.
stop_demo() {
  trap - INT TERM EXIT
  local pid
  for pid in "${TRAFFIC_PID:-}" "${SLUICE_PID:-}"; do
    if [ -z "$pid" ]; then continue; fi
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" || true
  done
  say "sluice and the traffic have stopped. The servers are still up: './dev down' stops them."
}

event_count() {
  curl -s --noproxy '*' --max-time 5 "$SLUICE_INDEX_NODES/api-events-*/_count" | sed -n 's/^{"count":\([0-9]*\).*/\1/p'
}

is_ready() { curl -sf --noproxy '*' --max-time 5 http://127.0.0.1:9600/readyz >/dev/null; }

await_events() {
  local deadline=$((SECONDS + 60)) count
  until count=$(event_count) && [ "${count:-0}" -gt 0 ] && is_ready; do
    kill -0 "$SLUICE_PID" 2>/dev/null || die "sluice ended before an event was in the index; what it said is above"
    kill -0 "$TRAFFIC_PID" 2>/dev/null || die "the traffic ended before an event was in the index; what it said is above"
    [ $SECONDS -lt $deadline ] || die "no event in the index after 60 s"
    sleep 0.5
  done
}

api_token_file() { echo "$STATE/secrets/api-token"; }

# The administrators' token of this checkout.
admin_token() {
  local file
  file=$(api_token_file)
  if [ ! -s "$file" ]; then
    (umask 077 && mkdir -p "${file%/*}" && openssl rand -hex 24 >"$file")
  fi
  cat "$file"
}

# A channel for the busiest area of the traffic, and its token: shown once, so kept for the next time.
open_channel() {
  local sluice=$1 made
  STREAM_TOKEN_FILE=$STATE/secrets/stream-token
  CHANNEL=$("$sluice" channels list --json --area "$DEMO_AREA" | sed -n 's/.*"id":"\(c[0-9]*\)".*/\1/p')
  if [ -z "$CHANNEL" ]; then
    made=$("$sluice" channels create "$DEMO_AREA") || die "there is no channel; what sluice said is above"
    CHANNEL=$(sed -n 's/^channel \(c[0-9]*\) .*/\1/p' <<<"$made")
  elif [ -s "$STREAM_TOKEN_FILE" ]; then
    return
  else
    made=$("$sluice" tokens create "$CHANNEL") || die "there is no token; what sluice said is above"
  fi
  (umask 077 && sed -n 's/^ *\(slc_[^ ]*\)$/\1/p' <<<"$made" >"$STREAM_TOKEN_FILE")
}

wait_while_running() {
  local deadline=$((SECONDS + $1))
  while [ $SECONDS -lt $deadline ]; do
    kill -0 "$SLUICE_PID" 2>/dev/null || die "sluice ended by itself; what it said is above"
    sleep 0.5
  done
  say "$(event_count) events are in the index."
}

show_around() {
  cat >&2 <<TEXT

$(event_count) events are in the index, and more are coming. Look at them:

  how many          curl '$SLUICE_INDEX_NODES/api-events-*/_count?pretty'
  one, enriched     curl '$SLUICE_INDEX_NODES/api-events-*/_search?size=1&pretty'
  where they are    curl '$SLUICE_INDEX_NODES/api-events-*/_search?size=0&pretty' -H 'content-type: application/json' \\
                      -d '{"aggs":{"grid":{"geohash_grid":{"field":"client_geoip.location","precision":3}}}}'
  the records of
  the samples       curl '$SLUICE_INDEX_NODES/api-events-*/_search?q=datetime:%3C2017&pretty'
  what became of
  every event       curl http://127.0.0.1:9600/metrics
  is it well?       curl http://127.0.0.1:9600/readyz
  each call of
  $DEMO_AREA,
  as it happens     target/debug/sluice tail $CHANNEL --token-file '$STREAM_TOKEN_FILE'
  with curl         curl -N -H 'Accept: application/x-ndjson' "http://127.0.0.1:9601/v1/streams/$CHANNEL?key=\$(cat '$STREAM_TOKEN_FILE')"
  failures alone    target/debug/sluice tail $CHANNEL --token-file '$STREAM_TOKEN_FILE' --filter 'status >= 500'
  administration    export SLUICE_API_TOKEN=\$(cat '$(api_token_file)'); target/debug/sluice channels list

TEXT
}
