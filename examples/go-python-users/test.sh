#!/usr/bin/env bash
# Tests the example: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test.sh [ARGUMENT...]

Builds the example (run.sh --prepare), checks the Python service (ruff, mypy, pytest) and the Go API (gofmt, vet,
staticcheck, tests with the race detector), and then runs both processes together: the service is killed and comes back,
and SIGTERM ends both. Arguments go to `go test`.
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
step() { printf '==> %s\n' "$*"; }

"$here/run.sh" --prepare
build=${CARGO_TARGET_DIR:-$root/target}/go-python-users
python=$build/venv/bin/python
"$python" -m pip install --quiet --disable-pip-version-check 'ruff>=0.9' 'mypy>=1.13' 'pytest>=8'
step "ruff, mypy --strict"
cd "$here"
"$python" -m ruff check --quiet --cache-dir "$build/ruff" .
"$python" -m ruff format --quiet --check --cache-dir "$build/ruff" .
"$python" -m mypy --strict --cache-dir "$build/mypy" python-service/users_service
step "pytest: the service's ESHM side"
(cd python-service && "$python" -m pytest --quiet -p no:cacheprovider tests)
cd "$here/go-api"
step "gofmt, go vet, staticcheck"
unformatted=$(gofmt -l .)
[[ -z $unformatted ]] || {
    printf 'not formatted:\n%s\n' "$unformatted" >&2
    exit 1
}
go vet ./...
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
step "go test -race: the Go API with the Python service"
export USERS_PYTHON=$python
go test -race -timeout 5m "$@" ./...

step "run.sh: both are up; the service is killed, and back; SIGTERM ends both, and leaves nothing"
read -r api_port python_port < <("$python" "$here/load-testing/free_ports.py" 2)
segment=go-python-users-test-$$
log=$build/run.log
API_PORT=$api_port PYTHON_PORT=$python_port SEGMENT=$segment "$here/run.sh" 2>"$log" &
runner=$!
trap 'kill -TERM "$runner" 2>/dev/null || true; wait "$runner" 2>/dev/null || true' EXIT
health() { curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$api_port/health" || true; }
until_true() { # until_true WHAT COMMAND...: within a minute
    local what=$1 deadline=$((SECONDS + 60))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || {
            cat "$log" >&2
            echo "test.sh: $what: not within a minute" >&2
            exit 1
        }
        sleep 0.02
    done
}
is_healthy() { [[ $(health) == 200 ]]; }
until_true "both are up" is_healthy
for way in api shm eshm; do
    curl --silent --fail "http://127.0.0.1:$api_port/api/users-via-$way?count=1&request_id=$way" | grep --quiet "\"request_id\":\"$way\""
done
service=$("$python" -c 'import re, sys; print(re.search(r"Python service: pid (\d+)", sys.stdin.read())[1])' <"$log")
kill -KILL "$service"
until_true "the service is started again" grep --quiet "starting it again" "$log"
until_true "the service is back" is_healthy
kill -TERM "$runner"
wait "$runner"
trap - EXIT
[[ ! -e /dev/shm/eshm_$segment ]] || {
    echo "test.sh: the segment is left" >&2
    exit 1
}
