package main

import (
	"fmt"
	"slices"
	"time"
)

// observation is what a process observed, as src/timing.rs has it.
type observation struct {
	NS       float64  `json:"ns"` // per round trip, or per message of a stream
	Floor    *float64 `json:"floor,omitempty"`
	Messages uint64   `json:"messages"`
	Lost     uint64   `json:"lost"`
	Latency  *latency `json:"latency,omitempty"`
	Wakeups  uint64   `json:"wakeups"`
}

// latency is percentiles of single round trips, in nanoseconds.
type latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

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
	before := e.link.wakeups()
	timing := timing{end: e}
	observed, err := timing.roundTrips(e.args.budget)
	if err != nil {
		return observation{}, err
	}
	observed.Wakeups = e.link.wakeups() - before
	return observed, e.send(stop)
}

// echo answers each message with its number.
func (e end) echo() (observation, error) {
	if err := e.answer(); err != nil {
		return observation{}, err
	}
	before := e.link.wakeups()
	var arrivals arrivals
	for {
		seq, whole, err := e.recv()
		if err != nil {
			return observation{}, err
		}
		if !arrivals.next(seq, whole) {
			// The driver counts the trips.
			return observation{Lost: arrivals.lost, Wakeups: e.link.wakeups() - before}, nil
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
	seq := uint64(0)
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
	return observation{Wakeups: e.link.wakeups()}, e.link.flush()
}

// sink counts what arrives, and what does not.
func (e end) sink() (observation, error) {
	if err := e.answer(); err != nil {
		return observation{}, err
	}
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
	return observation{NS: ns, Messages: arrivals.count, Lost: arrivals.lost}, nil
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

// timing is that of round trips: see src/timing.rs.
type timing struct {
	end  end
	seq  uint64
	lost uint64
}

// batchTime is how long a batch of round trips takes at least.
const batchTime = 50 * time.Microsecond

func (t *timing) roundTrips(budget time.Duration) (observation, error) {
	size, err := t.calibrate(budget / 10)
	if err != nil {
		return observation{}, err
	}
	var batches []float64
	for started := time.Now(); len(batches) == 0 || time.Since(started) < budget*6/10; {
		took, err := t.batch(size)
		if err != nil {
			return observation{}, err
		}
		batches = append(batches, float64(took.Nanoseconds())/float64(size))
	}
	var trips []float64
	for started := time.Now(); len(trips) == 0 || time.Since(started) < budget*3/10; {
		took, err := t.batch(1)
		if err != nil {
			return observation{}, err
		}
		trips = append(trips, float64(took.Nanoseconds()))
	}
	slices.Sort(batches)
	slices.Sort(trips)
	at := func(share float64) float64 { return trips[int(share*float64(len(trips)-1))] }
	return observation{
		NS:       batches[len(batches)/2],
		Floor:    &batches[len(batches)/20],
		Messages: t.seq,
		Lost:     t.lost,
		Latency:  &latency{at(0.5), at(0.99), at(0.999), at(1)},
	}, nil
}

// calibrate warms up, and finds how many trips make a batch.
func (t *timing) calibrate(budget time.Duration) (int, error) {
	started := time.Now()
	size := 1
	for {
		took, err := t.batch(size)
		switch {
		case err != nil:
			return 0, err
		case took < batchTime:
			size *= 2
		case time.Since(started) >= budget:
			return size, nil
		}
	}
}

func (t *timing) batch(size int) (time.Duration, error) {
	started := time.Now()
	for range size {
		if err := t.end.send(t.seq); err != nil {
			return 0, err
		}
		seq, whole, err := t.end.recv()
		if err != nil {
			return 0, err
		}
		if !whole || seq != t.seq {
			t.lost++
		}
		t.seq++
	}
	return time.Since(started), nil
}
