package eshm

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"time"

	"eshm/internal/shm"
)

// settings are what the options set. Sizes are in bytes.
type settings struct {
	role              Role
	domain            *Domain // nil: the default one
	dataSize          int     // if dataSizeSet
	queueCapacity     int     // if queueCapacitySet; 0: no queues
	dataSizeSet       bool
	queueCapacitySet  bool
	wait              WaitStrategy
	connectTimeout    time.Duration
	heartbeatInterval time.Duration
	steadyHeartbeat   bool
	staleThreshold    time.Duration
	disconnect        Disconnect
	reconnectTimeout  time.Duration
	reconnectInterval time.Duration
	reconnectAttempts int
	giveUp            bool
	autoCleanup       bool
	background        bool
	mode              fs.FileMode // unless modeByUmask
	modeByUmask       bool
	group             int // if groupSet
	groupSet          bool
	anyOwner          bool
	logger            *slog.Logger
}

// defaultSettings are those of the Rust core (core/src/peer/settings/table.rs).
func defaultSettings() settings {
	return settings{
		wait:              Adaptive,
		connectTimeout:    5 * time.Second,
		heartbeatInterval: time.Millisecond,
		staleThreshold:    100 * time.Millisecond,
		disconnect:        OnTimeout,
		reconnectTimeout:  5 * time.Second,
		reconnectInterval: 100 * time.Millisecond,
		reconnectAttempts: 50,
		autoCleanup:       true,
		background:        true,
		mode:              0o600,
		logger:            slog.New(slog.DiscardHandler),
	}
}

// newSettings applies and checks the options, and finds out where the segment is.
func newSettings(name string, options []Option) (settings, address, error) {
	s := defaultSettings()
	for at, option := range options {
		if option == nil {
			what := fmt.Sprintf("option %d", at)
			return s, address{}, failOption(name, what, "nil", "a role, or what a With function returns")
		}
		option.apply(&s)
	}
	domain, err := checked(s.domain)
	if err != nil {
		return s, address{}, err
	}
	at, err := addressOf(domain, name)
	if err != nil {
		return s, address{}, err
	}
	return s, at, s.check(name)
}

// searchEnds tells whether a slave's search for a master ends when its calls without a deadline fail.
func (s *settings) searchEnds() bool { return s.giveUp || s.disconnect == Immediately }

// access returns the permissions and the group of the segment's file.
func (s *settings) access() shm.Access {
	access := shm.Access{Mode: s.mode, ByUmask: s.modeByUmask, Group: shm.SameGroup}
	if s.groupSet {
		access.Group = s.group
	}
	return access
}

// durations are the ranges of the options that are durations: those of the Rust core.
var durations = []struct {
	name        string
	value       func(s *settings) time.Duration
	least, most time.Duration
	expected    string
}{
	{"connect_timeout", func(s *settings) time.Duration { return s.connectTimeout }, 0, Forever, "0 or more"},
	{"heartbeat_interval", func(s *settings) time.Duration { return s.heartbeatInterval },
		time.Millisecond, time.Second, "1 ms to 1 s"},
	{"stale_threshold", func(s *settings) time.Duration { return s.staleThreshold },
		time.Millisecond, time.Hour, "1 ms to 1 h"},
	{"reconnect_timeout", func(s *settings) time.Duration { return s.reconnectTimeout },
		1, Forever, "more than 0, or Forever for no limit (disconnect Immediately never waits for a peer)"},
	{"reconnect_interval", func(s *settings) time.Duration { return s.reconnectInterval },
		time.Millisecond, time.Hour, "1 ms to 1 h"},
}

// check refuses a setting that is out of its range.
func (s *settings) check(name string) error {
	for _, one := range durations {
		if value := one.value(s); value < one.least || value > one.most {
			return failOption(name, one.name, value, one.expected)
		}
	}
	if s.heartbeatInterval > s.staleThreshold {
		expected := fmt.Sprintf("at most the stale_threshold (%v), since a peer with the same one would take this endpoint "+
			"for frozen", s.staleThreshold)
		return failOption(name, "heartbeat_interval", s.heartbeatInterval, expected)
	}
	if attempts := s.reconnectAttempts; attempts != Unlimited && (attempts < 1 || uint64(attempts) > math.MaxUint32) {
		return failOption(name, "reconnect_attempts", attempts, "1 to 4294967295, or Unlimited for no limit")
	}
	if err := s.checkChoices(name); err != nil {
		return err
	}
	if s.dataSizeSet && (s.dataSize < 1 || s.dataSize > maxDataSize) {
		return failOption(name, "data_size", fmt.Sprintf("%d bytes", s.dataSize), "1 to 67108864 bytes (64 MiB)")
	}
	if s.queueCapacity < 0 || uint64(s.queueCapacity) > maxQueueCapacity {
		return failOption(name, "queue_capacity", fmt.Sprintf("%d bytes", s.queueCapacity),
			"0 (no queues) to 68719476736 bytes (64 GiB)")
	}
	if !s.modeByUmask && (s.mode&^fs.ModePerm != 0 || s.mode&0o600 != 0o600) {
		return failOption(name, "mode", fmt.Sprintf("%#o", uint32(s.mode)),
			"permission bits that let the owner read and write, such as 0600 or 0660")
	}
	// The greatest number of 32 bits is no group: the system takes it for "as it is".
	if s.groupSet && (s.group < 0 || uint64(s.group) >= math.MaxUint32) {
		return failOption(name, "group", s.group, "the number of a group, 0 to 4294967294")
	}
	return nil
}

// checkChoices refuses a setting that is none of the values there are.
func (s *settings) checkChoices(name string) error {
	switch {
	case s.role < Auto || s.role > Slave:
		return failOption(name, "role", s.role, "Auto, Master or Slave")
	case s.wait < Adaptive || s.wait > Park:
		return failOption(name, "wait", s.wait, "Adaptive, Spin, SpinThenPark or Park")
	case s.disconnect < Immediately || s.disconnect > Never:
		return failOption(name, "disconnect", s.disconnect, "Immediately, OnTimeout or Never")
	case s.logger == nil:
		return failOption(name, "logger", "nil", "a logger; leave the option out for silence")
	}
	return nil
}

func failOption(segment, option string, found any, expected string) error {
	return fail(ErrInvalidOption, segment, nil, "%s is %v; expected %s", option, found, expected)
}

// geometry returns that of a segment that is to be created.
func (s *settings) geometry() geometry {
	dataSize, queueCapacity := DefaultDataSize, DefaultQueueCapacity
	if s.dataSizeSet {
		dataSize = s.dataSize
	}
	if s.queueCapacitySet {
		queueCapacity = s.queueCapacity
	}
	return newGeometry(uint64(dataSize), uint64(queueCapacity))
}
