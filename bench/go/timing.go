package main

import (
	"slices"
	"syscall"
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
	usage
	Mean   *float64     `json:"mean,omitempty"`   // from the first trip to the last, per trip
	Bursts [][2]float64 `json:"bursts,omitempty"` // after a rest: the first trip, and all per trip
}

// latency is percentiles of single round trips, in nanoseconds.
type latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// usage is what a process used: processor time of all its threads, and how often they left the processor.
type usage struct {
	CPU      int64 `json:"cpu_ns"`
	Switches int64 `json:"switches"`
}

func usageNow() usage {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // it fails only if its arguments are wrong
	}
	return usage{CPU: used.Utime.Nano() + used.Stime.Nano(), Switches: used.Nvcsw + used.Nivcsw}
}

// since is what was used since u.
func (u usage) since() usage {
	now := usageNow()
	return usage{CPU: now.CPU - u.CPU, Switches: now.Switches - u.Switches}
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
	begun, first := time.Now(), t.seq
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
	mean := float64(time.Since(begun).Nanoseconds()) / float64(t.seq-first)
	slices.Sort(batches)
	slices.Sort(trips)
	at := func(share float64) float64 { return trips[int(share*float64(len(trips)-1))] }
	return observation{
		NS:       batches[len(batches)/2],
		Floor:    &batches[len(batches)/20],
		Mean:     &mean,
		Messages: t.seq,
		Lost:     t.lost,
		Latency:  &latency{at(0.5), at(0.99), at(0.999), at(1)},
	}, nil
}

// fewestBursts is how many bursts are made at least, however long they take.
const fewestBursts = 5

// bursts makes round trips after rests.
func (t *timing) bursts(budget time.Duration) (observation, error) {
	args := t.end.args
	var bursts [][2]float64
	for started := time.Now(); len(bursts) < fewestBursts || time.Since(started) < budget; {
		time.Sleep(args.rest)
		first, err := t.batch(1)
		if err != nil {
			return observation{}, err
		}
		others, err := t.batch(args.burst - 1)
		if err != nil {
			return observation{}, err
		}
		all := float64((first + others).Nanoseconds())
		bursts = append(bursts, [2]float64{float64(first.Nanoseconds()), all / float64(args.burst)})
	}
	// The runner takes the percentiles of all bursts.
	return observation{NS: median(bursts), Messages: t.seq, Lost: t.lost, Bursts: bursts}, nil
}

func median(bursts [][2]float64) float64 {
	times := make([]float64, len(bursts))
	for i, burst := range bursts {
		times[i] = burst[1]
	}
	slices.Sort(times)
	return times[len(times)/2]
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
