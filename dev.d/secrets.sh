# What the secured listeners need: a password, a certificate authority and its
# certificates. Made once, for this checkout, for loopback only.
# shellcheck shell=bash disable=SC2034

TEST_USER=sluice
LIMITED_USER=sluice-limited

test_password() { cat "$STATE/secrets/password"; }

make_secrets() {
  need openssl "install OpenSSL 3 (Debian and Ubuntu: apt-get install openssl)"
  mkdir -p "$STATE/secrets"
  chmod 700 "$STATE/secrets"
  if [ ! -s "$STATE/secrets/password" ]; then
    openssl rand -hex 16 >"$STATE/secrets/password"
  fi
  make_certificates
}

make_certificates() {
  local tls=$STATE/secrets/tls
  if openssl x509 -checkend 86400 -noout -in "$tls/server.pem" >/dev/null 2>&1 && [ -s "$tls/client.pem" ]; then return; fi
  rm -rf "$tls"
  mkdir -p "$tls"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -subj "/CN=Sluice development CA" -keyout "$tls/ca.key" -out "$tls/ca.pem" 2>/dev/null ||
    die "openssl could not make a certificate authority (it must be OpenSSL 3)"
  make_certificate server "subjectAltName=DNS:localhost,IP:127.0.0.1" "extendedKeyUsage=serverAuth"
  make_certificate client "subjectAltName=DNS:client" "extendedKeyUsage=clientAuth"
  # Kafka takes key and chain in one file
  cat "$tls/server.key" "$tls/server.pem" "$tls/ca.pem" >"$tls/server-keystore.pem"
}

make_certificate() {
  local tls=$STATE/secrets/tls name=$1
  shift
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
    -keyout "$tls/$name.key" -out "$tls/$name.csr" 2>/dev/null
  openssl x509 -req -in "$tls/$name.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 825 \
    -extfile <(printf '%s\n' "basicConstraints=CA:FALSE" "$@") -out "$tls/$name.pem" 2>/dev/null
}

# The form in which Elasticsearch keeps a password in its users file: {PBKDF2}rounds$salt$hash.
password_hash() {
  local salt
  salt=$(openssl rand -hex 16) # 32 bytes of text, the length that it expects
  printf '{PBKDF2}10000$%s$%s\n' \
    "$(printf %s "$salt" | openssl base64 -A)" \
    "$(openssl kdf -keylen 32 -kdfopt digest:SHA512 -kdfopt "pass:$1" -kdfopt "salt:$salt" \
      -kdfopt iter:10000 -binary PBKDF2 | openssl base64 -A)"
}
