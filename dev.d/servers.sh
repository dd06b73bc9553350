# ./dev up, down, wipe, status, env: what holds for every server alike.
# shellcheck shell=bash

up() {
  local server kind starting=()
  [ $# -gt 0 ] || set -- kafka elasticsearch
  for server; do kind_of "$server" >/dev/null; done
  need curl "install it (Debian and Ubuntu: apt-get install curl)"
  take_lock
  # everything that can be missing is found out before anything starts
  for server; do
    if ! is_running "$server"; then fetch_server "$server"; fi
  done
  for server; do
    kind=$(kind_of "$server")
    if ! is_running "$server"; then
      mkdir -p "$(home_of "$server")"
      version_of "$server" >"$(home_of "$server")/version"
      "start_$kind" "$server"
    elif "${kind}_is_ready" "$server"; then
      say "$server $(started_version "$server"): already running on $("address_of_$kind" "$server")"
      continue
    fi
    starting+=("$server")
  done
  # they start side by side and are waited for one after the other
  for server in "${starting[@]}"; do
    kind=$(kind_of "$server")
    "await_$kind" "$server"
    say "$server $(started_version "$server"): ready on $("address_of_$kind" "$server") (pid $(pid_of "$server"))"
  done
  drop_lock
}

started_version() { cat "$(home_of "$1")/version" 2>/dev/null || echo "-"; }

fetch() {
  local server
  [ $# -gt 0 ] || set -- "${ALL_SERVERS[@]}" clients
  for server; do [ "$server" = clients ] || kind_of "$server" >/dev/null; done
  take_lock
  for server; do
    if [ "$server" = clients ]; then
      fetch_clients || die "these clients could not be had: ${CLIENTS_MISSING[*]}"
    else
      fetch_server "$server"
    fi
  done
  drop_lock
}

down() {
  local server
  for server; do kind_of "$server" >/dev/null; done
  take_lock
  if [ $# -gt 0 ]; then
    for server; do stop_server "$server"; done
  else
    for server in "${ALL_SERVERS[@]}"; do
      if is_running "$server"; then stop_server "$server"; fi
    done
  fi
  drop_lock
}

wipe() {
  local server
  down "$@"
  [ $# -gt 0 ] || set -- "${ALL_SERVERS[@]}"
  for server; do rm -rf "$(home_of "$server")"; done
  say "the data of $* is gone; the programs stay in $STATE/dist"
}

status() {
  local server kind pid
  printf '%-22s %-9s %-10s %-8s %s\n' SERVER STATE VERSION PID ADDRESS
  for server in "${ALL_SERVERS[@]}"; do
    kind=$(kind_of "$server")
    pid=$(pid_of "$server")
    if [ -z "$pid" ]; then
      printf '%-22s %-9s %-10s\n' "$server" stopped "$(version_of "$server")"
    elif "${kind}_is_ready" "$server"; then
      printf '%-22s %-9s %-10s %-8s %s\n' "$server" running "$(started_version "$server")" "$pid" "$("address_of_$kind" "$server")"
    else
      printf '%-22s %-9s %-10s %-8s %s\n' "$server" "not ready" "$(started_version "$server")" "$pid" "$("address_of_$kind" "$server")"
    fi
  done
}

# print_env [SERVER...]: of those that run, what Sluice and its tests need to find them.
print_env() {
  local server nodes=""
  [ $# -gt 0 ] || set -- "${ALL_SERVERS[@]}"
  for server in "${INDEX_SERVERS[@]}"; do
    if [ -z "$nodes" ] && [[ " $* " == *" $server "* ]] && is_running "$server"; then
      nodes=$(address_of_index "$server")
    fi
  done
  if [ -n "$nodes" ]; then export_line SLUICE_INDEX_NODES "$nodes"; fi
  for server; do
    if ! is_running "$server"; then continue; fi
    case $server in
      kafka) kafka_env ;;
      prometheus)
        export_line SLUICE_TEST_PROMETHEUS "$(address_of_prometheus)"
        export_line SLUICE_TEST_PROMETHEUS_TARGETS "$(home_of prometheus)/targets"
        export_line SLUICE_TEST_PROMTOOL "$(dist_of prometheus)/promtool"
        ;;
      elasticsearch-secured)
        export_line SLUICE_TEST_ELASTICSEARCH_SECURED "$(address_of_index "$server")"
        export_line SLUICE_TEST_LIMITED_USER "$LIMITED_USER"
        ;;
      *) export_line "SLUICE_TEST_${server^^}" "$(address_of_index "$server")" ;;
    esac
  done
  if is_running kafka || is_running elasticsearch-secured; then secrets_env; fi
  if [ -d "$STATE/clients" ]; then clients_env; fi
}

kafka_env() {
  export_line SLUICE_KAFKA_BROKERS "$(address_of_kafka)"
  export_line SLUICE_TEST_KAFKA "$(address_of_kafka)"
  export_line SLUICE_TEST_KAFKA_SASL "127.0.0.1:$(port_of kafka sasl)"
  export_line SLUICE_TEST_KAFKA_SSL "127.0.0.1:$(port_of kafka ssl)"
  export_line SLUICE_TEST_KAFKA_SASL_SSL "127.0.0.1:$(port_of kafka sasl_ssl)"
}

secrets_env() {
  export_line SLUICE_TEST_CA_FILE "$STATE/secrets/tls/ca.pem"
  export_line SLUICE_TEST_CLIENT_CERTIFICATE_FILE "$STATE/secrets/tls/client.pem"
  export_line SLUICE_TEST_CLIENT_KEY_FILE "$STATE/secrets/tls/client.key"
  export_line SLUICE_TEST_USER "$TEST_USER"
  export_line SLUICE_TEST_PASSWORD "$(test_password)"
}

export_line() { printf 'export %s=%q\n' "$1" "$2"; }
