package eshm

import "sync/atomic"

// pollTiming decides when a receiver polls for the next message, so that the poll does not delay the message.
//
// A poll that is too early takes a copy of the cache line that the sender is about to write. The sender then has to
// fetch the line back, so the message pays for two transfers between the cores instead of one. Therefore
//
//   - in an exchange, where this endpoint has sent something since the last message came, the first poll is delayed.
//     The answer takes about as long as the one before, and the delay follows it: it grows after a poll that was too
//     early, and shrinks slowly after one that was not;
//   - in a stream, a receiver that has caught up with the sender waits for a moment, so that the sender can write some
//     lines ahead.
//
// Delays are counted in idle rounds, of about a processor cycle each, since reading the clock takes longer than the
// difference that matters.
type pollTiming struct {
	delay    int    // of the first poll in an exchange, in rounds; 0: none
	sent     uint32 // how many messages this endpoint had sent at the last poll
	exchange bool   // whether it had sent any since the poll before
	streak   int    // first polls in a row that found a message
	idle     atomic.Uint32
}

const (
	// lateStep is how many rounds the delay grows by after an early poll.
	lateStep = 8
	// streakStep is how many hits in a row double the step by which the delay shrinks.
	streakStep = 32
	// longestDelay is the longest delay: a microsecond or two, a little more than the exchanges that profit from it.
	longestDelay = 4096
	// streamLength is how many hits in a row are a stream.
	streamLength = 8
	// fullDelay is how long a sender that found the queue full leaves the receiver alone: for some tens of short messages.
	// Otherwise it would fetch the line of "consumed" for each message that the receiver releases.
	fullDelay = 2048
	// streamDelay is how long the sender of a stream gets to write ahead: some tens of short messages.
	streamDelay = 512
)

// waitForFirstPoll waits until it is time for the first poll. sent is how many messages this endpoint has sent.
func (p *pollTiming) waitForFirstPoll(sent uint32) {
	p.exchange = p.sent != sent
	p.sent = sent
	if p.exchange {
		p.wait(p.delay)
	}
}

// firstPollHit records that the first poll found the message.
func (p *pollTiming) firstPollHit() {
	p.streak++
	if p.delay > 0 {
		p.delay = max(0, p.delay-1<<min(p.streak/streakStep, 8))
	}
}

// firstPollMissed records that the first poll found nothing.
func (p *pollTiming) firstPollMissed() {
	if !p.exchange && p.streak >= streamLength {
		p.wait(streamDelay)
	}
	p.streak = 0
}

// laterPollHit records that a later poll found the message.
func (p *pollTiming) laterPollHit() {
	if p.exchange {
		p.delay = min(p.delay+lateStep, longestDelay)
	}
}

// allPollsMissed records that the message did not come within the time of an answer: this is no exchange.
func (p *pollTiming) allPollsMissed() { p.delay = 0 }

func (p *pollTiming) wait(rounds int) { idle(&p.idle, rounds) }

// idle takes some time. The loads keep the compiler from removing the loop.
func idle(word *atomic.Uint32, rounds int) {
	for range rounds {
		word.Load()
	}
}
