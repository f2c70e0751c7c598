package eshm

import "testing"

func TestPollTimingDelaysNoStream(t *testing.T) {
	p := pollTiming{delay: longestDelay}
	p.waitForFirstPoll(0)
	if p.exchange {
		t.Error("an exchange, though nothing was sent")
	}
	hits := 0
	for ; p.delay > 0; hits++ {
		p.firstPollHit()
	}
	if hits > 20*streakStep {
		t.Errorf("%d messages were delayed after an exchange", hits)
	}
}

func TestPollTimingIsBoundedAndEnds(t *testing.T) {
	var p pollTiming
	p.waitForFirstPoll(1)
	for range 1000 {
		p.laterPollHit()
	}
	if p.delay != longestDelay {
		t.Errorf("a delay of %d, expected %d", p.delay, longestDelay)
	}
	p.allPollsMissed()
	if p.delay != 0 {
		t.Errorf("a delay of %d after nothing came", p.delay)
	}
}

// TestExchangesAreToldFromStreams, since a sender gets the cache lines of slots in different ways.
func TestExchangesAreToldFromStreams(t *testing.T) {
	master, slave := pair(t)
	mustSend(t, master, "first")
	if master.send.inExchange() {
		t.Error("an exchange, though nothing came back")
	}
	mustRecv(t, slave, "first")
	mustSend(t, slave, "answer")
	mustRecv(t, master, "answer")
	if !master.send.inExchange() || master.send.inExchange() {
		t.Error("expected an exchange once after the answer")
	}
}
