// The users API: it asks a Python service for users in three ways, and passes on what it gets. README.md says more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// settings are the command line.
type settings struct {
	listen   string
	python   string
	segment  string
	capacity int
	shmDir   string
	timeout  time.Duration
	level    slog.Level
}

func parse(arguments []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("go-api", flag.ContinueOnError)
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "address to listen on")
	flags.StringVar(&s.python, "python", "http://127.0.0.1:5000", "the Python service")
	flags.StringVar(&s.segment, "segment", "go-python-users", "ESHM segment to make")
	flags.IntVar(&s.capacity, "capacity", 8<<20, "longest answer over ESHM, in bytes")
	flags.StringVar(&s.shmDir, "shm-dir", "/dev/shm", "folder of files in shared memory")
	flags.DurationVar(&s.timeout, "timeout", 5*time.Second, "how long the Python service may take")
	flags.TextVar(&s.level, "log-level", slog.LevelInfo, "least level that is logged: DEBUG, INFO, WARN or ERROR")
	if err := flags.Parse(arguments); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected arguments %q", flags.Args())
	}
	return s, nil
}

func main() {
	s, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: s.level})).With("service", "users-go")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, log); err != nil {
		log.Error("ended", "error", err)
		os.Exit(1)
	}
	log.Info("ended")
}

// run serves until the context ends, and then finishes what is under way.
func run(ctx context.Context, s settings, log *slog.Logger) error {
	exchange, err := newExchange(ctx, s.segment, s.capacity, log)
	if err != nil {
		return err
	}
	defer func() { _ = exchange.Close() }()
	if err := removeFiles(s); err != nil { // we have the segment, so nobody else has the files
		return err
	}
	server := &http.Server{
		Addr:              s.listen,
		Handler:           newAPI(s, exchange, log),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	log.Info("listening", "address", s.listen, "python", s.python, "segment", s.segment)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), s.timeout+time.Second)
	defer cancel()
	return server.Shutdown(last)
}
