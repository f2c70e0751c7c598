// ESHM and Unix sockets from Go, as one process of a measurement: see src/contestants/mod.rs for the command line.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"time"
)

// arguments are the command line.
type arguments struct {
	role    string
	what    string
	name    string
	size    int
	budget  time.Duration
	verify  uint64
	touched bool
	burst   int           // round trips after each rest; 0: no rests
	rest    time.Duration // before a burst
	settle  time.Duration // between the check and the timing
	gate    bool          // whether the runner says when the timing starts
}

func (a *arguments) follows() bool { return a.role == "echo" || a.role == "sink" }

func parse(words []string) (*arguments, error) {
	if len(words) < 3 {
		return nil, errors.New("expected <drive|echo|source|sink> <what> <name>")
	}
	args := &arguments{role: words[0], what: words[1], name: words[2]}
	options := flag.NewFlagSet("contestant", flag.ContinueOnError)
	options.IntVar(&args.size, "size", 56, "bytes per message, 8 at least")
	millis := options.Int("budget-ms", 200, "how long the timing takes")
	options.Uint64Var(&args.verify, "verify", 16, "messages that are checked for content before it")
	options.Int("window", 1, "of no use here")
	options.BoolVar(&args.touched, "touched", false, "whether all of the payload is written and read")
	options.IntVar(&args.burst, "burst", 0, "round trips after each rest; 0: no rests")
	rest := options.Int("rest-ms", 0, "how long a rest takes")
	settle := options.Int("settle-ms", 0, "how long both ends rest between the check and the timing")
	options.BoolVar(&args.gate, "gate", false, "whether the runner says when the timing starts")
	if err := options.Parse(words[3:]); err != nil {
		return nil, err
	}
	args.settle = time.Duration(*settle) * time.Millisecond
	args.rest = time.Duration(*rest) * time.Millisecond
	args.budget = time.Duration(*millis) * time.Millisecond
	switch {
	case options.NArg() > 0:
		return nil, fmt.Errorf("unexpected %q", options.Args())
	case args.size < word:
		return nil, fmt.Errorf("the size is %d bytes, expected %d or more", args.size, word)
	case !slices.Contains([]string{"drive", "echo", "source", "sink"}, args.role):
		return nil, fmt.Errorf("the role is %q, expected drive, echo, source or sink", args.role)
	}
	return args, nil
}

func run(words []string) error {
	args, err := parse(words)
	if err != nil {
		return err
	}
	observed, err := measure(args)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(observed)
}

// measure opens what is to be measured, and runs this process's end of it.
func measure(args *arguments) (observation, error) {
	link, err := newLink(args)
	if err != nil {
		return observation{}, err
	}
	end := end{args, link}
	observed, err := map[string]func() (observation, error){
		"drive": end.drive, "echo": end.echo, "source": end.source, "sink": end.sink,
	}[args.role]()
	if err == nil && !args.follows() {
		// The runner says, by closing it, that the other side is done.
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	return observed, errors.Join(err, link.close())
}

func main() {
	// The collector would show in the worst case, and is not what is measured.
	debug.SetGCPercent(-1)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}
