# Apache Kafka: one node in KRaft mode, with an open listener for everyday use
# and three closed ones for the tests of security.
# shellcheck shell=bash

configure_kafka() {
  local home plain sasl ssl sasl_ssl controller password tls=$STATE/secrets/tls
  home=$(home_of kafka)
  make_secrets
  remember_ports kafka plaintext sasl ssl sasl_ssl controller
  plain=$(port_of kafka plaintext) sasl=$(port_of kafka sasl) ssl=$(port_of kafka ssl)
  sasl_ssl=$(port_of kafka sasl_ssl) controller=$(port_of kafka controller)
  password=$(test_password)
  (umask 077 && cat >"$home/server.properties") <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$plain,SASL_PLAINTEXT://127.0.0.1:$sasl,SSL://127.0.0.1:$ssl,SASL_SSL://127.0.0.1:$sasl_ssl,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$plain,SASL_PLAINTEXT://127.0.0.1:$sasl,SSL://127.0.0.1:$ssl,SASL_SSL://127.0.0.1:$sasl_ssl
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$home/data-$KAFKA_VERSION

auto.create.topics.enable=false
message.max.bytes=12582912
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=33554432
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
$(for listener in sasl_plaintext sasl_ssl; do
    echo "listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$TEST_USER=\"$password\";"
    for mechanism in scram-sha-256 scram-sha-512; do
      echo "listener.name.$listener.$mechanism.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
    done
  done)

ssl.keystore.type=PEM
ssl.keystore.location=$tls/server-keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$tls/ca.pem
listener.name.ssl.ssl.client.auth=required
PROPERTIES
}

start_kafka() {
  local home java libs
  home=$(home_of kafka)
  java=$(java_for kafka)/bin/java
  libs=$(dist_of kafka)/libs
  configure_kafka
  if [ ! -f "$home/data-$KAFKA_VERSION/meta.properties" ]; then
    format_kafka "$java" "$libs" "$home" || { tail -n 15 "$home/format.log" >&2 && die "kafka: its storage could not be formatted"; }
  fi
  if [ -f "$home/server.log" ]; then mv "$home/server.log" "$home/server.log.1"; fi
  setsid "$java" -Xms256m -Xmx512m "$(marker_of kafka)" -cp "$libs/*" \
    kafka.Kafka "$home/server.properties" >"$home/server.log" 2>&1 </dev/null 9>&- &
}

# The users of SCRAM are records of the cluster, so they are written when its storage is made.
format_kafka() {
  local java=$1 libs=$2 home=$3 mechanism id users=()
  for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
    users+=(--add-scram "$mechanism=[name=$TEST_USER,password=$(test_password)]")
  done
  id=$("$java" -cp "$libs/*" kafka.tools.StorageTool random-uuid 2>"$home/format.log" | tail -n 1)
  "$java" -cp "$libs/*" kafka.tools.StorageTool format -t "$id" -c "$home/server.properties" \
    "${users[@]}" >>"$home/format.log" 2>&1
}

await_kafka() { wait_ready kafka 90 "'Kafka Server started' in its log" kafka_is_ready; }

kafka_is_ready() {
  is_running kafka && grep -q 'Kafka Server started' "$(home_of kafka)/server.log" &&
    port_answers "$(port_of kafka plaintext)"
}

address_of_kafka() { echo "127.0.0.1:$(port_of kafka plaintext)"; }
