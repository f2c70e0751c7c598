package eshm

import "testing"

func TestPaceHoldsNoStreamUp(t *testing.T) {
	p := pace{rest: paceLongest}
	p.hold(0)
	if p.exchange {
		t.Error("an exchange, though nothing was sent")
	}
	looks := 0
	for ; p.rest > 0; looks++ {
		p.wasNotEarly()
	}
	if looks > 20*paceStreak {
		t.Errorf("%d messages were held up after an exchange", looks)
	}
}

func TestPaceIsBoundedAndEndsInVain(t *testing.T) {
	var p pace
	p.hold(1)
	for range 1000 {
		p.hasCome()
	}
	if p.rest != paceLongest {
		t.Errorf("a rest of %d, expected %d", p.rest, paceLongest)
	}
	p.wasInVain()
	if p.rest != 0 {
		t.Errorf("a rest of %d after nothing came", p.rest)
	}
}
