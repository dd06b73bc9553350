# Elasticsearch 8 and 9 and OpenSearch, and Elasticsearch 8 once more with TLS
# and passwords.
# shellcheck shell=bash

is_opensearch() { [ "$1" = opensearch ]; }
is_secured() { [ "$1" = elasticsearch-secured ]; }

configure_index() {
  local server=$1 home dist product=elasticsearch
  if is_opensearch "$server"; then product=opensearch; fi
  home=$(home_of "$server")
  dist=$(dist_of "$server")
  remember_ports "$server" http transport
  rm -rf "$home/config" "$home/tmp"
  mkdir -p "$home/config" "$home/tmp" "$home/logs" "$home/data-$(version_of "$server")"
  cp -r "$dist/config/." "$home/config/"
  # OpenSearch names its logs relative to a folder that is not its own
  sed -i -e "s#=logs/#=$home/logs/#; s#=data\$#=$home/logs#" "$home/config/jvm.options"
  {
    echo "cluster.name: $server"
    echo "node.name: $server"
    echo "discovery.type: single-node"
    echo "network.host: 127.0.0.1"
    echo "http.port: $(port_of "$server" http)"
    echo "transport.port: $(port_of "$server" transport)"
    echo "path.data: $home/data-$(version_of "$server")"
    echo "path.logs: $home/logs"
    echo "cluster.routing.allocation.disk.threshold_enabled: false"
    if is_secured "$server"; then
      secure_settings
    elif ! is_opensearch "$server"; then
      echo "xpack.security.enabled: false"
    fi
  } >"$home/config/$product.yml"
  if is_secured "$server"; then secure_files "$home/config"; fi
  if [ "$(id -u)" -eq 0 ]; then chown -R "nobody:$(id -gn nobody)" "$home"; fi
}

secure_settings() {
  cat <<'YML'
xpack.security.enabled: true
xpack.security.enrollment.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.key: certs/server.key
xpack.security.http.ssl.certificate: certs/server.pem
xpack.security.http.ssl.certificate_authorities: certs/ca.pem
xpack.security.http.ssl.client_authentication: optional
YML
}

# Two users with one password: one may do everything, one may read, and write
# only to indices called allowed-*.
secure_files() {
  local config=$1 hash
  make_secrets
  mkdir -p "$config/certs"
  cp "$STATE/secrets/tls/"{ca.pem,server.pem,server.key} "$config/certs/"
  hash=$(password_hash "$(test_password)") || die "openssl could not hash the password (it must be OpenSSL 3)"
  printf '%s:%s\n' "$TEST_USER" "$hash" "$LIMITED_USER" "$hash" >"$config/users"
  printf '%s:%s\n' superuser "$TEST_USER" limited "$LIMITED_USER" >"$config/users_roles"
  cat >"$config/roles.yml" <<'YML'
limited:
  cluster: [monitor]
  indices:
    - names: ["*"]
      privileges: [read, view_index_metadata]
    - names: ["allowed-*"]
      privileges: [all]
YML
}

start_index() {
  local server=$1 home dist java prefix=ES command=(elasticsearch -d)
  # OpenSearch stays in the foreground by itself; Elasticsearch's launcher ends once -d has it running
  if is_opensearch "$server"; then prefix=OPENSEARCH command=(opensearch); fi
  home=$(home_of "$server")
  dist=$(dist_of "$server")
  java=$(java_for "$server")
  need setpriv "install util-linux"
  configure_index "$server"
  # its own log is appended to: what an earlier start said must not be taken for this one's
  if [ -f "$home/logs/$server.log" ]; then mv "$home/logs/$server.log" "$home/logs/$server.log.1"; fi
  (
    cd "$home" || exit 1
    umask 027
    setsid "${AS_SERVER_USER[@]}" env -i PATH="$PATH" HOME="$home" LANG="${LANG:-C.UTF-8}" \
      "${prefix}_JAVA_HOME=$java" "${prefix}_PATH_CONF=$home/config" "${prefix}_TMPDIR=$home/tmp" \
      "${prefix}_JAVA_OPTS=-Xms512m -Xmx512m $(marker_of "$server")" \
      "$dist/bin/${command[0]}" "${command[@]:1}" >"$home/start.log" 2>&1 </dev/null 9>&- &
    echo $! >"$home/launcher.pid"
  )
}

await_index() { wait_ready "$1" 180 "its cluster to be healthy on port $(port_of "$1" http)" index_is_ready "$1"; }

index_is_ready() { is_running "$1" && [ "$(index_get "$1" "/_cluster/health?wait_for_status=yellow&timeout=5s")" = 200 ]; }

# index_get SERVER PATH: the status of the answer.
index_get() {
  local options=() login=""
  if is_secured "$1"; then
    options=(--cacert "$STATE/secrets/tls/ca.pem")
    login="user = \"$TEST_USER:$(test_password)\""
  fi
  curl -s -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 10 "${options[@]}" -K - \
    "$(address_of_index "$1")$2" <<<"$login" || true
}

address_of_index() {
  local scheme=http
  if is_secured "$1"; then scheme=https; fi
  echo "$scheme://127.0.0.1:$(port_of "$1" http)"
}
