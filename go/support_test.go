package eshm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// soon bounds what must happen, so that a test that fails does not hang. Nothing is expected to take that long.
const soon = 20 * time.Second

// path returns the file of a segment.
func path(name string) string { return "/dev/shm/eshm_" + name }

var names atomic.Int64

// freshName returns a segment name that nobody else uses. The file is removed after the test.
func freshName(t testing.TB) string {
	name := fmt.Sprintf("gotest-%d-%d", os.Getpid(), names.Add(1))
	t.Cleanup(func() { _ = os.RemoveAll(path(name)) })
	return name
}

func within(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, name string, options ...Option) *Endpoint {
	t.Helper()
	endpoint, err := Open(within(t, soon), name, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = endpoint.Close() })
	return endpoint
}

// openLater begins to open an endpoint, and returns a function that waits for it.
func openLater(t testing.TB, name string, options ...Option) func() *Endpoint {
	type result struct {
		endpoint *Endpoint
		err      error
	}
	opened := make(chan result, 1)
	ctx := within(t, soon)
	go func() {
		endpoint, err := Open(ctx, name, options...)
		opened <- result{endpoint, err}
	}()
	return func() *Endpoint {
		t.Helper()
		one := <-opened
		if one.err != nil {
			t.Fatal(one.err)
		}
		t.Cleanup(func() { _ = one.endpoint.Close() })
		return one.endpoint
	}
}

// pair opens both ends of a new segment.
func pair(t testing.TB, options ...Option) (master, slave *Endpoint) {
	t.Helper()
	name := freshName(t)
	master = open(t, name, append(options, Master)...)
	slave = open(t, name, append(options, Slave)...)
	return master, slave
}

func mustSend(t testing.TB, e *Endpoint, message string) {
	t.Helper()
	if err := e.Send(within(t, soon), []byte(message)); err != nil {
		t.Fatalf("Send %.50q: %v", message, err)
	}
}

func mustRecv(t testing.TB, e *Endpoint, expected string) Message {
	t.Helper()
	message, err := e.Recv(within(t, soon))
	if err != nil || string(message.Bytes()) != expected {
		t.Fatalf("Recv: %.50q, %v; expected %.50q", message.Bytes(), err, expected)
	}
	return message
}

func expectKind(t testing.TB, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v; expected %v", what, err, kind)
	}
}

// until waits for something that happens without a further call.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// These variables are set in a process that startChild starts. It opens the segment of that name, sends the message if
// there is one, receives one, and waits to be killed.
const (
	childRole = "ESHM_TEST_CHILD_ROLE"
	childName = "ESHM_TEST_CHILD_NAME"
	childSend = "ESHM_TEST_CHILD_SEND"
)

// mostThreadsVariable is for a run of the tests in which no goroutine, or one, sleeps in a thread.
const mostThreadsVariable = "ESHM_TEST_MOST_THREADS"

func TestMain(m *testing.M) {
	if count, err := strconv.Atoi(os.Getenv(mostThreadsVariable)); err == nil {
		threadLimit.Store(int32(count))
	}
	if scenario := os.Getenv(childScenario); scenario != "" {
		scenarios[scenario](os.Getenv(childName))
		return
	}
	if role := os.Getenv(childRole); role != "" {
		if err := beChild(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// The tests expect segments in the default place.
	_ = os.Unsetenv(directoryVariable)
	_ = os.Unsetenv(prefixVariable)
	os.Exit(m.Run())
}

func beChild(word string) error {
	role := Master
	if word == Slave.String() {
		role = Slave
	}
	endpoint, err := Open(context.Background(), os.Getenv(childName), role)
	if err != nil {
		return err
	}
	if message := os.Getenv(childSend); message != "" {
		if err := endpoint.Send(context.Background(), []byte(message)); err != nil {
			return err
		}
	}
	fmt.Println("READY")
	if _, err := endpoint.Borrow(context.Background()); err != nil {
		return err
	}
	fmt.Println("RECEIVED")
	select {}
}

// child is another process with an endpoint. It is killed at the end of the test at the latest.
type child struct {
	command *exec.Cmd
	output  *bufio.Reader
	input   io.Writer // of a scenario
}

// startChild starts a process that opens the segment, sends a message if it is not empty, and then waits for one.
func startChild(t testing.TB, name string, role Role, send string) child {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childRole+"="+role.String(), childName+"="+name, childSend+"="+send)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c := child{command: command, output: bufio.NewReader(output)}
	t.Cleanup(c.kill)
	c.expect(t, "READY")
	return c
}

// expect waits for the child's next line.
func (c child) expect(t testing.TB, expected string) {
	t.Helper()
	if line, err := c.output.ReadString('\n'); line != expected+"\n" {
		t.Fatalf("the child said %q, %v; expected %q", line, err, expected)
	}
}

// kill sends SIGKILL and waits for the end. It may be called again.
func (c child) kill() {
	if c.command.ProcessState == nil {
		_ = c.command.Process.Kill()
		_ = c.command.Wait()
	}
}

func exists(name string) bool {
	_, err := os.Lstat(path(name))
	return err == nil
}

func mustRead(t testing.TB, e *Endpoint, expected string) {
	t.Helper()
	value, err := e.Read(within(t, soon))
	if err != nil || string(value.Bytes()) != expected {
		t.Fatalf("Read: %.50q, %v; expected %.50q", value.Bytes(), err, expected)
	}
}

func mustWrite(t testing.TB, e *Endpoint, value string) {
	t.Helper()
	if err := e.Write([]byte(value)); err != nil {
		t.Fatal(err)
	}
}

func mustSee(t testing.TB, e *Endpoint) {
	t.Helper()
	if err := e.WaitForPeer(within(t, soon)); err != nil {
		t.Fatal(err)
	}
}
