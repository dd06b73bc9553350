# Prometheus, which scrapes Sluice where it listens by default, and whatever a
# test names in a file below targets/.
# shellcheck shell=bash

start_prometheus() {
  local home
  home=$(home_of prometheus)
  remember_ports prometheus http
  mkdir -p "$home/targets"
  cat >"$home/prometheus.yml" <<YML
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: sluice
    static_configs:
      - targets: ["127.0.0.1:9600"]
    file_sd_configs:
      - files: ["$home/targets/*.json"]
        refresh_interval: 1s
YML
  setsid "$(dist_of prometheus)/prometheus" "$(marker_of prometheus)" --storage.tsdb.path="$home/data" \
    --web.listen-address="127.0.0.1:$(port_of prometheus http)" >"$home/server.log" 2>&1 </dev/null 9>&- &
}

await_prometheus() { wait_ready prometheus 30 "/-/ready on port $(port_of prometheus http)" prometheus_is_ready; }

prometheus_is_ready() {
  is_running prometheus && curl -fs -o /dev/null --noproxy '*' --max-time 5 "$(address_of_prometheus)/-/ready"
}

address_of_prometheus() { echo "http://127.0.0.1:$(port_of prometheus http)"; }
