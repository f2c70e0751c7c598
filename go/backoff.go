package eshm

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

const (
	// mostPolls is the most polls at the start of a wait: they take a microsecond or two, within which most answers come.
	mostPolls = 2048
	// fewestPolls is the fewest.
	fewestPolls = 50
	// idlePolls is the number of polls after a yield that found nobody else who wants the processor.
	idlePolls = 200
	// idleYield is the longest yield that found nobody else who wants the processor.
	idleYield = 1250 * time.Nanosecond
	// idleLimit is how long a wait polls on a processor that nobody else wants, where such polls paid.
	idleLimit = 20 * time.Microsecond
	// wakeLimit is the same for a peer that had to be woken: the time of a wake-up on another processor.
	wakeLimit = 100 * time.Microsecond
	// crowdedYields is the number of longer yields that bring nothing before a call parks.
	crowdedYields = 4
	// lostYield is the shortest yield that is lost to a busy processor.
	lostYield = 500 * time.Microsecond
	// mostLost is what a yield is counted as that took longer: a time slice. The process was stopped, or its group had
	// used up its quota.
	mostLost = 4 * time.Millisecond
	// lostFactor is for how many times as long as a lost yield took there are no further yields. Each lost yield in
	// a row multiplies it by 4, mostHold times at most.
	lostFactor = 16
	mostHold   = 3
	// forgiveAfter is the time without a lost yield after which the factor shrinks.
	forgiveAfter = 25 * time.Millisecond
	// probeInterval is how many waits there are between two that spin although spinning did not pay.
	probeInterval = 32
	// mostScore is the highest score; the lowest is -mostScore.
	mostScore = 8
)

// backoff decides how long a direction of an endpoint polls, when it yields its processor, and when it parks. With
// [Adaptive] it learns from its own waits; with the other strategies nothing changes it.
//
//  1. A wait polls for a microsecond or two at first. Polls in vain halve their number for the next wait.
//  2. Then it yields the processor, again and again, and looks after each yield. A short yield found nobody else who
//     wants the processor: there it polls, for a limited time. After some longer yields it parks. A very long yield was
//     lost to a busy processor: there are no yields for a while then.
//  3. If the endpoint had to wake its peer since the last wait, the limit is the time of a wake-up.
//
// Whether a limit applies depends on how often it paid: on a score for each of the two.
type backoff struct {
	endpoint *Endpoint
	polls    atomic.Uint32 // at the start of a wait; 0 with [Park]
	vain     atomic.Uint32 // waits whose fewest polls found nothing

	mu        sync.Mutex // held while a wait yields; guards the rest
	idle      score      // whether polls on a processor that nobody else wants pay
	woken     score      // whether waiting for a peer that was woken pays
	traffic   traffic    // at the last wait
	pending   bool       // whether the last wait for a woken peer paid shows in the sends after it
	lost      int        // lost yields in a row; 0 … mostHold
	yieldFrom int64      // no yields before this time, in nanoseconds
	awaited   awaited
	around    surroundings // &awaited, except in tests
}

// score tells whether something has paid.
type score struct {
	value int // -mostScore … mostScore
	tries int // waits while the value was negative
}

func (s *score) up()   { s.value = min(s.value+1, mostScore) }
func (s *score) down() { s.value = max(s.value-1, -mostScore) }

// worth tells whether to try it in this wait: if it has paid, and now and then if it has not.
func (s *score) worth() bool {
	if s.value >= 0 {
		return true
	}
	s.tries++
	return s.tries%probeInterval == 0
}

// traffic counts what an endpoint has sent, and the wake-ups that this took.
type traffic struct {
	sent    uint32
	wakeups uint64
}

// surroundings are what the decisions of a wait depend on. Tests replace them.
type surroundings interface {
	now() int64           // in nanoseconds, from some point on
	yield()               // lets others have the processor
	poll(times uint) bool // reports whether what the wait is for is there
	traffic() traffic     // so far
}

// init sets the strategy of a direction of this endpoint.
func (b *backoff) init(endpoint *Endpoint) {
	b.endpoint, b.around = endpoint, &b.awaited
	if endpoint.settings.wait != Park {
		b.polls.Store(mostPolls)
	}
}

// pollsPaid records that polls after the first one found what they waited for.
func (b *backoff) pollsPaid() {
	if polls := b.polls.Load(); polls < mostPolls && polls > 0 {
		b.polls.Store(mostPolls)
	}
}

// pollsFailed records that the polls at the start of a wait found nothing. Now and then it lets the next wait poll as
// often as at first, so that polls come back where they pay again.
func (b *backoff) pollsFailed() {
	polls := b.polls.Load()
	switch {
	case b.endpoint.settings.wait != Adaptive:
	case polls > fewestPolls:
		b.polls.Store(max(polls/2, fewestPolls))
	case b.vain.Add(1)%probeInterval == 0:
		b.polls.Store(mostPolls)
	}
}

// delayPoll idles, unless the strategy is not to poll.
func (b *backoff) delayPoll(rounds int) {
	if b.polls.Load() > 0 {
		idle(&b.polls, rounds)
	}
}

