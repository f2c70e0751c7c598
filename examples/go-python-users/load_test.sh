#!/usr/bin/env bash
# Measures the three ways under load, and writes LOAD_TEST_RESULTS.md: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: load_test.sh [--quick] [--output DIR]

Starts the Go API and the Python service on free ports. Locust's users request answers of 1 KB, 25 KB, 250 KB and 2.5 MB
in each of the three ways, round by round: one way after the other, so that a disturbance affects all of them. Prints
the table, and writes LOAD_TEST_RESULTS.md and load_test.svg to DIR (default: this folder). Takes some twelve minutes.

  --quick   one round of two seconds each, without the mode users: one minute; DIR is a temporary folder by default

Environment, and the defaults:
  ROUNDS=3                    rounds
  MODES="single closed users" single: one user without think time; closed: several of them;
                              users: 50 users, 10 more per second, 1 to 3 s between requests
  CLOSED_USERS=4              users of the mode closed
  CLOSED_SECONDS=3            duration of each run without think time
  USERS_SECONDS=10            duration of each run of the mode users, of which the first 5 s only bring the users up
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$here
rounds=${ROUNDS:-3}
closed_seconds=${CLOSED_SECONDS:-3}
users_seconds=${USERS_SECONDS:-10}
read -ra modes <<<"${MODES:-single closed users}"
quick=0
while (($#)); do
    case $1 in
    --help | -h)
        usage
        exit
        ;;
    --quick)
        quick=1
        rounds=1
        closed_seconds=2
        modes=(single closed)
        ;;
    --output)
        output=$2
        shift
        ;;
    *)
        echo "load_test.sh: unknown argument '$1'; see --help" >&2
        exit 2
        ;;
    esac
    shift
done

work=$(mktemp -d)
runner=
clean_up() {
    if [[ -n $runner ]] && kill -TERM "$runner" 2>/dev/null; then
        wait "$runner" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT
((quick)) && [[ $output == "$here" ]] && output=$work

mkdir -p "$output"
"$here/run.sh" --prepare
venv=${CARGO_TARGET_DIR:-$root/target}/go-python-users/venv
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/load-testing/requirements.txt"

read -r api_port python_port < <("$venv/bin/python" "$here/load-testing/free_ports.py" 2)
API_PORT=$api_port PYTHON_PORT=$python_port SEGMENT=users-load-$$ LOG_LEVEL=warn RESTART=0 "$here/run.sh" &
runner=$!
"$venv/bin/python" - "http://127.0.0.1:$api_port/health" <<'PYTHON'
import sys, time, urllib.request
deadline = time.monotonic() + 30
while True:
    try:
        urllib.request.urlopen(sys.argv[1], timeout=2)
        break
    except OSError as error:
        if time.monotonic() > deadline:
            sys.exit(f"the services do not come up: {error}")
        time.sleep(0.05)
PYTHON

mkdir "$work/samples"
run() { # run MODE USERS SPAWN SECONDS SIZE COUNT RECORDS WAY ROUND
    local closed=1
    [[ $1 == users ]] && closed=0
    # Locust keeps the memory of large answers; otherwise page faults would dominate.
    MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 \
        WAY=$8 COUNT=$6 RECORDS=$7 CLOSED_LOOP=$closed SAMPLES="$work/samples/$1_$2_$5_$8_$9.json" \
        "$venv/bin/locust" -f "$here/load-testing/locustfile.py" --host "http://127.0.0.1:$api_port" \
        --headless --users "$2" --spawn-rate "$3" --run-time "${4}s" --stop-timeout 5 --only-summary \
        --loglevel ERROR --exit-code-on-error 0 >"$work/locust.log" 2>&1 || {
        cat "$work/locust.log" >&2
        return 1
    }
}

sizes=("1KB 1 3" "25KB 10 10" "250KB 100 10" "2.5MB 1000 10")
total=$((rounds * ${#modes[@]} * ${#sizes[@]} * 3))
done_count=0
for ((round = 1; round <= rounds; round++)); do
    for mode in "${modes[@]}"; do
        for size in "${sizes[@]}"; do
            read -r name count records <<<"$size"
            for way in api shm eshm; do
                done_count=$((done_count + 1))
                printf '[%d/%d] round %d, %s mode, %s, %s\n' "$done_count" "$total" "$round" "$mode" "$name" "$way" >&2
                case $mode in
                single) run single 1 1 "$closed_seconds" "$name" "$count" "$records" "$way" "$round" ;;
                closed) run closed "${CLOSED_USERS:-4}" 100 "$closed_seconds" "$name" "$count" "$records" "$way" "$round" ;;
                users) run users 50 10 "$users_seconds" "$name" "$count" "$records" "$way" "$round" ;;
                *)
                    echo "load_test.sh: there is no mode '$mode'; see --help" >&2
                    exit 2
                    ;;
                esac
            done
        done
    done
done
PATH=$venv/bin:$PATH "$venv/bin/python" "$here/load-testing/report.py" "$work/samples" "$output"
((quick)) || echo "written: $output/LOAD_TEST_RESULTS.md, $output/load_test.svg"
