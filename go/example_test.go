package eshm_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"eshm"
)

// Both ends are in one program here. As a rule each is in a process of its own, in any language.
func Example() {
	ctx := context.Background()
	name := fmt.Sprintf("robot-%d", os.Getpid())
	robot, err := eshm.Open(ctx, name, eshm.Master)
	if err != nil {
		log.Fatal(err)
	}
	defer robot.Close()
	pilot, err := eshm.Open(ctx, name, eshm.Slave)
	if err != nil {
		log.Fatal(err)
	}
	defer pilot.Close()

	if err := robot.Send(ctx, []byte("pose 1 2 3")); err != nil {
		log.Fatal(err)
	}
	message, err := pilot.Recv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", message.Bytes())
	// Output: pose 1 2 3
}

func openBoth(name string) (master, slave *eshm.Endpoint) {
	ctx := context.Background()
	name = fmt.Sprintf("%s-%d", name, os.Getpid())
	master, err := eshm.Open(ctx, name, eshm.Master)
	if err != nil {
		log.Fatal(err)
	}
	if slave, err = eshm.Open(ctx, name, eshm.Slave); err != nil {
		log.Fatal(err)
	}
	return master, slave
}

// A context with a deadline bounds any call that waits.
func ExampleEndpoint_Recv() {
	robot, pilot := openBoth("example-recv")
	defer robot.Close()
	defer pilot.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	_, err := pilot.Recv(ctx)
	fmt.Println(errors.Is(err, eshm.ErrTimeout), errors.Is(err, context.DeadlineExceeded), eshm.Code(err))
	// Output: true true -10
}

// A value takes the place of the one before, and a reader is told how many it has missed.
func ExampleEndpoint_Write() {
	robot, pilot := openBoth("example-write")
	defer robot.Close()
	defer pilot.Close()

	for _, position := range []string{"x = 1", "x = 2", "x = 3"} {
		if err := robot.Write([]byte(position)); err != nil {
			log.Fatal(err)
		}
	}
	value, err := pilot.Read(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, %d skipped\n", value.Bytes(), value.Skipped)
	// Output: x = 3, 2 skipped
}

// A message that is built in place is sent without being copied.
func ExampleEndpoint_Loan() {
	robot, pilot := openBoth("example-loan")
	defer robot.Close()
	defer pilot.Close()

	loan, err := robot.Loan(context.Background(), 100)
	if err != nil {
		log.Fatal(err)
	}
	defer loan.Drop()
	picture := fmt.Appendf(loan.Bytes()[:0], "%d × %d pixels", 640, 480)
	loan.Truncate(len(picture))
	if err := loan.Send(); err != nil {
		log.Fatal(err)
	}
	message, err := pilot.Recv(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", message.Bytes())
	// Output: 640 × 480 pixels
}

// Messages that are there are received together, and released together.
func ExampleEndpoint_RecvMany() {
	robot, pilot := openBoth("example-batch")
	defer robot.Close()
	defer pilot.Close()

	if _, err := robot.SendMany(context.Background(), [][]byte{[]byte("one"), []byte("two")}); err != nil {
		log.Fatal(err)
	}
	messages := make([]eshm.Message, 10)
	count, err := pilot.RecvMany(context.Background(), messages)
	if err != nil {
		log.Fatal(err)
	}
	for _, message := range messages[:count] {
		fmt.Printf("%s\n", message.Bytes())
	}
	// Output:
	// one
	// two
}

// Text has the same bytes in every language.
func ExampleEncodeText() {
	text, err := eshm.EncodeText("Hello from master #0")
	fmt.Println(len(text), err)
	_, err = eshm.EncodeText("a\x00b")
	fmt.Println(err)
	// Output:
	// 21 <nil>
	// text contains a NUL at byte 1; expected UTF-8 with no NUL before its end
}

// Lists the segments of a domain, and removes those that nobody uses.
func ExampleDomain() {
	ctx := context.Background()
	mine := eshm.Domain{Directory: "/dev/shm", Prefix: fmt.Sprintf("example-%d-", os.Getpid())}
	master, err := eshm.Open(ctx, "robot", eshm.Master, eshm.WithDomain(mine), eshm.WithAutoCleanup(false))
	if err != nil {
		panic(err)
	}
	if err := master.TrySend([]byte("nobody takes this")); err != nil {
		panic(err)
	}
	segments, err := mine.Segments()
	if err != nil {
		panic(err)
	}
	for _, one := range segments {
		fmt.Println(one.Name, one.Kind, one.View.Master.State, one.View.MasterToSlave.Waiting)
	}
	_ = master.Close()
	removal, err := mine.RemoveDead()
	if err != nil {
		panic(err)
	}
	fmt.Println(len(removal.Removed), "removed")
	// Output:
	// robot current alive 1
	// 1 removed
}

// The loop ends when the peer has closed and everything was received.
func ExampleEndpoint_Messages() {
	robot, pilot := openBoth("example-messages")
	defer pilot.Close()

	for _, position := range []string{"x = 1", "x = 2"} {
		if err := robot.Send(context.Background(), []byte(position)); err != nil {
			log.Fatal(err)
		}
	}
	if err := robot.Close(); err != nil {
		log.Fatal(err)
	}
	for message, err := range pilot.Messages(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", message.Bytes())
	}
	// Output:
	// x = 1
	// x = 2
}
