package eshm

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"time"
)

// An Option changes what [Open] does: one of the roles [Master], [Slave] and [Auto], or what a With function returns.
// Of two options that set the same thing, the later one counts.
type Option interface {
	apply(settings *settings)
}

func (r Role) apply(s *settings) { s.role = r }

type option func(settings *settings)

func (o option) apply(s *settings) { o(s) }

const (
	// Forever is a duration without a limit, for [WithReconnectTimeout].
	Forever time.Duration = math.MaxInt64
	// Unlimited is a number without a limit, for [WithReconnectAttempts].
	Unlimited = math.MaxInt
	// DefaultDataSize is the default of [WithDataSize], in bytes.
	DefaultDataSize = 4096
	// DefaultQueueCapacity is the default of [WithQueueCapacity], in bytes.
	DefaultQueueCapacity = 256 << 10
)

// WaitStrategy says how a call waits for what is not there yet: see [WithWait].
type WaitStrategy int

const (
	// Adaptive learns from its own waits: it polls while that pays, yields the processor to whoever wants it, and
	// sleeps in the kernel otherwise. It is the default.
	Adaptive WaitStrategy = iota
	// Spin polls without a pause and never gives up its processor. It suits an endpoint with a processor of its own.
	Spin
	// SpinThenPark polls for 20 µs, and then sleeps in the kernel until the peer wakes it.
	SpinThenPark
	// Park sleeps in the kernel at once. It suits peers that are slow or that share the processor. A wake-up takes some
	// 30 µs.
	Park
)

// String returns "adaptive", "spin", "spin_then_park" or "park", and "WaitStrategy(N)" for any other number.
func (w WaitStrategy) String() string {
	return nameOf(int(w), "WaitStrategy", "adaptive", "spin", "spin_then_park", "park")
}

// MarshalText returns what [WaitStrategy.String] returns, for logs and JSON.
func (w WaitStrategy) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// Disconnect says what an endpoint does when its peer's heartbeat has stood still for the stale threshold, or its peer
// has closed: see [WithDisconnect].
type Disconnect int

const (
	// Immediately has calls without a deadline, and all calls of a slave, fail at once. A slave does not search for
	// another master.
	Immediately Disconnect = iota
	// OnTimeout has calls without a deadline fail when the reconnect timeout or the reconnect attempts are used up. A
	// slave searches for another master as long as it is open. It is the default.
	OnTimeout
	// Never has calls without a deadline wait for a stale peer without a limit.
	Never
)

// String returns "immediately", "on_timeout" or "never", and "Disconnect(N)" for any other number.
func (d Disconnect) String() string {
	return nameOf(int(d), "Disconnect", "immediately", "on_timeout", "never")
}

// MarshalText returns what [Disconnect.String] returns, for logs and JSON.
func (d Disconnect) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// nameOf returns the name with this index, or "kind(index)" where there is none.
func nameOf(index int, kind string, names ...string) string {
	if index < 0 || index >= len(names) {
		return fmt.Sprintf("%s(%d)", kind, index)
	}
	return names[index]
}

// WithDomain sets where the segment's file is. The default is what the environment says: see [DefaultDomain].
func WithDomain(domain Domain) Option {
	return option(func(s *settings) { s.domain = &domain })
}

// WithDataSize sets the size of the longest value, 1 byte to 64 MiB. The default is [DefaultDataSize]. A master creates
// the segment with it, and replaces one of another size that a dead master has left. A slave refuses a segment of
// another size.
func WithDataSize(bytes int) Option {
	return option(func(s *settings) { s.dataSize, s.dataSizeSet = bytes, true })
}

// WithQueueCapacity sets the size of the longest message, 1 byte to 64 GiB. The default is [DefaultQueueCapacity]. All
// messages that wait in a queue share that much memory. 0 creates a segment without queues: see [Endpoint.Send]. A
// master creates the segment with it, and a slave refuses another, as with [WithDataSize].
func WithQueueCapacity(bytes int) Option {
	return option(func(s *settings) { s.queueCapacity, s.queueCapacitySet = bytes, true })
}

// WithWait sets how calls wait: [Adaptive] by default.
func WithWait(strategy WaitStrategy) Option {
	return option(func(s *settings) { s.wait = strategy })
}

// WithConnectTimeout sets how long a slave waits for its segment to exist. The default is 5 s; 0 does not wait. The
// context of [Open] may end the wait earlier.
func WithConnectTimeout(timeout time.Duration) Option {
	return option(func(s *settings) { s.connectTimeout = timeout })
}

