package eshm

import (
	"context"
	"log/slog"
)

// notice is an event that happened while Endpoint.mu was held.
//
// A logger is foreign code, which may use the endpoint that the event is about. So it is told later, by the keeper, which holds
// no lock then: neither mu nor that of a direction, under which the peer is examined, too.
type notice struct {
	level      slog.Level
	message    string
	attributes []any
}

// note keeps an event for the logger; mu is held.
func (e *Endpoint) note(level slog.Level, message string, attributes ...any) {
	e.notices = append(e.notices, notice{level, message, attributes})
}

// tell tells the logger what was noted. The caller holds no lock.
func (e *Endpoint) tell() {
	e.mu.Lock()
	notices := e.notices
	e.notices = nil
	e.mu.Unlock()
	for _, one := range notices {
		e.settings.logger.Log(context.Background(), one.level, one.message, one.attributes...)
	}
}
