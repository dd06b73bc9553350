# ./dev test: every test, first with no server at all, then on real ones, one
# index server at a time.
# shellcheck shell=bash

ROUNDS=(plain clients elasticsearch elasticsearch9 opensearch elasticsearch-secured)
SUMMARY=()
FAILED=0

run_tests() {
  local only="" round server
  while [ $# -gt 0 ]; do
    case $1 in
      --only) only=${2:?"--only wants a round: ${ROUNDS[*]}"} && shift 2 ;;
      --) shift && break ;;
      *) die "test knows no '$1'; arguments for cargo test come after --" ;;
    esac
  done
  [[ -z $only || " ${ROUNDS[*]} " == *" $only "* ]] || die "no round is called '$only'; there are: ${ROUNDS[*]}"
  need cargo "install Rust with rustup (https://rustup.rs); the toolchain's version is pinned here"
  cd "$ROOT" || exit 1

  RUNNING_BEFORE=()
  for server in "${ALL_SERVERS[@]}"; do
    if is_running "$server"; then RUNNING_BEFORE+=("$server"); fi
  done
  trap 'leave_as_found "${ALL_SERVERS[@]}"' EXIT
  trap 'exit 130' INT TERM
  for round in "${ROUNDS[@]}"; do
    if [ -z "$only" ] || [ "$only" = "$round" ]; then test_round "$round" "$@"; fi
  done
  leave_as_found "${ALL_SERVERS[@]}"
  print_summary
  [ "$FAILED" -eq 0 ] || die "not everything passed"
}

# test_round ROUND [CARGO TEST ARGUMENTS]
test_round() {
  local round=$1 servers=()
  shift
  case $round in
    plain) ;;
    clients)
      test_clients "$@"
      return
      ;;
    *)
      servers=(kafka "$round")
      if [ "$round" = elasticsearch ]; then servers+=(prometheus); fi
      # what needs no server has run already, and would only take the cores from what does
      [ $# -gt 0 ] || set -- real::
      ;;
  esac
  say ""
  say "=== tests, round $round ==="
  # in a process of its own, so that a server that cannot be had ends only the round
  if [ ${#servers[@]} -gt 0 ] && ! "$ROOT/dev" up "${servers[@]}"; then
    say "!!! NOT RUN: the tests on ${servers[*]}; why is said above"
    SUMMARY+=("$(printf '%-22s %-8s %6s %6s  %s' "$round" "NOT RUN" - - "a server could not be had")")
    if [ "${SLUICE_REQUIRE_SERVERS:-0}" = 1 ]; then FAILED=1; fi
  else
    run_cargo_test "$round" "${servers[*]}" "$@"
  fi
  # Kafka serves every round
  if [ "$round" != plain ]; then leave_as_found "$round" prometheus; fi
}

# Streams to clients that others wrote.
test_clients() {
  local client names=""
  say ""
  say "=== tests, round clients ==="
  fetch_clients || true
  if [ ${#CLIENTS_MISSING[@]} -gt 0 ]; then
    say "!!! NOT RUN: the tests with ${CLIENTS_MISSING[*]}; why is said above"
    if [ "${SLUICE_REQUIRE_SERVERS:-0}" = 1 ]; then FAILED=1; fi
  fi
  for client in "${CLIENTS[@]}"; do names+="${names:+, }$(client_version "$client" || echo "NO $client")"; done
  [ $# -gt 0 ] || set -- stream::foreign::
  run_cargo_test clients "" "$@"
  SUMMARY[-1]=${SUMMARY[-1]/no server/$names}
}

run_cargo_test() {
  local round=$1 on=$2 log=$STATE/test-$1.log started=$SECONDS result=passed count names="no server" server
  shift 2
  if [ -n "$on" ]; then
    names=""
    for server in $on; do names+="${names:+, }$server $(started_version "$server")"; done
  fi
  (
    # only this round's servers are to be found, whatever the caller's shell has set
    # shellcheck disable=SC2046
    unset $(compgen -v SLUICE_)
    # shellcheck disable=SC2086
    if [ -n "$on" ]; then eval "$(print_env $on)"; fi
    if [ "$round" = clients ]; then eval "$(clients_env)"; fi
    export SLUICE_TEST_ROUND=$round
    cargo test "$@"
  ) 2>&1 | tee "$log" >&2 || result=FAILED
  count=$(sed -n 's/^test result: .* \([0-9]*\) passed.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
  if [ "$count" -eq 0 ] && [ "$result" = passed ]; then
    say "!!! no test ran in round $round"
    result=FAILED
  fi
  if [ "$result" = FAILED ]; then FAILED=1; fi
  SUMMARY+=("$(printf '%-22s %-8s %6s %4s s  %s' "$round" "$result" "$count" $((SECONDS - started)) "$names")")
}

# Stops those of the named servers that did not run before the tests.
leave_as_found() {
  local server
  for server; do
    if [[ " ${RUNNING_BEFORE[*]} " != *" $server "* ]] && is_running "$server"; then stop_server "$server"; fi
  done
}

print_summary() {
  say ""
  say "$(printf '%-22s %-8s %6s %6s  %s' ROUND RESULT TESTS TIME "ON REAL SERVERS")"
  printf '%s\n' "${SUMMARY[@]}" >&2
}
