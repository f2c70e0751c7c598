package main

import (
	"encoding/json"
	"errors"
	"os"

	"eshm"
)

// ready prints READY: the endpoint is attached.
func ready() { say([]byte("READY")) }

// observe prints one observation with its fields: names and values in turn.
func observe(observed string, fields ...any) {
	line := append([]byte(`{"observed":`), encode(observed)...)
	for i := 0; i < len(fields); i += 2 {
		line = append(line, ',')
		line = append(line, encode(fields[i])...)
		line = append(line, ':')
		line = append(line, encode(fields[i+1])...)
	}
	say(append(line, '}'))
}

// observeError prints that a call failed, or that something arrived that should not have.
func observeError(err error) {
	var failure *eshm.Error
	if errors.As(err, &failure) {
		observe("error", "code", failure.Code(), "message", failure.Error())
	} else {
		observe("failed", "reason", err.Error())
	}
}

func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // an observation is plain data
	}
	return text
}

// say prints a line at once, so that a SIGKILL leaves no half of it.
func say(line []byte) {
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		os.Exit(1) // the reader has closed the pipe
	}
}
