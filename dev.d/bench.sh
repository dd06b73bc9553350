# ./dev bench: builds for release, starts what a bench needs, measures.
# shellcheck shell=bash

BENCHES=(prepare pipeline stream)

# run_bench BENCH [FIGURE...]
run_bench() {
  local bench=${1:-} had_kafka=no
  [[ -n $bench && " ${BENCHES[*]} " == *" $bench "* ]] || die "bench wants one of: ${BENCHES[*]}"
  shift
  need cargo "install Rust with rustup (https://rustup.rs); the toolchain's version is pinned here"
  cd "$ROOT" || exit 1
  cargo bench --bench "$bench" --no-run
  if [ "$bench" = prepare ]; then
    cargo bench --bench prepare
    return
  fi
  if is_running kafka; then had_kafka=yes; fi
  "$ROOT/dev" up kafka
  # only what the bench itself asks for, whatever the caller's shell has set
  local status=0
  (
    local name
    for name in $(compgen -v SLUICE_); do
      if [[ $name != SLUICE_BENCH_* ]]; then unset "$name"; fi
    done
    eval "$(print_env kafka)"
    cargo bench --bench "$bench" -- "$@"
  ) || status=$?
  if [ "$had_kafka" = no ]; then stop_server kafka; fi
  return "$status"
}
