package eshm

import (
	"context"
	"log/slog"
)

// notice is an event that happened while Endpoint.mu was held.
//
// A logger is foreign code, which may use the endpoint that the event is about. So it is told later, by the keeper, which holds
// no lock then: neither mu nor that of a direction, under which the peer is examined, too.
type event struct {
	level      slog.Level
	message    string
	attributes []any
}

// note keeps an event for the logger; mu is held.
func (e *Endpoint) noteEvent(level slog.Level, message string, attributes ...any) {
	e.events = append(e.events, event{level, message, attributes})
}

// tell tells the logger what was noted. The caller holds no lock.
func (e *Endpoint) logEvents() {
	e.mu.Lock()
	notices := e.events
	e.events = nil
	e.mu.Unlock()
	for _, one := range notices {
		e.settings.logger.Log(context.Background(), one.level, one.message, one.attributes...)
	}
}
