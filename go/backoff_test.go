package eshm

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// script is surroundings with a clock that only yields and polls move.
type script struct {
	clock   time.Duration
	took    time.Duration // by a yield
	polling time.Duration // by one poll
	arrives func(s *script, times uint) bool
	yields  int
	seen    traffic
}

func (s *script) now() int64       { return int64(s.clock) }
func (s *script) traffic() traffic { return s.seen }

func (s *script) yield() {
	s.yields++
	s.clock += s.took
}

func (s *script) poll(times uint) bool {
	s.clock += s.polling * time.Duration(times)
	return s.arrives != nil && s.arrives(s, times)
}

func newScript(took time.Duration) *script { return &script{took: took, polling: 5 * time.Nanosecond} }

func newBackoff(strategy WaitStrategy) *backoff {
	b := &backoff{}
	b.init(&Endpoint{settings: settings{wait: strategy}})
	return b
}

// expectWait makes one wait, and checks its result and its yields.
func expectWait(t *testing.T, what string, b *backoff, s *script, found bool, least, most int) {
	t.Helper()
	s.yields = 0
	if b.decide(s) != found || s.yields < least || s.yields > most {
		t.Errorf("%s: %d yields, expected found=%v after %d to %d", what, s.yields, found, least, most)
	}
}

func afterYields(count int) func(*script, uint) bool {
	return func(s *script, _ uint) bool { return s.yields >= count }
}

// whilePolling is what arrives in the polls on a processor that nobody else wants.
func whilePolling(s *script, times uint) bool { return times == idlePolls }

func TestAdaptiveWaits(t *testing.T) {
	for what, one := range map[string]struct {
		took        time.Duration // by a yield
		woke        bool
		idle, woken int // scores
		arrives     func(*script, uint) bool
		found       bool
		least, most int // yields
		idleAfter   int
		pending     bool
		wokenAfter  int
		polls       uint32
	}{
		"nobody else wants the processor": {took: 300, least: 14, most: 20, idleAfter: -1},
		"it arrives while the call polls": {took: 300, arrives: whilePolling, found: true, least: 1, most: 1, idleAfter: 1,
			polls: mostPolls},
		"it arrives during a yield": {took: 300, arrives: afterYields(3), found: true, least: 3, most: 3, idleAfter: 1,
			polls: mostPolls},
		"polls have not paid":       {took: 300, idle: -3, least: 1, most: 1, idleAfter: -3},
		"others want the processor": {took: 3000, least: 4, most: 4},
		"others, and it arrives":    {took: 3000, arrives: afterYields(4), found: true, least: 4, most: 4},
		"the peer was woken":        {took: 300, woke: true, least: 70, most: 100, wokenAfter: -1},
		"the peer was woken, and answers": {took: 300, woke: true, arrives: whilePolling, found: true, least: 1, most: 1,
			pending: true, polls: mostPolls},
		"waiting for it has not paid": {took: 300, woke: true, woken: -1, least: 14, most: 20, idleAfter: -1,
			wokenAfter: -1},
		"the peer was woken on this processor": {took: 5000, woke: true, arrives: afterYields(1), found: true,
			least: 1, most: 1},
		"a yield is lost":                 {took: 2 * lostYield, least: 1, most: 1},
		"a yield is lost, and it arrives": {took: 2 * lostYield, arrives: afterYields(1), found: true, least: 1, most: 1},
	} {
		t.Run(what, func(t *testing.T) {
			b, s := newBackoff(Adaptive), newScript(one.took)
			b.polls.Store(fewestPolls)
			b.idle.value, b.woken.value = one.idle, one.woken
			if s.arrives = one.arrives; one.woke {
				s.seen.wakeups++
			}
			expectWait(t, what, b, s, one.found, one.least, one.most)
			if b.idle.value != one.idleAfter || b.woken.value != one.wokenAfter || b.pending != one.pending {
				t.Errorf("scores %d and %d, pending %v", b.idle.value, b.woken.value, b.pending)
			}
			if polls := b.polls.Load(); polls != max(one.polls, fewestPolls) {
				t.Errorf("%d polls", polls)
			}
		})
	}
}

func TestPollsAdaptOnlyIfTheStrategySaysSo(t *testing.T) {
	for strategy, expected := range map[WaitStrategy]uint32{
		Adaptive: fewestPolls, Spin: mostPolls, SpinThenPark: mostPolls, Park: 0,
	} {
		b := newBackoff(strategy)
		for range 10 {
			b.pollsFailed()
		}
		if polls := b.polls.Load(); polls != expected {
			t.Errorf("%v: %d polls after polls in vain, expected %d", strategy, polls, expected)
		}
		b.pollsPaid()
		if polls := b.polls.Load(); polls != mostPolls && strategy != Park || polls != 0 && strategy == Park {
			t.Errorf("%v: %d polls after polls that paid", strategy, polls)
		}
	}
}

