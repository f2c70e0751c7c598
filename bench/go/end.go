package main

import (
	"fmt"
	"os"
	"time"
)

// end is one end of a measurement: src/duplex.rs in Go.
type end struct {
	args *arguments
	link link
}

// drive makes round trips with echo on the other end.
func (e end) drive() (observation, error) {
	if err := e.ask(); err != nil {
		return observation{}, err
	}
	before, used := e.link.wakeups(), usageNow()
	timing := timing{end: e}
	roundTrips := timing.roundTrips
	if e.args.burst > 0 {
		roundTrips = timing.bursts
	}
	observed, err := roundTrips(e.args.budget)
	if err != nil {
		return observation{}, err
	}
	observed.usage = used.since()
	observed.Wakeups = e.link.wakeups() - before
	return observed, e.send(stop)
}

// echo answers each message with its number.
func (e end) echo() (observation, error) {
	if err := e.answer(); err != nil {
		return observation{}, err
	}
	seq, whole, err := e.recv()
	// The timing begins with the first message: the driver may have rested before it.
	before, used := e.link.wakeups(), usageNow()
	var arrivals arrivals
	for ; ; seq, whole, err = e.recv() {
		if err != nil {
			return observation{}, err
		}
		if !arrivals.next(seq, whole) {
			// The driver counts the trips.
			return observation{Lost: arrivals.lost, Wakeups: e.link.wakeups() - before, usage: used.since()}, nil
		}
		if err := e.send(seq); err != nil {
			return observation{}, err
		}
	}
}

// source streams numbered messages into sink at full speed.
func (e end) source() (observation, error) {
	if err := e.ask(); err != nil {
		return observation{}, err
	}
	// The clock is looked at so rarely that it does not count.
	stride := uint64(max(64<<10/e.args.size, 1))
	seq, used := uint64(0), usageNow()
	for started := time.Now(); time.Since(started) < e.args.budget; {
		for last := seq + stride; seq < last; seq++ {
			if err := e.send(seq); err != nil {
				return observation{}, err
			}
		}
	}
	if err := e.send(stop); err != nil {
		return observation{}, err
	}
	err := e.link.flush()
	return observation{Wakeups: e.link.wakeups(), usage: used.since()}, err
}

// sink counts what arrives, and what does not.
func (e end) sink() (observation, error) {
	if err := e.answer(); err != nil {
		return observation{}, err
	}
	used := usageNow()
	var arrivals arrivals
	var started time.Time
	for {
		seq, whole, err := e.recv()
		if err != nil {
			return observation{}, err
		}
		if !arrivals.next(seq, whole) {
			break
		}
		if started.IsZero() {
			started = time.Now() // what came before is not counted
		}
	}
	elapsed := time.Since(started)
	if arrivals.count < 2 {
		return observation{}, fmt.Errorf("only %d messages arrived", arrivals.count)
	}
	ns := float64(elapsed.Nanoseconds()) / float64(arrivals.count-1)
	return observation{NS: ns, Messages: arrivals.count, Lost: arrivals.lost, usage: used.since()}, nil
}

// ask has both directions checked for content, and tells either side that the other is there.
func (e end) ask() error {
	for seq := range e.args.verify {
		if err := e.sendRamp(seq); err != nil {
			return err
		}
		if err := e.expectRamp(seq + reply); err != nil {
			return err
		}
	}
	time.Sleep(e.args.settle)
	if e.args.gate {
		fmt.Println("READY")
		_, err := os.Stdin.Read(make([]byte, 1))
		return err
	}
	return nil
}

// answer is the other side of ask.
func (e end) answer() error {
	for seq := range e.args.verify {
		if err := e.expectRamp(seq); err != nil {
			return err
		}
		if err := e.sendRamp(seq + reply); err != nil {
			return err
		}
	}
	return nil
}

func (e end) sendRamp(seq uint64) error {
	room, err := e.link.room()
	if err != nil {
		return err
	}
	writeRamp(room, seq)
	if err := e.link.send(); err != nil {
		return err
	}
	return e.link.flush()
}

func (e end) expectRamp(seq uint64) error {
	bytes, err := e.link.recv()
	if err == nil && (len(bytes) != e.args.size || !isRamp(bytes, seq)) {
		err = fmt.Errorf("message %d of the check does not have the content that was sent", seq)
	}
	return err
}

func (e end) send(seq uint64) error {
	room, err := e.link.room()
	if err != nil {
		return err
	}
	write(room, seq, e.args.touched)
	return e.link.send()
}

func (e end) recv() (seq uint64, whole bool, err error) {
	bytes, err := e.link.recv()
	if err != nil {
		return 0, false, err
	}
	seq, whole = read(bytes, e.args.touched)
	return seq, whole, nil
}
