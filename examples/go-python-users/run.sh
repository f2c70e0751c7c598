#!/usr/bin/env bash
# Starts the Python service and the Go API, and ends both on Ctrl-C: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: run.sh [--prepare]

Builds what is missing (the ESHM wheel and the service's packages in a virtual environment, the Go API) and starts the
Python service and the Go API. Ends both on Ctrl-C, on SIGTERM, or when the Go API ends. Restarts a Python service that
dies. --prepare only builds.

Environment, and the defaults:
  API_PORT=8080             port of the Go API
  PYTHON_PORT=5000          port of the Python service
  SEGMENT=go-python-users   name of the ESHM segment
  CAPACITY=8388608          longest answer over ESHM, in bytes
  SHM_LIMIT=16777216        longest file in shared memory, in bytes
  TIMEOUT=5s                time limit for an answer of the Python service
  LOG_LEVEL=info            debug, info, warn or error
  RESTART=1                 0: do not restart a Python service that dies
TEXT
}

prepare_only=0
case ${1:-} in
--help | -h)
    usage
    exit
    ;;
--prepare) prepare_only=1 ;;
'') ;;
*)
    echo "run.sh: unknown argument '$1'; see --help" >&2
    exit 2
    ;;
esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${CARGO_TARGET_DIR:-$root/target}/go-python-users
python=$build/venv/bin/python

step() { printf '==> %s\n' "$*" >&2; }

for tool in go python3 cargo; do
    command -v "$tool" >/dev/null || {
        echo "run.sh: $tool is missing" >&2
        exit 1
    }
done
mkdir -p "$build"
if [[ ! -x $python ]]; then
    step "making a virtual environment in $build/venv"
    python3 -m venv "$build/venv"
fi
# A hash of the sources, so that a second run is instant.
state=$(find "$root/core/src" "$root/py/src" "$root/py/python" "$here/python-service/requirements.txt" -type f -not -name '*.pyc' -print0 |
    sort -z | xargs -0 sha256sum | sha256sum)
if [[ ! -f $build/venv.state || $(<"$build/venv.state") != "$state" ]]; then
    step "installing the ESHM wheel and the service's packages (the first time takes about a minute)"
    "$python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$root/py"
    "$python" -m pip install --quiet --disable-pip-version-check -r "$here/python-service/requirements.txt"
    printf '%s' "$state" >"$build/venv.state"
fi
step "building the Go API"
go build -C "$here/go-api" -o "$build/go-api" .
((prepare_only)) && exit

log_level=${LOG_LEVEL:-info}
python_level=$log_level
[[ $log_level == warn ]] && python_level=warning
service=(env "PYTHONPATH=$here/python-service" "$python" -m users_service
    --port "${PYTHON_PORT:-5000}" --segment "${SEGMENT:-go-python-users}" --shm-limit "${SHM_LIMIT:-16777216}" --log-level "$python_level")
api=("$build/go-api" -listen "127.0.0.1:${API_PORT:-8080}" -python "http://127.0.0.1:${PYTHON_PORT:-5000}"
    -segment "${SEGMENT:-go-python-users}" -capacity "${CAPACITY:-8388608}" -timeout "${TIMEOUT:-5s}" -log-level "$log_level")

service_pid=
api_pid=
stopping=0
# shellcheck disable=SC2317  # called by the trap
end() {
    stopping=1
    [[ -n $api_pid ]] && kill -TERM "$api_pid" 2>/dev/null
    return 0
}
trap end INT TERM

start_service() {
    "${service[@]}" &
    service_pid=$!
}

start_service
"${api[@]}" &
api_pid=$!
step "http://127.0.0.1:${API_PORT:-8080}/api/users-via-eshm (Go API: pid $api_pid, Python service: pid $service_pid); Ctrl-C ends both"

# Waits for the end of the Go API, which ends on a signal; until then its answers need the Python service.
while kill -0 "$api_pid" 2>/dev/null; do
    wait -n "$api_pid" "$service_pid" 2>/dev/null || true
    if ! kill -0 "$service_pid" 2>/dev/null && kill -0 "$api_pid" 2>/dev/null && ((!stopping)) && [[ ${RESTART:-1} == 1 ]]; then
        step "the Python service has died; starting it again"
        start_service
    elif ((!stopping)) && ! kill -0 "$service_pid" 2>/dev/null; then
        wait "$api_pid" || true
    fi
done
status=0
wait "$api_pid" || status=$?
api_pid=
if kill -TERM "$service_pid" 2>/dev/null; then
    wait "$service_pid" || true
fi
exit "$status"