func TestPollsComeBackNowAndThen(t *testing.T) {
	b := newBackoff(Adaptive)
	longest := 0
	for wait := range 200 {
		if b.polls.Load() == mostPolls {
			longest++
		}
		if b.pollsFailed(); wait < 32 && b.polls.Load() == mostPolls {
			t.Errorf("%d polls after %d waits in vain", mostPolls, wait+1)
		}
	}
	if longest < 4 || longest > 7 {
		t.Errorf("%d of 200 waits in vain polled as often as at first, expected 4 to 7", longest)
	}
}

func TestNoYieldsForAWhileAfterALostOne(t *testing.T) {
	b, s := newBackoff(Adaptive), newScript(time.Millisecond)
	for _, factor := range []time.Duration{16, 64, 256, 1024, 1024} {
		expectWait(t, "a lost yield", b, s, false, 1, 1)
		s.clock += factor*time.Millisecond - time.Microsecond
		expectWait(t, "shortly before the time is over", b, s, false, 0, 0)
		s.clock += time.Microsecond
	}
	s.took = time.Hour
	expectWait(t, "a stop of the process", b, s, false, 1, 1)
	s.clock += 1024 * mostLost
	s.took = 5 * time.Microsecond
	for b.lost > 0 {
		before := b.lost
		s.clock += forgiveAfter << (2 * b.lost)
		if expectWait(t, "a yield that is not lost", b, s, false, 4, 4); b.lost != before-1 {
			t.Fatalf("%d lost yields are held against it, expected %d", b.lost, before-1)
		}
	}
}

func TestAWaitForAWokenPeerPaysIfThePeerStaysAwake(t *testing.T) {
	for what, one := range map[string]struct {
		sent    uint32
		wakeups uint64
		score   int
		pending bool
	}{
		"nothing was sent":                   {0, 0, 0, true},
		"a send without a wake-up":           {1, 0, 1, false},
		"sends, each with a wake-up":         {2, 2, -1, false},
		"sends, one of them with a wake-up":  {2, 1, 1, false},
		"sends, none of them with a wake-up": {5, 0, 1, false},
	} {
		b, s := newBackoff(Adaptive), newScript(300)
		s.arrives, s.seen = whilePolling, traffic{1, 1}
		expectWait(t, what, b, s, true, 1, 1)
		s.seen.sent += one.sent
		s.seen.wakeups += one.wakeups
		b.judgePending(s.seen)
		if b.woken.value != one.score || b.pending != one.pending {
			t.Errorf("%s: a score of %d, pending %v", what, b.woken.value, b.pending)
		}
	}
}

func TestSpinningIsTriedAgainNowAndThen(t *testing.T) {
	s := score{}
	for range 100 {
		s.down()
	}
	tried := 0
	for range 10 * probeInterval {
		if s.worth() {
			tried++
		}
	}
	if s.value != -mostScore || tried != 10 {
		t.Errorf("a score of %d, tried %d times", s.value, tried)
	}
	for range 100 {
		s.up()
	}
	if s.value != mostScore || !s.worth() {
		t.Errorf("a score of %d", s.value)
	}
}

func TestOfSeveralWaitsOneYields(t *testing.T) {
	b, s := newBackoff(Adaptive), newScript(300)
	b.around = s
	b.mu.Lock()
	if b.await(new(atomic.Uint32), 0) || s.yields > 0 {
		t.Error("a second wait does not park at once")
	}
	b.mu.Unlock()
}

// TestACallThatHasSleptParksAgain: it looks once.
func TestACallThatHasSleptParksAgain(t *testing.T) {
	b, s := newBackoff(Adaptive), newScript(300)
	b.around = s
	how := wait{backoff: b, parked: true}
	word := new(atomic.Uint32)
	if how.spin(word, 0) || !how.spin(word, 1) || s.yields > 0 {
		t.Errorf("%d yields", s.yields)
	}
}

// TestAYieldLetsOtherGoroutinesRun on the only processor that they have.
func TestAYieldLetsOtherGoroutinesRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var ran atomic.Bool
	go ran.Store(true)
	for range 3 {
		(&awaited{}).yield()
	}
	if !ran.Load() {
		t.Error("the other goroutine has not run")
	}
}

// TestBothEndsOnOneProcessor: a goroutine that waits lets the other end of the segment run.
func TestBothEndsOnOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, strategy := range []WaitStrategy{Adaptive, SpinThenPark, Park} {
		t.Run(strategy.String(), func(t *testing.T) {
			master, slave := pair(t, WithWait(strategy))
			const rounds = 300
			echoed := make(chan error, 1)
			go func() {
				var message []byte
				var err error
				for range rounds {
					if message, err = slave.RecvAppend(context.Background(), message[:0]); err != nil {
						break
					}
					if err = slave.Send(context.Background(), message); err != nil {
						break
					}
				}
				echoed <- err
			}()
			for range rounds {
				mustSend(t, master, "ping")
				mustRecv(t, master, "ping")
			}
			if err := <-echoed; err != nil {
				t.Fatal(err)
			}
		})
	}
}