// wait is the backoff of one call.
type wait struct {
	backoff *backoff
	delay   int  // in idle rounds, before the polls at its start
	polled  bool // the polls at its start are over
	parked  bool // it has slept
	slept   bool // for the whole of a slice, in a thread
}

// spin polls and yields the processor as long as that promises to pay. It reports whether the word changed.
func (w *wait) spin(word *atomic.Uint32, seen uint32) bool {
	b := w.backoff
	if w.parked {
		// A call that was woken for nothing has waited for long already: what it waits for is not about to come.
		return word.Load() != seen
	}
	if !w.polled {
		w.polled = true
		b.delayPoll(w.delay)
		for range b.polls.Load() {
			if word.Load() != seen {
				b.pollsPaid()
				return true
			}
		}
		b.pollsFailed()
	}
	return b.await(word, seen)
}

// yielding counts the waits of the process that yield, each in a thread.
var yielding atomic.Int32

// await yields and polls as long as that promises to pay. It reports whether the word has changed; if not, the caller
// parks. Of several waits at a time only one does not park at once, and of the process no more than may sleep in threads.
func (b *backoff) await(word *atomic.Uint32, seen uint32) bool {
	defer yielding.Add(-1)
	if yielding.Add(1) > mostThreads || !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	b.awaited = awaited{b.endpoint, word, seen}
	return b.decide(b.around)
}

// decide is await; mu is held.
func (b *backoff) decide(s surroundings) bool {
	now := s.traffic()
	b.judgePending(now)
	woke := now.wakeups != b.traffic.wakeups
	b.traffic = now
	start := s.now()
	if start < b.yieldFrom {
		return false
	}
	b.forgive(start)
	if woke && b.woken.worth() {
		return b.awaitWoken(s, start)
	}
	limit := time.Duration(0)
	if b.idle.worth() {
		limit = idleLimit
	}
	found, how := b.yieldAndPoll(s, start, limit)
	switch {
	case how != onIdleProcessor:
	case found:
		b.idle.up()
	case limit > 0:
		b.idle.down()
	}
	return found
}

// awaitWoken waits for a peer that was woken.
func (b *backoff) awaitWoken(s surroundings, start int64) bool {
	found, how := b.yieldAndPoll(s, start, wakeLimit)
	switch {
	case !found:
		b.woken.down()
	case how == onIdleProcessor:
		b.pending = true
	}
	return found
}

// judgePending decides whether the last wait for a woken peer paid: whether the peer was still awake when something was
// sent to it. It stays open until something was.
func (b *backoff) judgePending(now traffic) {
	sent, wakeups := now.sent-b.traffic.sent, now.wakeups-b.traffic.wakeups
	switch {
	case !b.pending || sent == 0:
		return
	case uint64(sent) > wakeups:
		b.woken.up()
	default:
		b.woken.down()
	}
	b.pending = false
}

// ending is how the yields of a wait ended.
type ending int

const (
	byYield         ending = iota // with a yield that let somebody else have the processor
	onIdleProcessor               // with polls on a processor that nobody else wants
)

// yieldAndPoll yields until what the wait is for is there, until it has polled for as long as the limit, or until
// others need the processor.
func (b *backoff) yieldAndPoll(s surroundings, start int64, limit time.Duration) (found bool, how ending) {
	idle, crowded := time.Duration(0), 0
	for last := start; ; {
		s.yield()
		now := s.now()
		took := time.Duration(now - last)
		found := s.poll(1)
		switch {
		case took >= lostYield:
			b.noteLost(now, took)
			return found, byYield
		case found && took < idleYield:
			b.pollsPaid()
			return true, onIdleProcessor
		case found:
			return true, byYield
		case took >= idleYield:
			if crowded++; crowded >= crowdedYields {
				return false, byYield
			}
		case s.poll(idlePolls):
			b.pollsPaid()
			return true, onIdleProcessor
		default:
			now = s.now()
			if idle += time.Duration(now - last); idle >= limit {
				return false, onIdleProcessor
			}
		}
		last = now
	}
}

// noteLost records that a yield was lost to a busy processor.
func (b *backoff) noteLost(now int64, took time.Duration) {
	b.yieldFrom = now + int64(min(took, mostLost))*lostFactor<<(2*b.lost)
	b.lost = min(b.lost+1, mostHold)
}

// forgive forgets a lost yield once there was none for a while.
func (b *backoff) forgive(now int64) {
	if b.lost > 0 && now-b.yieldFrom >= int64(forgiveAfter)<<(2*b.lost) {
		b.lost--
		b.yieldFrom = now
	}
}

// awaited is the word that changes when what a wait is for is there. It is the surroundings of a wait outside of tests.
type awaited struct {
	endpoint *Endpoint
	word     *atomic.Uint32
	seen     uint32 // what the word was before the wait
}

func (a *awaited) now() int64 { return int64(time.Since(clockStart)) }

// yield lets the other goroutines of this processor run, and then the other threads.
func (a *awaited) yield() {
	runtime.Gosched()
	shm.Yield()
}

func (a *awaited) poll(times uint) bool {
	word, seen := a.word, a.seen
	for range times {
		if word.Load() != seen {
			return true
		}
	}
	return false
}

func (a *awaited) traffic() traffic {
	return traffic{a.endpoint.sent.Load(), a.endpoint.counts.wakeups.Load()}
}
