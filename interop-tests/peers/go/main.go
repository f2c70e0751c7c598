// The Go peer of the conformance kit. interop-tests/README.md says what each scenario does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"eshm"
)

// arguments are the command line that every peer has.
type arguments struct {
	role     eshm.Role
	name     string
	scenario string
	count    uint64        // numbered messages that this side sends
	size     int           // the segment's data size in bytes; 0: a master's default, what a slave finds
	timeout  time.Duration // the longest wait for anything
	seed     uint64        // the series of this side's numbered messages
	queue    int           // the queue capacity of ledger, in bytes; 0: a master's default, what a slave finds
	journal  string        // where ledger keeps its account
}

// traffics are the scenarios in which the peers exchange messages continuously.
var traffics = map[string]func(*eshm.Endpoint, *arguments) error{
	"echo":            echo,
	"latest-value":    latestValue,
	"both-directions": bothDirections,
	"stream":          stream,
	"flood":           flood,
}

func parse(words []string) (*arguments, error) {
	if len(words) > 0 && words[0] == "--poller" {
		threadLimit.Store(0)
		words = words[1:]
	}
	if len(words) < 3 {
		return nil, errors.New("expected a role, a name and a scenario")
	}
	role, err := parseRole(words[0])
	if err != nil {
		return nil, err
	}
	args := &arguments{role: role, name: words[1], scenario: words[2]}
	if traffics[args.scenario] == nil && args.scenario != "commands" && args.scenario != "ledger" {
		return nil, fmt.Errorf("there is no scenario %q", args.scenario)
	}
	options := flag.NewFlagSet("peer", flag.ContinueOnError)
	options.Uint64Var(&args.count, "count", 1000, "how many numbered messages this side sends")
	options.IntVar(&args.size, "size", 0, "the segment's data size in bytes")
	millis := options.Uint64("timeout-ms", 10_000, "the longest wait for anything")
	options.Uint64Var(&args.seed, "seed", 1, "the series of this side's numbered messages")
	options.IntVar(&args.queue, "queue", 0, "the queue capacity of ledger, in bytes")
	options.StringVar(&args.journal, "journal", "", "where ledger keeps its account")
	if err := options.Parse(words[3:]); err != nil {
		return nil, err
	}
	if options.NArg() > 0 {
		return nil, fmt.Errorf("unexpected %q", options.Args())
	}
	args.timeout = time.Duration(*millis) * time.Millisecond
	return args, nil
}

func parseRole(word string) (eshm.Role, error) {
	for _, role := range []eshm.Role{eshm.Master, eshm.Slave, eshm.Auto} {
		if word == role.String() {
			return role, nil
		}
	}
	return 0, fmt.Errorf("the role is %q, expected master, slave or auto", word)
}

// open opens an endpoint, and observes it. A size of nil is not configured.
func open(role eshm.Role, name string, size *int, timeout time.Duration) (*eshm.Endpoint, error) {
	observe("opening")
	options := []eshm.Option{role, eshm.WithConnectTimeout(timeout)}
	if size != nil {
		options = append(options, eshm.WithDataSize(*size))
	}
	endpoint, err := eshm.Open(context.Background(), name, options...)
	if err != nil {
		return nil, err
	}
	ready()
	return endpoint, nil
}

// within calls with a context that ends after the timeout.
func within[T any](timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return call(ctx)
}

func run(args *arguments) error {
	if args.scenario == "commands" {
		return commands(args)
	}
	if args.scenario == "ledger" {
		return ledger(args)
	}
	endpoint, err := open(args.role, args.name, args.configuredSize(), args.timeout)
	if err != nil {
		return err
	}
	if err := traffics[args.scenario](endpoint, args); err != nil {
		return errors.Join(err, endpoint.Close())
	}
	return endpoint.Close()
}

func (a *arguments) configuredSize() *int {
	if a.size == 0 {
		return nil
	}
	return &a.size
}

func main() {
	args, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v\nusage: %s master|slave|auto NAME SCENARIO "+
			"[--count N] [--size BYTES] [--timeout-ms T] [--seed S] [--queue BYTES] [--journal FILE]\n", err, os.Args[0])
		os.Exit(2)
	}
	if err := run(args); err != nil {
		observeError(err)
		os.Exit(1)
	}
}
