// Command event_loop waits for an endpoint, a timer and a socket in one select loop: "go run ./examples/event_loop".
//
// Each source has a goroutine that passes on what comes. A goroutine that waits for an endpoint needs no thread, as one
// that waits for a socket, so there may be thousands.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"eshm"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	err := run(ctx, os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "event_loop:", err)
		os.Exit(1)
	}
}

const count = 3

func run(ctx context.Context, output io.Writer) error {
	name := fmt.Sprintf("example-event-loop-go-%d", os.Getpid())
	master, err := eshm.Open(ctx, name, eshm.Master)
	if err != nil {
		return err
	}
	defer master.Close()
	slave, err := eshm.Open(ctx, name, eshm.Slave)
	if err != nil {
		return err
	}
	defer slave.Close()
	listener, err := net.Listen("unix", "@"+name)
	if err != nil {
		return err
	}
	defer listener.Close()

	// The other ends. A real program has them in other processes.
	go func() {
		for number := range count {
			_ = master.Send(ctx, fmt.Appendf(nil, "pose %d", number))
		}
		if socket, err := net.Dial("unix", "@"+name); err == nil {
			fmt.Fprintln(socket, "that is all")
			_ = socket.Close()
		}
	}()
	socket, err := listener.Accept()
	if err != nil {
		return err
	}
	defer socket.Close()
	return loop(ctx, slave, socket, output)
}

// loop ends when each of the three sources has told what there is.
func loop(ctx context.Context, robot *eshm.Endpoint, socket net.Conn, output io.Writer) error {
	// The goroutine that receives ends with the loop. What it has not received stays in the segment.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	poses, failed := receive(ctx, robot)
	lines := readLines(ctx, socket)
	timer := time.NewTicker(2 * time.Millisecond)
	defer timer.Stop()

	line := ""
	for received, ticks := 0, 0; received < count || ticks < 2 || line == ""; {
		select {
		case pose := <-poses:
			fmt.Fprintln(output, pose)
			received++
		case <-timer.C:
			ticks++
		case line = <-lines:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	fmt.Fprintln(output, line)
	return nil
}

// receive passes messages on until the context is done.
func receive(ctx context.Context, robot *eshm.Endpoint) (<-chan string, <-chan error) {
	poses, failed := make(chan string), make(chan error, 1)
	go func() {
		for message, err := range robot.Messages(ctx) {
			if err != nil {
				failed <- err
				return
			}
			select {
			case poses <- string(message.Bytes()):
			case <-ctx.Done():
			}
		}
		failed <- errors.New("the robot has closed its endpoint")
	}()
	return poses, failed
}

// readLines passes lines on until the socket is closed or the context is done.
func readLines(ctx context.Context, socket net.Conn) <-chan string {
	lines := make(chan string)
	go func() {
		for scanner := bufio.NewScanner(socket); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}
