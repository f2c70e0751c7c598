#!/usr/bin/env bash
# Tests the Go package, and checks the Go programs of the kit and the benchmark: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_go.sh [ARGUMENT...]

Runs gofmt, go vet (also for arm64 and 386), staticcheck, the layout tests with 32 bits, the tests, the tests under the
race detector, and each fuzz target for a short time. Arguments go to `go test`.

Environment:
  FUZZ_SECONDS=5    the duration of each fuzz target
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command -v go >/dev/null || {
    echo "test_go.sh: go is missing: install Go 1.24 or newer (go.dev/dl, or a recent golang package)" >&2
    exit 1
}

step() { printf '==> %s\n' "$*"; }

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2

for module in go interop-tests/peers/go bench/go; do
    cd "$root/$module"
    step "$module: gofmt"
    unformatted=$(gofmt -l .)
    [[ -z $unformatted ]] || {
        printf 'not formatted:\n%s\n' "$unformatted" >&2
        exit 1
    }
    step "$module: go vet"
    go vet ./...
    step "$module: staticcheck"
    go run "$staticcheck" ./...
done

cd "$root/go"
step "go vet for arm64"
GOARCH=arm64 go vet ./...
step "32 bits: go vet, and the layout tests where they run"
GOARCH=386 go vet ./...
if [[ $(go env GOHOSTARCH) == amd64 ]]; then
    GOARCH=386 go test -run Layout .
fi
step "go test"
go test -timeout 5m "$@" ./...
step "go test -race"
go test -timeout 5m -race "$@" ./...
for target in FuzzAttach FuzzQueue; do
    step "$target for ${FUZZ_SECONDS:-5} s"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZ_SECONDS:-5}s" .
done
