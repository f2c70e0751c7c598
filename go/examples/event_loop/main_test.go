package main

import (
	"bytes"
	"context"
	"testing"
	"time"
)

func TestLoopTellsOfAllThreeSources(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var output bytes.Buffer
	if err := run(ctx, &output); err != nil {
		t.Fatal(err)
	}
	if text := output.String(); text != "pose 0\npose 1\npose 2\nthat is all\n" {
		t.Errorf("%q", text)
	}
}
