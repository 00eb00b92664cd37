#!/usr/bin/env bash
# Runs a command with HABEAS_TEST_POSTGRES set to a PostgreSQL that lives as
# long as the command: the one already named there, else one started from the
# installed programs, never as root, else one in Docker, else one installed
# from the distribution's packages first. CI prefers packages to Docker, because
# the tests that stop and start a server need its programs.
#
# With HABEAS_DURABLE=1 it writes to the disk as in production; without, tests
# are spared the wait.
#
# usage: scripts/postgres-for-tests.sh COMMAND [ARG...]
set -euo pipefail

durability="-c fsync=off -c full_page_writes=off"
if [ "${HABEAS_DURABLE:-}" = 1 ]; then
	durability="-c shared_buffers=512MB -c max_wal_size=4GB"
fi

here=$(cd "$(dirname "$0")" && pwd)

# Prints the folder with initdb, pg_ctl and postgres.
programs() {
	local dir candidates=()
	if command -v initdb >/dev/null; then
		candidates+=("$(dirname "$(readlink -f "$(command -v initdb)")")")
	fi
	for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin | sort -rV); do
		candidates+=("$dir")
	done
	for dir in "${candidates[@]}"; do
		if [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ] && [ -x "$dir/postgres" ]; then
			echo "$dir"
			return
		fi
	done
	return 1
}

docker_works() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

# Starts the programs in $1 and prints nothing; sets dir, as and the DSN.
start_programs() {
	local bin=$1 user port try
	as=()
	dir=$(mktemp -d /tmp/habeas-pg-XXXXXX)
	trap stop_programs EXIT
	if [ "$(id -u)" -eq 0 ]; then
		user=postgres
		id "$user" >/dev/null 2>&1 || user=nobody
		chown "$user" "$dir"
		as=(runuser -u "$user" --)
	fi
	cd "$dir" # a folder the server's user may enter
	${as[@]+"${as[@]}"} "$bin/initdb" --pgdata="$dir/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >"$dir.init" 2>&1 ||
		{ cat "$dir.init" >&2; return 1; }
	for try in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 20000))
		if ${as[@]+"${as[@]}"} "$bin/pg_ctl" start -w -s -D "$dir/data" -l "$dir/data/log" \
			-o "-p $port -k $dir -c listen_addresses=127.0.0.1 -c max_connections=300 $durability" </dev/null >/dev/null 2>&1; then
			pg_ctl="$bin/pg_ctl"
			export HABEAS_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
			cd "$OLDPWD"
			return
		fi
	done
	echo "PostgreSQL did not start:" >&2
	tail -n 20 "$dir/data/log" >&2
	return 1
}

stop_programs() {
	cd /
	[ -z "${pg_ctl:-}" ] || ${as[@]+"${as[@]}"} "$pg_ctl" stop -s -m immediate -D "$dir/data" || true
	rm -rf -- "$dir" "$dir.init"
}

start_docker() {
	container=$(docker run --detach --rm --publish 127.0.0.1::5432 --env POSTGRES_HOST_AUTH_METHOD=trust \
		postgres:17-alpine -c max_connections=300 $durability)
	trap 'docker stop --time 0 "$container" >/dev/null' EXIT
	local try address
	for try in $(seq 60); do
		# Over TCP, because while the image sets itself up it listens on its socket.
		if docker exec "$container" pg_isready --quiet --host 127.0.0.1; then
			address=$(docker port "$container" 5432/tcp | head -n 1)
			export HABEAS_TEST_POSTGRES="postgres://postgres@$address/postgres?sslmode=disable"
			return
		fi
		sleep 1
	done
	echo "PostgreSQL in Docker did not get ready in $try s" >&2
	return 1
}

if [ -n "${HABEAS_TEST_POSTGRES:-}" ]; then
	exec "$@"
fi
if bin=$(programs); then
	start_programs "$bin"
elif [ "${CI:-}" != true ] && docker_works; then
	start_docker
elif "$here/apt-install.sh" postgresql && bin=$(programs); then
	start_programs "$bin"
elif docker_works; then
	start_docker
else
	echo "the tests need PostgreSQL: install it (on Debian: apt-get install postgresql), start Docker, or set HABEAS_TEST_POSTGRES to a DSN" >&2
	exit 1
fi
echo "PostgreSQL for the tests: $HABEAS_TEST_POSTGRES" >&2
"$@"
