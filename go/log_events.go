package eshm

import (
	"context"
	"log/slog"
)

// event is something to log that happened while Endpoint.mu was held.
//
// A logger is foreign code, which may use the endpoint that the event is about. So it is called later, when no lock is
// held: neither mu nor the mutex of a direction, under which the peer is examined, too.
type event struct {
	level      slog.Level
	message    string
	attributes []any
}

// noteEvent keeps an event for the logger; mu is held.
func (e *Endpoint) noteEvent(level slog.Level, message string, attributes ...any) {
	e.events = append(e.events, event{level, message, attributes})
}

// logEvents passes the events to the logger. The caller holds no lock.
func (e *Endpoint) logEvents() {
	e.mu.Lock()
	notices := e.events
	e.events = nil
	e.mu.Unlock()
	for _, one := range notices {
		e.settings.logger.Log(context.Background(), one.level, one.message, one.attributes...)
	}
}
