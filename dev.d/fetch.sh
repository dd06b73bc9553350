# Where the servers' programs come from: Maven for the Java ones, the system's
# package archive for Prometheus. Each is unpacked once below dist/.
# shellcheck shell=bash

# setting_of SERVER WHAT: a line of dev.d/versions.
setting_of() {
  local name=${1^^}
  name=${name%-SECURED}_$2
  echo "${!name}"
}

dist_of() {
  case $1 in
    kafka) echo "$STATE/dist/kafka-$KAFKA_VERSION" ;;
    elasticsearch | elasticsearch-secured) echo "$STATE/dist/elasticsearch-$ELASTICSEARCH_VERSION" ;;
    elasticsearch9) echo "$STATE/dist/elasticsearch-$ELASTICSEARCH9_VERSION" ;;
    opensearch) echo "$STATE/dist/opensearch-$OPENSEARCH_VERSION" ;;
    prometheus) echo "$STATE/dist/prometheus" ;;
  esac
}

fetch_server() {
  local dist
  dist=$(dist_of "$1")
  # what fits none of the JDKs here need not be fetched
  [ "$1" = prometheus ] || java_for "$1" >/dev/null
  if [ -d "$dist" ]; then return; fi
  rm -rf "$dist.part"
  mkdir -p "$dist.part"
  "fetch_$(kind_of "$1")" "$1" "$dist.part"
  mv "$dist.part" "$dist"
}

need() { command -v "$1" >/dev/null || die "$1 is not installed: $2"; }

# maven ARGUMENTS...: quiet, three tries; Maven itself keeps what it fetched.
maven() {
  local try log=$STATE/maven.log
  need mvn "install Maven (Debian and Ubuntu: apt-get install maven)"
  for try in 1 2 3; do
    if timeout 900 mvn -B -q "$@" >"$log" 2>&1 </dev/null; then return; fi
    say "dev: Maven failed (try $try of 3)"
  done
  tail -n 15 "$log" >&2
  die "Maven could not fetch it; its last words are above, all of them in $log"
}

fetch_kafka() {
  local into=$2
  say "kafka $KAFKA_VERSION: fetching with Maven (54 MB where Maven does not have it yet)"
  # Kafka 3 brings a second log binding, which would win and say nothing
  local one_binding="<exclusions><exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion></exclusions>"
  cat >"$into/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_$KAFKA_SCALA</artifactId><version>$KAFKA_VERSION</version>$one_binding</dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version>$one_binding</dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>$SLF4J_VERSION</version></dependency>
  </dependencies>
</project>
POM
  maven -f "$into/pom.xml" \
    "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN:copy-dependencies" \
    -DincludeScope=runtime -DoutputDirectory="$into/libs"
}

fetch_index() {
  local server=$1 into=$2 product=elasticsearch group=org.elasticsearch
  if [ "$server" = opensearch ]; then product=opensearch group=org.opensearch; fi
  need unzip "install it (Debian and Ubuntu: apt-get install unzip)"
  say "$product $(version_of "$server"): fetching with Maven (100 to 160 MB where Maven does not have it yet)"
  maven "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN:copy" \
    -Dartifact="$group.distribution.integ-test-zip:$product:$(version_of "$server"):zip" \
    -DoutputDirectory="$into"
  check_archive "$server" "$into/"*.zip
  unzip -q "$into/"*.zip -d "$into"
  rm "$into/"*.zip
  mv "$into/$product-$(version_of "$server")"/* "$into/"
  rm -r "${into:?}/$product-$(version_of "$server")"
}

# Not every copy of the repository serves checksums, so the archives' are kept here.
check_archive() {
  local wanted
  wanted=$(setting_of "$1" SHA256)
  if [ -z "$wanted" ] || [ "$(sha256sum <"$2" | cut -d' ' -f1)" = "$wanted" ]; then return; fi
  die "$(basename "$2") is not the file that dev.d/versions names: remove it from Maven's repository (~/.m2/repository/org) and try again"
}

# The package is unpacked, not installed: nothing of it starts or stays on the system.
fetch_prometheus() {
  local into=$2 package
  if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    ln -s "$(command -v prometheus)" "$into/prometheus"
    ln -s "$(command -v promtool)" "$into/promtool"
    return
  fi
  need apt-get "put prometheus and promtool on the PATH"
  need dpkg-deb "put prometheus and promtool on the PATH"
  say "prometheus: fetching the system's package"
  if ! download_package "$into" && [ "$(id -u)" -eq 0 ]; then
    apt-get -qq update >"$STATE/apt.log" 2>&1 || true
    download_package "$into" || true
  fi
  package=$(find "$into" -name 'prometheus_*.deb' | head -n 1)
  [ -n "$package" ] ||
    die "apt-get could not fetch prometheus: run 'sudo apt-get update' and try again, or put prometheus and promtool on the PATH"
  dpkg-deb -x "$package" "$into/root"
  ln -s root/usr/bin/prometheus "$into/prometheus"
  ln -s root/usr/bin/promtool "$into/promtool"
}

download_package() { (cd "$1" && apt-get -qq -o APT::Sandbox::User=root download prometheus >"$STATE/apt.log" 2>&1); }

prometheus_version() {
  local dist
  dist=$(dist_of prometheus)
  if [ -x "$dist/prometheus" ]; then
    "$dist/prometheus" --version 2>&1 | sed -n 's/^prometheus, version \([^ ]*\).*/\1/p'
  else
    echo "-"
  fi
}

# --- Java ----------------------------------------------------------------

java_candidates() {
  local home
  # the variables of hosted CI machines come after the user's own
  for home in "${JAVA_HOME:-}" "${JAVA_HOME_17_X64:-}" "${JAVA_HOME_25_X64:-}" \
    "${JAVA_HOME_17_ARM64:-}" "${JAVA_HOME_25_ARM64:-}" \
    /usr/lib/jvm/* /opt/java/* "$HOME"/.sdkman/candidates/java/*; do
    if [ -n "$home" ] && [ -x "$home/bin/java" ]; then echo "$home"; fi
  done
  if home=$(command -v java); then dirname "$(dirname "$(readlink -f "$home")")"; fi
}

java_release() {
  local version
  version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release" 2>/dev/null)
  if [ -z "$version" ]; then
    version=$("$1/bin/java" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')
  fi
  echo "$version"
}

# java_for SERVER: the home of a fitting Java that the server's user may run.
java_for() {
  local server=$1 releases wanted home
  releases=$(setting_of "$server" JAVA)
  for wanted in $releases; do
    while read -r home; do
      [ "$(java_release "$home")" = "$wanted" ] || continue
      if [ "$server" = kafka ] || (cd / && "${AS_SERVER_USER[@]}" test -x "$home/bin/java"); then
        echo "$home"
        return
      fi
    done < <(java_candidates)
  done
  die "$server $(version_of "$server") needs Java ${releases// / or } and none was found: install that JDK (for instance Temurin) below /usr/lib/jvm, or set JAVA_HOME to it"
}
