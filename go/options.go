package eshm

import (
	"fmt"
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
	domain            *Domain // nil: the default one
	dataSize          int     // 0: what the segment has, or DefaultDataSize
	queueCapacity     int     // 0: what the segment has, or DefaultQueueCapacity; negative: no queues
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

// WithDomain sets where the segment's file is: by default where the environment says, see [DefaultDomain].
func WithDomain(domain Domain) Option {
	return option(func(s *settings) { s.domain = &domain })
}

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

// WithHeartbeatInterval sets how often the endpoint shows that it lives, 1 ms to 1 s: every millisecond by default, and not
// more than the stale threshold. With a peer whose own stale threshold is shorter than four intervals, it is a quarter of that.
func WithHeartbeatInterval(interval time.Duration) Option {
	return option(func(s *settings) { s.heartbeatInterval = interval })
}

// WithStaleThreshold sets for how long the peer's heartbeat may stand still before the peer counts as [Frozen]: 100 ms
// by default, 1 ms to 1 h. A peer whose process has ended is [Dead] after a quarter of it.
func WithStaleThreshold(threshold time.Duration) Option {
	return option(func(s *settings) { s.staleThreshold = threshold })
}

// WithPatience sets for how long calls without a deadline wait for a peer that is stale: 5 s by default, [Forever] without end,
// 0 not at all. A slave looks for another master as long as it is open.
func WithPatience(patience time.Duration) Option {
	return option(func(s *settings) { s.patience = patience })
}

// WithReconnectInterval sets how often a slave without a master looks for another one: every 100 ms by default, 1 ms to
// 1 h.
func WithReconnectInterval(interval time.Duration) Option {
	return option(func(s *settings) { s.reconnectInterval = interval })
}

// WithSpin sets for how long a call that waits keeps its processor busy before it sleeps: 20 µs by default. Longer
// saves the wake-up, which takes some 30 µs, of peers that answer within that time; 0 saves the processor.
func WithSpin(spin time.Duration) Option {
	return option(func(s *settings) { s.spin = spin })
}

// WithMode sets the permissions of a segment that is made, whatever the umask: 0600 by default. The owner must be able
// to read and write it.
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

// newSettings applies and checks the options, and finds out where the segment is.
func newSettings(name string, options []Option) (settings, address, error) {
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
	for at, option := range options {
		if option == nil {
			return s, address{}, failOption(name, fmt.Sprintf("option %d", at), "nil", "a role, or what a With function returns")
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

// durations is the range of each option that is a duration: those of the Rust core, where it has the option.
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
	{"patience", func(s *settings) time.Duration { return s.patience }, 0, Forever, "0 or more"},
	{"reconnect_interval", func(s *settings) time.Duration { return s.reconnectInterval },
		time.Millisecond, time.Hour, "1 ms to 1 h"},
	{"spin", func(s *settings) time.Duration { return s.spin }, 0, Forever, "0 or more"},
}

// check refuses a setting that is out of its range.
func (s *settings) check(name string) error {
	if s.role < Auto || s.role > Slave {
		return failOption(name, "role", s.role, "Auto, Master or Slave")
	}
	for _, one := range durations {
		if value := one.value(s); value < one.least || value > one.most {
			return failOption(name, one.name, value, one.expected)
		}
	}
	if s.dataSizeSet && (s.dataSize < 1 || s.dataSize > maxDataSize) {
		return failOption(name, "data_size", fmt.Sprintf("%d bytes", s.dataSize), "1 to 67108864 bytes (64 MiB)")
	}
	if s.queueCapacity < 0 || uint64(s.queueCapacity) > maxQueueCapacity {
		return failOption(name, "queue_capacity", fmt.Sprintf("%d bytes", s.queueCapacity),
			"0 (no queues) to 68719476736 bytes (64 GiB)")
	}
	if s.heartbeatInterval > s.staleThreshold {
		return failOption(name, "heartbeat_interval", s.heartbeatInterval, fmt.Sprintf("at most the stale_threshold (%v), since a "+
			"peer with the same one would take this endpoint for frozen", s.staleThreshold))
	}
	if s.mode&^fs.ModePerm != 0 || s.mode&0o600 != 0o600 {
		return failOption(name, "mode", fmt.Sprintf("%#o", uint32(s.mode)),
			"permission bits that let the owner read and write, such as 0600 or 0660")
	}
	if s.logger == nil {
		return failOption(name, "logger", "nil", "a logger; leave the option out for silence")
	}
	return nil
}

func failOption(segment, option string, found any, expected string) error {
	return fail(ErrInvalidOption, segment, nil, "%s is %v; expected %s", option, found, expected)
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
