package eshm

import (
	"io/fs"
	"log/slog"
	"math"
	"time"
)

// An Option changes what [Open] does: one of the roles [Master], [Slave] and [Auto], or what a With function returns.
type Option interface {
	apply(settings *settings)
}

func (r Role) apply(s *settings) { s.role = r }

type option func(settings *settings)

func (o option) apply(s *settings) { o(s) }

// settings are the options, and their defaults until newSettings has returned. Sizes are in bytes.
type settings struct {
	role              Role
	dataSize          int // 0: what the segment has, or DefaultDataSize
	queueCapacity     int // 0: what the segment has, or DefaultQueueCapacity; negative: no queues
	dataSizeSet       bool
	queueCapacitySet  bool
	connectTimeout    time.Duration
	heartbeatInterval time.Duration
	staleThreshold    time.Duration
	patience          time.Duration
	reconnectInterval time.Duration
	spin              time.Duration
	mode              fs.FileMode
	anyOwner          bool
	keep              bool
	logger            *slog.Logger
}

// Forever is a patience that never ends.
const Forever time.Duration = math.MaxInt64

const (
	// DefaultDataSize is the longest value of a mailbox, in bytes, unless [WithDataSize] says otherwise.
	DefaultDataSize = 4096
	// DefaultQueueCapacity is the longest message of a queue, in bytes, unless [WithQueueCapacity] says otherwise.
	DefaultQueueCapacity = 256 << 10
)

// WithDataSize sets the longest value of a mailbox, 1 byte to 64 MiB. A master makes the segment with it, replacing one
// of another size that a dead master has left; a slave refuses a segment that has another.
func WithDataSize(bytes int) Option {
	return option(func(s *settings) { s.dataSize, s.dataSizeSet = bytes, true })
}

// WithQueueCapacity sets the longest message of a queue, 1 byte to 64 GiB. The messages that wait in a queue share as
// much memory. 0 makes a segment without queues: see [Endpoint.Send]. As with [WithDataSize], a master makes
// the segment with it, and a slave refuses a segment that has another.
func WithQueueCapacity(bytes int) Option {
	return option(func(s *settings) { s.queueCapacity, s.queueCapacitySet = bytes, true })
}

// WithConnectTimeout sets how long a slave waits for its segment to exist: 5 s by default, 0 not at all. The context of
// [Open] may end the wait earlier.
func WithConnectTimeout(timeout time.Duration) Option {
	return option(func(s *settings) { s.connectTimeout = timeout })
}

// WithHeartbeatInterval sets how often the endpoint shows that it lives: every millisecond by default.
func WithHeartbeatInterval(interval time.Duration) Option {
	return option(func(s *settings) { s.heartbeatInterval = interval })
}

// WithStaleThreshold sets for how long the peer's heartbeat may stand still before the peer counts as [Frozen]: 100 ms
// by default. A peer whose process has ended is [Dead] after a quarter of it.
func WithStaleThreshold(threshold time.Duration) Option {
	return option(func(s *settings) { s.staleThreshold = threshold })
}

// WithPatience sets for how long calls without a deadline wait for a peer that is stale: 5 s by default, [Forever] without end,
// 0 not at all. A slave looks for another master as long as it is open.
func WithPatience(patience time.Duration) Option {
	return option(func(s *settings) { s.patience = patience })
}

// WithReconnectInterval sets how often a slave without a master looks for another one: every 100 ms by default.
func WithReconnectInterval(interval time.Duration) Option {
	return option(func(s *settings) { s.reconnectInterval = interval })
}

// WithSpin sets for how long a call that waits keeps its processor busy before it sleeps: 20 µs by default. Longer
// saves the wake-up, which takes some 30 µs, of peers that answer within that time; 0 saves the processor.
func WithSpin(spin time.Duration) Option {
	return option(func(s *settings) { s.spin = spin })
}

// WithMode sets the permissions of a segment that is made, whatever the umask: 0600 by default.
func WithMode(mode fs.FileMode) Option {
	return option(func(s *settings) { s.mode = mode })
}

// WithAnyOwner accepts a segment that belongs to neither this user nor root. Who may write to a segment can
// make its users fail: see protocol/PROTOCOL.md, "What a peer can do to you".
func WithAnyOwner() Option {
	return option(func(s *settings) { s.anyOwner = true })
}

// WithKeep leaves the segment in place when its master closes, for a later master to take over.
func WithKeep() Option {
	return option(func(s *settings) { s.keep = true })
}

// WithLogger sets who is told of peers that come and go. By default nobody is.
//
// The logger is called while no lock of this package is held, so its handler may use any endpoint, open others and close this
// one. It is called by the goroutine that beats the hearts of all endpoints of the process: one that is slow holds them up.
func WithLogger(logger *slog.Logger) Option {
	return option(func(s *settings) { s.logger = logger })
}

func newSettings(name string, options []Option) (settings, error) {
	s := settings{
		connectTimeout:    5 * time.Second,
		heartbeatInterval: time.Millisecond,
		staleThreshold:    100 * time.Millisecond,
		patience:          5 * time.Second,
		reconnectInterval: 100 * time.Millisecond,
		spin:              20 * time.Microsecond,
		mode:              0o600,
		logger:            slog.New(slog.DiscardHandler),
	}
	for _, option := range options {
		option.apply(&s)
	}
	return s, s.check(name)
}

func (s *settings) check(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if s.dataSizeSet && (s.dataSize < 1 || s.dataSize > maxDataSize) {
		return fail(ErrInvalidOption, name, nil, "data_size is %d bytes; expected 1 to %d bytes (64 MiB)", s.dataSize, maxDataSize)
	}
	if s.queueCapacity < 0 || s.queueCapacity > maxQueueCapacity {
		return fail(ErrInvalidOption, name, nil, "queue_capacity is %d bytes; expected 0 to %d bytes (64 GiB)",
			s.queueCapacity, maxQueueCapacity)
	}
	for _, one := range []struct {
		name    string
		value   time.Duration
		minimum time.Duration
	}{
		{"connect timeout", s.connectTimeout, 0},
		{"heartbeat interval", s.heartbeatInterval, time.Microsecond},
		{"stale threshold", s.staleThreshold, time.Millisecond},
		{"patience", s.patience, 0},
		{"reconnect interval", s.reconnectInterval, time.Millisecond},
		{"spin", s.spin, 0},
	} {
		if one.value < one.minimum {
			return fail(ErrInvalidOption, name, nil, "the %s is %v; expected %v or more", one.name, one.value, one.minimum)
		}
	}
	if s.mode&^fs.ModePerm != 0 {
		return fail(ErrInvalidOption, name, nil, "the mode is %v; expected permissions only", s.mode)
	}
	if s.logger == nil {
		return fail(ErrInvalidOption, name, nil, "the logger is nil; leave the option out for silence")
	}
	return nil
}

// geometry is that of a segment that is to be made.
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
