package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"eshm"
)

// borrows are what the process has borrowed between two commands of the life test.
type borrows struct {
	held eshm.Message // received and not released, if isHeld
	loan *eshm.Loan

	isHeld bool
}

// live answers a command of the life test, and reports whether it is one.
func (p *commander) live(verb string, rest []string) (bool, error) {
	switch verb {
	case "open-with":
		return true, p.openWith(rest)
	case "leave":
		return true, p.leave()
	case "observe":
		return true, look(rest)
	case "fork":
		// A Go program cannot fork.
		observe("unsupported")
		return true, nil
	}
	if p.endpoint == nil {
		return false, nil
	}
	switch verb {
	case "send-many":
		return true, p.sendMany(rest)
	case "recv-many":
		return true, p.receiveMany(rest)
	case "cancel-recv":
		return true, p.cancelReceive(rest)
	case "cancel-send":
		return true, p.cancelSend(rest)
	case "loan":
		return true, p.lend(rest)
	case "loan-send", "loan-drop":
		return true, p.endLoan(verb)
	case "hold":
		return true, p.hold(rest)
	case "held":
		return true, p.show()
	case "release":
		p.letGo()
		return true, acknowledge(nil)
	case "exit-busy":
		p.exitBusy()
	}
	return false, nil
}

// look inspects a segment once, as an observer.
func look(rest []string) error {
	if len(rest) != 1 {
		return fmt.Errorf("observe: expected a name, found %q", rest)
	}
	name, err := data(rest[0])
	if err != nil {
		return err
	}
	observer, err := eshm.Observe(string(name))
	if err != nil {
		return acknowledge(err)
	}
	_, err = observer.View()
	return acknowledge(errors.Join(err, observer.Close()))
}

// openWith opens an endpoint with settings, key=value each.
func (p *commander) openWith(settings []string) error {
	var name string
	var options []eshm.Option
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		if key == "name" {
			decoded, err := data(value)
			if err != nil {
				return err
			}
			name = string(decoded)
			continue
		}
		parsed, err := parseSetting(key, value)
		if err != nil {
			return err
		}
		options = append(options, parsed...)
	}
	observe("opening")
	endpoint, err := eshm.Open(context.Background(), name, options...)
	if err != nil {
		return err
	}
	ready()
	p.endpoint = endpoint
	observe("opened", "role", endpoint.Role().String(), "data_size", endpoint.DataSize())
	return nil
}

func parseSetting(key, value string) ([]eshm.Option, error) {
	if key == "role" {
		role, err := parseRole(value)
		return []eshm.Option{role}, err
	}
	number, err := strconv.Atoi(value)
	if err != nil {
		return nil, err
	}
	millis := time.Duration(number) * time.Millisecond
	switch key {
	case "data_size":
		return []eshm.Option{eshm.WithDataSize(number)}, nil
	case "queue_capacity":
		return []eshm.Option{eshm.WithQueueCapacity(number)}, nil
	case "stale_ms":
		return []eshm.Option{eshm.WithStaleThreshold(millis)}, nil
	case "reconnect_timeout_ms":
		return []eshm.Option{eshm.WithReconnectTimeout(millis), eshm.WithReconnectAttempts(eshm.Unlimited)}, nil
	case "reconnect_ms":
		return []eshm.Option{eshm.WithReconnectInterval(millis)}, nil
	case "connect_ms":
		return []eshm.Option{eshm.WithConnectTimeout(millis)}, nil
	}
	return nil, fmt.Errorf("%q is no setting", key)
}

// leave gives everything back, closes, and observes how many messages were not received.
func (p *commander) leave() error {
	p.letGo()
	if p.loan != nil {
		p.loan.Drop()
		p.loan = nil
	}
	endpoint := p.endpoint
	if err := p.close(); err != nil {
		return err
	}
	observe("closed", "unreceived", endpoint.Unreceived())
	return nil
}

// sendMany sends messages at once: what there is room for if the wait is 0; "-" waits without limit.
func (p *commander) sendMany(rest []string) error {
	messages := make([][]byte, len(rest)-1)
	for i, word := range rest[1:] {
		message, err := data(word)
		if err != nil {
			return err
		}
		messages[i] = message
	}
	count, err := 0, error(nil)
	switch wait := rest[:1]; wait[0] {
	case "0":
		count, err = p.endpoint.TrySendMany(messages)
	case "-":
		count, err = p.endpoint.SendMany(context.Background(), messages)
	default:
		err = p.timed(wait, func(ctx context.Context) (err error) {
			count, err = p.endpoint.SendMany(ctx, messages)
			return err
		})
	}
	text, code := "", 0
	if err != nil {
		text, code = err.Error(), eshm.Code(err)
	}
	observe("count", "count", count, "code", code, "message", text)
	return nil
}

