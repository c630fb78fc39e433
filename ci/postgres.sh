#!/usr/bin/env bash
# A PostgreSQL of the tests' own: a private cluster on a free port of the loopback, with a password
# and a self-made certificate, and a pgbouncer before it that pools by transactions.
#
#   eval "$(ci/postgres.sh start DIR)"   start both in DIR (made anew), and name them:
#                                        LARDER_TEST_POSTGRES     the cluster
#                                        LARDER_TEST_PGBOUNCER    the pooler before it
#                                        LARDER_TEST_POSTGRES_CA  who signed the cluster's certificate
#   ci/postgres.sh stop DIR              stop both and remove DIR
#
# What is missing is installed by apt. A database that happens to run is never touched. Nothing that
# is kept there survives a crash (fsync is off), and nothing is meant to.
set -euo pipefail

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
usage() { printf 'usage: ci/postgres.sh start|stop DIR\n' >&2; exit 2; }

[ $# -eq 2 ] || usage
mkdir -p "$2"
dir="$(cd "$2" && pwd)"

# `initdb` and pgbouncer refuse root, so that root becomes `postgres` for them.
as=()
if [ "$(id -u)" -eq 0 ]; then
  as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
run_as() { (cd / && HOME="$place" "${as[@]}" "$@"); }

need() {
  local test=$1
  shift
  if ! eval "$test" >/dev/null 2>&1; then
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq >>"$dir/apt.log" 2>&1 || true
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "$@" \
      >>"$dir/apt.log" 2>&1 || true
    eval "$test" >/dev/null 2>&1 || fail "installing $* failed: see $dir/apt.log"
  fi
}

newest_bin() { find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1; }

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# The cluster lies in DIR, unless whom it belongs to cannot get there.
find_place() {
  place="$dir/cluster"
  if [ -s "$dir/place" ]; then place="$(cat "$dir/place")"; fi
}

stop() {
  find_place
  if [ -s "$place/pgbouncer.pid" ]; then
    kill -INT "$(cat "$place/pgbouncer.pid")" 2>/dev/null || true
  fi
  if [ -s "$place/data/postmaster.pid" ]; then
    run_as "$(newest_bin)/pg_ctl" -D "$place/data" -m immediate -w stop >/dev/null 2>&1 || true
  fi
  rm -rf "$place" "$dir"
}

make_certificates() {
  local subject='/CN=larder test'
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "$subject authority" \
    -addext 'basicConstraints=critical,CA:TRUE' -keyout "$place/ca.key" -out "$place/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "$subject server" -keyout "$place/server.key" \
    -out "$place/server.csr" 2>/dev/null
  # `localhost` alone: whoever checks the name must not be content with 127.0.0.1.
  printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >"$place/server.ext"
  openssl x509 -req -in "$place/server.csr" -CA "$place/ca.pem" -CAkey "$place/ca.key" -CAcreateserial \
    -days 3650 -extfile "$place/server.ext" -out "$place/server.pem" 2>/dev/null
  chmod 600 "$place"/*.key
}

make_cluster() {
  printf '%s' "$password" >"$place/password"
  [ ${#as[@]} -eq 0 ] || chown -R postgres:postgres "$place"
  run_as "$bin/initdb" -D "$place/data" -U larder --pwfile="$place/password" -A scram-sha-256 -E UTF8 \
    --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 || fail "initdb failed: see $dir/initdb.log"
  cat >>"$place/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 128MB
fsync = off
full_page_writes = off
ssl = on
ssl_cert_file = '$place/server.pem'
ssl_key_file = '$place/server.key'
log_min_messages = fatal
CONF
}

# A port that was free may be taken by the time it is used.
start_cluster() {
  for _ in 1 2 3 4 5; do
    port="$(free_port)"
    if run_as "$bin/pg_ctl" -D "$place/data" -o "-p $port" -l "$place/postgres.log" -w -t 60 start \
      >"$dir/start.log" 2>&1; then
      return
    fi
  done
  fail "PostgreSQL did not start: see $dir/start.log and $place/postgres.log"
}

start_pgbouncer() {
  printf '"larder" "%s"\n' "$password" >"$place/users.txt"
  for _ in 1 2 3 4 5; do
    pooled="$(free_port)"
    cat >"$place/pgbouncer.ini" <<CONF
[databases]
* = host=127.0.0.1 port=$port
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooled
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $place/users.txt
pool_mode = transaction
max_client_conn = 1000
default_pool_size = 4
server_idle_timeout = 2
logfile = $place/pgbouncer.log
pidfile = $place/pgbouncer.pid
CONF
    [ ${#as[@]} -eq 0 ] || chown postgres:postgres "$place/pgbouncer.ini" "$place/users.txt"
    run_as pgbouncer -q -d "$place/pgbouncer.ini" >>"$dir/start.log" 2>&1 || true
    for _ in $(seq 50); do
      if PGPASSWORD="$password" "$bin/psql" -X -q -h 127.0.0.1 -p "$pooled" -U larder -d postgres -c '' \
        >/dev/null 2>&1; then
        return
      fi
      sleep 0.1
    done
  done
  fail "pgbouncer did not start: see $place/pgbouncer.log"
}

start() {
  find_place
  if [ -e "$place/data" ]; then
    stop
    mkdir -p "$dir"
    place="$dir/cluster"
  fi
  need '[ -n "$(newest_bin)" ] && [ -x "$(newest_bin)/initdb" ]' postgresql
  need 'command -v pgbouncer' pgbouncer
  need 'command -v openssl' openssl
  need 'command -v python3' python3
  bin="$(newest_bin)"
  mkdir -p "$place"
  if [ ${#as[@]} -gt 0 ] && ! (cd / && "${as[@]}" test -x "$place"); then
    rmdir "$place"
    place="$(mktemp -d /tmp/larder-postgres.XXXXXX)"
    chmod 755 "$place"
    printf '%s' "$place" >"$dir/place"
  fi
  password="$(openssl rand -hex 16)"
  make_certificates
  make_cluster
  start_cluster
  start_pgbouncer
  printf 'export LARDER_TEST_POSTGRES=postgres://larder:%s@127.0.0.1:%s/postgres\n' "$password" "$port"
  printf 'export LARDER_TEST_PGBOUNCER=postgres://larder:%s@127.0.0.1:%s/postgres\n' "$password" "$pooled"
  printf "export LARDER_TEST_POSTGRES_CA='%s'\n" "$place/ca.pem"
}

case $1 in
  start) start ;;
  stop) stop ;;
  *) usage ;;
esac
