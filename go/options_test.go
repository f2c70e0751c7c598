package eshm

import (
	"context"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// extremes are durations that each option must either refuse or work with.
var extremes = []time.Duration{
	math.MinInt64, -time.Hour, -1, 0, 1, time.Microsecond, time.Millisecond - 1, time.Millisecond, time.Second,
	time.Second + 1, time.Hour, time.Hour + 1, math.MaxInt64 - 1, math.MaxInt64,
}

// atMost returns a size in bytes that an int can hold.
func atMost(size uint64) int { return int(min(size, math.MaxInt)) }

func TestOptionsHaveTheRangesOfTheCore(t *testing.T) {
	hour := time.Hour
	for _, one := range []struct {
		option      func(time.Duration) Option
		name        string
		least, most time.Duration
		expected    string
	}{
		{WithConnectTimeout, "connect_timeout", 0, math.MaxInt64, "0 or more"},
		{heartbeatWithinAnHour, "heartbeat_interval", time.Millisecond, time.Second, "1 ms to 1 s"},
		{WithStaleThreshold, "stale_threshold", time.Millisecond, hour, "1 ms to 1 h"},
		{WithReconnectTimeout, "reconnect_timeout", 1, math.MaxInt64, "more than 0, or Forever for no limit"},
		{WithReconnectInterval, "reconnect_interval", time.Millisecond, hour, "1 ms to 1 h"},
	} {
		for _, value := range extremes {
			expectOption(t, one.option(value), value >= one.least && value <= one.most,
				one.name, value.String(), one.expected)
		}
	}
	expectOption(t, WithHeartbeatInterval(101*time.Millisecond), false, "heartbeat_interval", "at most the stale_threshold")
	for _, size := range []int{math.MinInt, -1, 0, 1, maxDataSize, maxDataSize + 1, math.MaxInt} {
		expectOption(t, WithDataSize(size), size >= 1 && size <= maxDataSize, "data_size", "1 to 67108864 bytes (64 MiB)")
	}
	for _, size := range []int{math.MinInt, -1, 0, 1, atMost(maxQueueCapacity), math.MaxInt} {
		expectOption(t, WithQueueCapacity(size), size >= 0 && uint64(size) <= maxQueueCapacity,
			"queue_capacity", "0 (no queues) to 68719476736 bytes (64 GiB)")
	}
	for mode, good := range map[fs.FileMode]bool{
		0o600: true, 0o660: true, 0o666: true, 0o700: true, 0o777: true,
		0: false, 0o200: false, 0o400: false, 0o066: false, 0o1600: false, 0o4600: false,
		fs.ModeDir | 0o600: false, fs.ModeSticky | 0o600: false, math.MaxUint32: false,
	} {
		expectOption(t, WithMode(mode), good, "mode", "let the owner read and write")
		expectOption(t, option(func(s *settings) {
			WithMode(mode).apply(s)
			WithModeByUmask().apply(s)
		}), true)
	}
}

func TestOptionsHaveTheChoicesOfTheCore(t *testing.T) {
	for gid, good := range map[int]bool{
		math.MinInt: false, -1: false, 0: true, os.Getegid(): true,
		atMost(math.MaxUint32 - 1): true, atMost(math.MaxUint32): false,
	} {
		// A 32-bit int holds no number that is too great.
		expectOption(t, WithGroup(gid), good || gid == math.MaxInt32, "group", "the number of a group, 0 to 4294967294")
	}
	for _, attempts := range []int{math.MinInt, -1, 0, 1, 50, Unlimited} {
		expectOption(t, WithReconnectAttempts(attempts), attempts > 0,
			"reconnect_attempts", "1 to 4294967295, or Unlimited for no limit")
	}
	for _, strategy := range []WaitStrategy{math.MinInt, -1, Adaptive, Spin, SpinThenPark, Park, Park + 1, math.MaxInt} {
		expectOption(t, WithWait(strategy), strategy >= Adaptive && strategy <= Park,
			"wait", strategy.String(), "Adaptive, Spin, SpinThenPark or Park")
	}
	for _, behaviour := range []Disconnect{math.MinInt, -1, Immediately, OnTimeout, Never, Never + 1, math.MaxInt} {
		expectOption(t, WithDisconnect(behaviour), behaviour >= Immediately && behaviour <= Never,
			"disconnect", behaviour.String(), "Immediately, OnTimeout or Never")
	}
	for _, role := range []Role{math.MinInt, -1, Auto, Master, Slave, Slave + 1, math.MaxInt} {
		expectOption(t, role, role >= Auto && role <= Slave, "role", role.String(), "Auto, Master or Slave")
	}
	expectOption(t, WithLogger(nil), false, "logger", "nil")
	expectOption(t, WithLogger(slog.New(slog.DiscardHandler)), true)
	expectOption(t, nil, false, "option 1", "nil")
}

// heartbeatWithinAnHour sets a heartbeat interval beside the longest stale threshold, which it may not exceed.
func heartbeatWithinAnHour(interval time.Duration) Option {
	return option(func(s *settings) { s.heartbeatInterval, s.staleThreshold = interval, time.Hour })
}

// expectOption checks whether an option is accepted, and that a refusal has these parts and creates no segment.
func expectOption(t *testing.T, option Option, good bool, parts ...string) {
	t.Helper()
	name := freshName(t)
	if good {
		if _, _, err := newSettings(name, []Option{option}); err != nil {
			t.Errorf("%v is refused, and is in its range", err)
		}
		return
	}
	endpoint, err := Open(within(t, soon), name, Master, option)
	if err == nil {
		_ = endpoint.Close()
	}
	expectKind(t, strings.Join(parts, " "), err, ErrInvalidOption)
	for _, part := range append(parts, name, "expected") {
		if err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
	if _, err := os.Stat(path(name)); err == nil {
		t.Errorf("%v: a segment was made", parts)
	}
}

// TestEndpointsWorkAtTheEndsOfTheRanges: an accepted option works, and is not only stored.
func TestEndpointsWorkAtTheEndsOfTheRanges(t *testing.T) {
	for what, options := range map[string][]Option{
		"least": {WithConnectTimeout(0), WithHeartbeatInterval(time.Millisecond), WithStaleThreshold(time.Millisecond),
			WithReconnectTimeout(1), WithReconnectAttempts(1), WithReconnectInterval(time.Millisecond), WithWait(Park),
			WithDataSize(1), WithQueueCapacity(1)},
		"most": {WithConnectTimeout(math.MaxInt64), WithHeartbeatInterval(time.Second), WithStaleThreshold(time.Hour),
			WithReconnectTimeout(Forever), WithReconnectAttempts(Unlimited), WithReconnectInterval(time.Hour),
			WithWait(Spin), WithDataSize(1 << 20),
			WithQueueCapacity(1 << 20)},
	} {
		t.Run(what, func(t *testing.T) {
			master, slave := pair(t, options...)
			for range 3 {
				// With a deadline, which waits for a peer that looks frozen on a busy machine.
				mustSend(t, master, "1")
				mustRecv(t, slave, "1")
				mustSend(t, slave, "2")
				mustRecv(t, master, "2")
			}
			_, err := master.Recv(within(t, time.Millisecond))
			expectKind(t, "nothing to receive", err, ErrTimeout)
		})
	}
}

// TestExtremeArguments calls each function that takes a number, bytes or a name with the ends of their ranges.
func TestExtremeArguments(t *testing.T) {
	master, slave := pair(t, WithDataSize(8), WithQueueCapacity(64))
	without := open(t, freshName(t), Master, WithQueueCapacity(0), WithDataSize(8))
	huge := make([]byte, 1<<20)
	now := within(t, soon)
	for what, one := range map[string]struct {
		call func() error
		kind error
	}{
		"Write too long":         {func() error { return master.Write(huge) }, ErrTooLarge},
		"Write by one":           {func() error { return master.Write(huge[:9]) }, ErrTooLarge},
		"Write the longest":      {func() error { return master.Write(huge[:8]) }, nil},
		"Write nothing":          {func() error { return master.Write(nil) }, nil},
		"Send too long":          {func() error { return master.Send(now, huge) }, ErrTooLarge},
		"Send without queues":    {func() error { return without.Send(now, huge[:9]) }, ErrTooLarge},
		"TrySend by one":         {func() error { return master.TrySend(huge[:65]) }, ErrTooLarge},
		"SendMany of none":       {func() error { _, err := master.SendMany(now, nil); return err }, nil},
		"SendMany too long":      {func() error { _, err := master.SendMany(now, [][]byte{huge}); return err }, ErrTooLarge},
		"TrySendMany of none":    {func() error { _, err := master.TrySendMany(nil); return err }, nil},
		"RecvMany into none":     {func() error { _, err := slave.RecvMany(now, nil); return err }, nil},
		"BorrowMany into none":   {func() error { _, err := slave.BorrowMany(now, nil); return err }, nil},
		"Loan of less than 0":    {func() error { _, err := master.Loan(now, -1); return err }, ErrInvalidOption},
		"Loan of the least":      {func() error { _, err := master.Loan(now, math.MinInt); return err }, ErrInvalidOption},
		"Loan of the most":       {func() error { _, err := master.Loan(now, math.MaxInt); return err }, ErrTooLarge},
		"Loan without queues":    {func() error { _, err := without.Loan(now, math.MaxInt); return err }, ErrTooLarge},
		"EncodeText with a NUL":  {func() error { _, err := EncodeText("a\x00b"); return err }, ErrInvalidText},
		"EncodeText of no text":  {func() error { _, err := EncodeText("\xff"); return err }, ErrInvalidText},
		"EncodeText of nothing":  {func() error { _, err := EncodeText(""); return err }, nil},
		"DecodeText of nothing":  {func() error { _, err := DecodeText(nil); return err }, nil},
		"DecodeText of two NULs": {func() error { _, err := DecodeText([]byte{0, 0}); return err }, ErrInvalidText},
		"DecodeText of no text":  {func() error { _, err := DecodeText([]byte{0xff}); return err }, ErrInvalidText},
	} {
		if err := one.call(); one.kind == nil && err != nil {
			t.Errorf("%s: %v", what, err)
		} else if one.kind != nil {
			expectKind(t, what, err, one.kind)
		}
	}
	truncateToExtremes(t, master)
	Message{}.Release()
	for _, state := range []PeerState{math.MinInt, -1, Closed + 1, math.MaxInt} {
		if text := state.String(); !strings.HasPrefix(text, "PeerState(") {
			t.Errorf("%d: %q", int(state), text)
		}
	}
	if Code(nil) != 0 || Code(context.Canceled) != 0 {
		t.Error("errors of others have a code")
	}
}

func truncateToExtremes(t *testing.T, e *Endpoint) {
	t.Helper()
	loan, err := e.Loan(within(t, soon), 8)
	if err != nil {
		t.Fatal(err)
	}
	defer loan.Drop()
	for _, length := range []int{math.MinInt, -1, 9, math.MaxInt} {
		if loan.Truncate(length); len(loan.Bytes()) != 8 {
			t.Errorf("truncated to %d: %d bytes", length, len(loan.Bytes()))
		}
	}
	if loan.Truncate(0); len(loan.Bytes()) != 0 {
		t.Error("not truncated to 0")
	}
}