func (p *commander) receiveMany(rest []string) error {
	most, err := strconv.Atoi(rest[0])
	if err != nil {
		return err
	}
	batch, count := make([]eshm.Message, most), 0
	err = p.timed(rest[1:], func(ctx context.Context) (err error) {
		count, err = p.endpoint.BorrowMany(ctx, batch)
		return err
	})
	if err != nil && !errors.Is(err, eshm.ErrTimeout) {
		return err
	}
	texts := make([]string, count)
	for i, message := range batch[:count] {
		texts[i] = hex.EncodeToString(message.Bytes())
	}
	if count > 0 {
		batch[count-1].Release()
	}
	observe("messages", "hex", texts)
	return nil
}

// cancelReceive receives until another goroutine calls it off.
func (p *commander) cancelReceive(rest []string) error {
	var message eshm.Message
	err := cancelled(rest[0], func(ctx context.Context) (err error) {
		message, err = p.endpoint.Recv(ctx)
		return err
	})
	if errors.Is(err, context.Canceled) {
		return tell(message, false, nil)
	}
	return tell(message, true, err)
}

// cancelSend sends until another goroutine calls it off.
func (p *commander) cancelSend(rest []string) error {
	message, err := data(rest[0])
	if err != nil {
		return err
	}
	err = cancelled(rest[1], func(ctx context.Context) error { return p.endpoint.Send(ctx, message) })
	if errors.Is(err, context.Canceled) {
		observe("nothing")
		return nil
	}
	return acknowledge(err)
}

// cancelled calls with a context that another goroutine cancels after so many milliseconds.
func cancelled(word string, call func(context.Context) error) error {
	millis, err := strconv.Atoi(word)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer time.AfterFunc(time.Duration(millis)*time.Millisecond, cancel).Stop()
	return call(ctx)
}

// lend borrows room for a message, and fills it.
func (p *commander) lend(rest []string) error {
	content, err := data(rest[0])
	if err != nil {
		return err
	}
	return acknowledge(p.timed(rest[1:], func(ctx context.Context) error {
		loan, err := p.endpoint.Loan(ctx, len(content))
		if err != nil {
			return err
		}
		copy(loan.Bytes(), content)
		p.loan = loan
		return nil
	}))
}

// endLoan sends the loan, or gives it back.
func (p *commander) endLoan(verb string) error {
	loan := p.loan
	p.loan = nil
	if loan != nil && verb == "loan-send" {
		return acknowledge(loan.Send())
	}
	if loan != nil {
		loan.Drop()
	}
	return acknowledge(nil)
}

// hold receives a message where it lies, and keeps it there.
func (p *commander) hold(rest []string) error {
	err := p.timed(rest, func(ctx context.Context) (err error) {
		p.held, err = p.endpoint.Borrow(ctx)
		return err
	})
	if errors.Is(err, eshm.ErrTimeout) {
		observe("nothing")
		return nil
	}
	if err != nil {
		return err
	}
	p.isHeld = true
	return p.show()
}

// show observes the held message: it must not have changed.
func (p *commander) show() error {
	if !p.isHeld {
		observe("nothing")
		return nil
	}
	text := hex.EncodeToString(p.held.Bytes())
	observe("message", "hex", text, "skipped", p.held.Skipped, "generation", p.held.Generation)
	return nil
}

// letGo releases the held message, if there is one.
func (p *commander) letGo() {
	if p.isHeld {
		p.held.Release()
	}
	p.isHeld = false
}

// exitBusy leaves the process while one of its goroutines waits for a message.
func (p *commander) exitBusy() {
	begun := make(chan struct{})
	go func() {
		close(begun)
		_, _ = p.endpoint.Recv(context.Background())
	}()
	<-begun
	// Usually long enough for the call to park. Otherwise the exit only comes earlier.
	time.Sleep(3 * time.Millisecond)
	observe("ok")
	os.Exit(0)
}
