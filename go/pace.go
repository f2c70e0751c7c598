package eshm

import "sync/atomic"

// pace settles when a receiver looks for the next message, so that the look does not disturb its arrival.
//
// A look that is too early takes a copy of the cache line that the sender is about to write, which the sender then has to
// have taken back: the message pays for two transfers between the cores instead of one. So
//
//   - in an exchange, where something was sent since the last message came, the answer comes after about the same
//     time as the one before, and that is when to look first. The time is learnt: longer after a look that was too
//     early, shorter by little after one that was not;
//   - in a stream, whoever has caught up with the sender gives it a moment to write some lines ahead.
//
// Times are counted in idle rounds, of about a processor cycle each, since a look at the clock takes longer than what
// there is to tell apart.
type pace struct {
	rest     int    // in an exchange, how long not to look; 0: look at once
	sent     uint32 // messages that this endpoint had sent when it last looked
	exchange bool   // whether it had sent any since the look before
	streak   int    // looks in a row that were not early
	idle     atomic.Uint32
}

const (
	// paceLonger is by how many rounds the time grows after an early look.
	paceLonger = 8
	// paceStreak is after how many looks in a row that were not early the time is shortened twice as fast.
	paceStreak = 32
	// paceLongest is the longest time: a microsecond or two, a bit more than the exchanges that this is for.
	paceLongest = 4096
	// paceStream is how many messages that were there at the first look are a stream.
	paceStream = 8
	// paceBreath is what the sender of a stream gets to write ahead: some tens of short messages.
	paceBreath = 512
)

// hold waits, without a look at shared memory, until it is time for one. sent is how many messages this endpoint has
// sent.
func (p *pace) hold(sent uint32) {
	p.exchange = p.sent != sent
	p.sent = sent
	if p.exchange {
		p.wait(p.rest)
	}
}

// wasNotEarly notes that the first look found the message.
func (p *pace) wasNotEarly() {
	p.streak++
	if p.rest > 0 {
		p.rest = max(0, p.rest-1<<min(p.streak/paceStreak, 8))
	}
}

// wasEarly notes that the first look found nothing.
func (p *pace) wasEarly() {
	if !p.exchange && p.streak >= paceStream {
		p.wait(paceBreath)
	}
	p.streak = 0
}

// hasCome notes that the message came some looks after the first.
func (p *pace) hasCome() {
	if p.exchange {
		p.rest = min(p.rest+paceLonger, paceLongest)
	}
}

// wasInVain notes that the message did not come in the time of an answer: this is no exchange.
func (p *pace) wasInVain() { p.rest = 0 }

// wait idles. The loads are there so that the loop is, too.
func (p *pace) wait(rounds int) {
	for range rounds {
		p.idle.Load()
	}
}