// WithHeartbeatInterval sets how often the endpoint shows that it is alive, 1 ms to 1 s and at most the stale
// threshold. The default is 1 ms.
//
// The endpoint beats every fifth time if 100 intervals fit into its own stale threshold and
// into its peer's: see [WithSteadyHeartbeat]. If the peer's stale threshold is shorter than four intervals, the
// endpoint beats four times per threshold.
func WithHeartbeatInterval(interval time.Duration) Option {
	return option(func(s *settings) { s.heartbeatInterval = interval })
}

// WithSteadyHeartbeat keeps the full heartbeat rate, as ESHM 1.x does. The default is false.
func WithSteadyHeartbeat(steady bool) Option {
	return option(func(s *settings) { s.steadyHeartbeat = steady })
}

// WithStaleThreshold sets how long the peer's heartbeat may stand still before the peer counts as [Frozen], 1 ms to 1
// h. The default is 100 ms. A peer whose process has ended is [Dead] after a quarter of it.
func WithStaleThreshold(threshold time.Duration) Option {
	return option(func(s *settings) { s.staleThreshold = threshold })
}

// WithDisconnect sets what happens when the peer is stale: [OnTimeout] by default.
func WithDisconnect(behaviour Disconnect) Option {
	return option(func(s *settings) { s.disconnect = behaviour })
}

// WithReconnectTimeout sets how long calls without a deadline wait for a stale peer. The default is 5 s; [Forever] sets
// no limit.
func WithReconnectTimeout(timeout time.Duration) Option {
	return option(func(s *settings) { s.reconnectTimeout = timeout })
}

// WithReconnectInterval sets how often a slave without a master searches for another one, 1 ms to 1 h. The default is
// 100 ms.
func WithReconnectInterval(interval time.Duration) Option {
	return option(func(s *settings) { s.reconnectInterval = interval })
}

// WithReconnectAttempts sets for how many searches for a new master a slave's calls without a deadline wait. The
// default is 50; [Unlimited] sets no limit.
func WithReconnectAttempts(attempts int) Option {
	return option(func(s *settings) { s.reconnectAttempts = attempts })
}

// WithGiveUp stops a slave's search for a master when the reconnect timeout or the reconnect attempts are used up, as
// ESHM 1.x does: calls with a deadline fail then, too, and a master that comes later is not found. The default is
// false.
func WithGiveUp(giveUp bool) Option {
	return option(func(s *settings) { s.giveUp = giveUp })
}

// WithAutoCleanup sets whether a master removes the segment's name when it closes. The default is true. A segment that
// stays is taken over by the next master.
func WithAutoCleanup(cleanup bool) Option {
	return option(func(s *settings) { s.autoCleanup = cleanup })
}

// WithBackground sets whether the process's background goroutine keeps the endpoint's heartbeat. The default is true.
//
// Without it all calls work, but the caller calls [Endpoint.UpdateHeartbeat] at least once per heartbeat interval, a
// slave does not move to a new master's segment, and a master does not notice that its name was removed.
func WithBackground(background bool) Option {
	return option(func(s *settings) { s.background = background })
}

// WithMode sets the permissions of a segment that is created, whatever the umask. The default is 0600. The owner must
// be able to read and write it.
func WithMode(mode fs.FileMode) Option {
	return option(func(s *settings) { s.mode, s.modeByUmask = mode, false })
}

// WithModeByUmask has the umask decide on the permissions of a segment that is created: 0666 without the bits of the
// umask, as most files are created, and the segments of ESHM 1.x. A takeover leaves the permissions as they are.
func WithModeByUmask() Option {
	return option(func(s *settings) { s.modeByUmask = true })
}

// WithGroup sets the group, by its number, of a segment that is created. The default is that of the process. A user can
// choose a group that they are a member of; root can choose any. It takes effect with a mode such as 0660.
func WithGroup(gid int) Option {
	return option(func(s *settings) { s.group, s.groupSet = gid, true })
}

// WithAnyOwner sets whether a segment is accepted that belongs to neither this user nor root. The default is false: its
// owner could have planted it, and can make its users fail. See protocol/PROTOCOL.md, "What a peer can do to you".
func WithAnyOwner(accept bool) Option {
	return option(func(s *settings) { s.anyOwner = accept })
}

// WithLogger sets a logger for peers that come and go. By default nothing is logged.
//
// The package calls the logger while it holds no lock, so the handler may use any endpoint, open others and close this
// one. The background goroutine, which keeps the heartbeats of all endpoints of the process, calls it: a slow handler
// delays them.
func WithLogger(logger *slog.Logger) Option {
	return option(func(s *settings) { s.logger = logger })
}
