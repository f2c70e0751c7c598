// Command hello exchanges greetings. Run it twice: "go run ./examples/hello master" and "go run ./examples/hello slave".
//
// It exchanges the same messages as examples/simple_master.py, examples/simple_slave.py, the C++ eshm_demo and the Rust
// hello, so that either end may be in any language.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"eshm"
)

const usage = `Usage: hello [-count N] [master|slave|auto] [NAME]

A master sends N greetings to its slave, and prints the answers. A slave prints the greetings, and answers. The default
is auto, on the segment eshm1: the process that comes first is the master.

`

func main() {
	count := flag.Int("count", 10, "messages to exchange")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	role, known := map[string]eshm.Role{
		"": eshm.Auto, "auto": eshm.Auto, "master": eshm.Master, "slave": eshm.Slave,
	}[flag.Arg(0)]
	if !known || flag.NArg() > 2 {
		flag.Usage()
		os.Exit(2)
	}
	name := flag.Arg(1)
	if name == "" {
		name = "eshm1"
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, role, name, *count)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, role eshm.Role, name string, count int) error {
	robot, err := eshm.Open(ctx, name, role)
	if err != nil {
		return err
	}
	defer robot.Close()
	if robot.Role() == eshm.Slave {
		return answer(ctx, robot, count)
	}
	return greet(ctx, robot, count)
}

func greet(ctx context.Context, robot *eshm.Endpoint, count int) error {
	fmt.Println("[MASTER] Initialized with role: MASTER")
	for i := range count {
		message := fmt.Sprintf("Hello from Go master #%d", i)
		if err := sendText(ctx, robot, message); err != nil {
			return err
		}
		fmt.Println("[MASTER] Sent:", message)
		reply, err := robot.Recv(ctx)
		if err != nil {
			return err
		}
		text, err := reply.Text()
		if err != nil {
			return err
		}
		fmt.Println("[MASTER] Received:", text)
	}
	return nil
}

func answer(ctx context.Context, robot *eshm.Endpoint, count int) error {
	fmt.Println("[SLAVE] Initialized with role: SLAVE")
	for i := range count {
		message, err := robot.Recv(ctx)
		if err != nil {
			return err
		}
		text, err := message.Text()
		if err != nil {
			return err
		}
		fmt.Printf("[SLAVE] Received (%d bytes): %s\n", len(message.Bytes()), text)
		reply := fmt.Sprintf("ACK from Go slave #%d", i)
		if err := sendText(ctx, robot, reply); err != nil {
			return err
		}
		fmt.Println("[SLAVE] Sent:", reply)
	}
	return nil
}

func sendText(ctx context.Context, robot *eshm.Endpoint, text string) error {
	message, err := eshm.EncodeText(text)
	if err != nil {
		return err
	}
	return robot.Send(ctx, message)
}
