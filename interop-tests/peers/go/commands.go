package main

import (
	"bufio"
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

// commander answers commands, and holds the endpoint that they open.
type commander struct {
	args     *arguments
	endpoint *eshm.Endpoint
	borrows
}

// commands answers the lines of stdin until stdin ends, and closes the endpoint.
func commands(args *arguments) error {
	p := &commander{args: args}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 256<<20)
	for lines.Scan() {
		err := p.answer(strings.Split(lines.Text(), " "))
		var failure *eshm.Error
		if errors.As(err, &failure) {
			observeError(failure)
		} else if err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), p.close())
}

// answer carries a command out, and observes the result.
func (p *commander) answer(words []string) error {
	verb, rest := words[0], words[1:]
	if known, err := p.live(verb, rest); known {
		return err
	}
	switch verb {
	case "open":
		return p.open(rest)
	case "close":
		return acknowledge(p.close())
	case "payload":
		return makePayload(rest)
	}
	if p.endpoint == nil {
		return fmt.Errorf("%q: no endpoint is open", words)
	}
	switch verb {
	case "state":
		e := p.endpoint
		observe("state", "role", e.Role().String(), "peer", e.PeerState().String(),
			"generation", e.Generation(), "data_size", e.DataSize())
		return nil
	case "wait-peer":
		return acknowledge(p.timed(rest, p.endpoint.WaitForPeer))
	case "recv-text":
		return p.receiveText()
	case "try-read":
		return tell(p.endpoint.TryRead())
	case "try-recv":
		return tell(p.endpoint.TryRecv())
	case "read":
		return p.receive(rest, p.endpoint.Read)
	case "recv":
		return p.receive(rest, p.endpoint.Recv)
	default:
		return p.send(verb, rest)
	}
}

// open is the command "open" or "open ROLE NAME [SIZE]".
func (p *commander) open(rest []string) (err error) {
	role, name, size := p.args.role, p.args.name, p.args.configuredSize()
	if len(rest) > 0 {
		if role, err = parseRole(rest[0]); err != nil {
			return err
		}
		decoded, err := data(rest[1])
		if err != nil {
			return err
		}
		name, size = string(decoded), nil
		if len(rest) > 2 {
			configured, err := strconv.Atoi(rest[2])
			if err != nil {
				return err
			}
			size = &configured
		}
	}
	endpoint, err := open(role, name, size, p.args.timeout)
	if err != nil {
		return err
	}
	if err := p.close(); err != nil {
		return err
	}
	p.endpoint = endpoint
	observe("opened", "role", endpoint.Role().String(), "data_size", endpoint.DataSize())
	return nil
}

func (p *commander) close() error {
	if p.endpoint == nil {
		return nil
	}
	endpoint := p.endpoint
	p.endpoint = nil
	return endpoint.Close()
}

func makePayload(rest []string) error {
	var numbers [3]uint64
	for i := range numbers {
		number, err := strconv.ParseUint(rest[i], 10, 64)
		if err != nil {
			return err
		}
		numbers[i] = number
	}
	observe("payload", "hex", hex.EncodeToString(payload(numbers[0], numbers[1], int(numbers[2]))))
	return nil
}

func (p *commander) send(verb string, rest []string) error {
	if len(rest) == 0 {
		return fmt.Errorf("%q is no command", verb)
	}
	message, err := data(rest[0])
	if err != nil {
		return err
	}
	switch verb {
	case "write":
		err = p.endpoint.Write(message)
	case "try-send":
		err = p.endpoint.TrySend(message)
	case "send":
		err = p.timed(rest[1:], func(ctx context.Context) error { return p.endpoint.Send(ctx, message) })
	case "send-text":
		var text []byte
		if text, err = eshm.EncodeText(string(message)); err == nil {
			err = p.endpoint.Send(context.Background(), text)
		}
	default:
		err = fmt.Errorf("%q is no command", verb)
	}
	return acknowledge(err)
}

func (p *commander) receiveText() error {
	message, err := p.endpoint.Recv(context.Background())
	if err != nil {
		return err
	}
	text, err := message.Text()
	if err == nil {
		observe("text", "text", text)
	}
	return err
}

// receive observes a message, or that none came in time.
func (p *commander) receive(rest []string, receive func(context.Context) (eshm.Message, error)) error {
	var message eshm.Message
	err := p.timed(rest, func(ctx context.Context) (err error) {
		message, err = receive(ctx)
		return err
	})
	if errors.Is(err, eshm.ErrTimeout) {
		return tell(message, false, nil)
	}
	return tell(message, true, err)
}

// timed calls with the timeout that may be the last word of the command.
func (p *commander) timed(rest []string, call func(context.Context) error) error {
	if len(rest) == 0 {
		return call(context.Background())
	}
	millis, err := strconv.Atoi(rest[0])
	if err != nil {
		return err
	}
	_, err = within(time.Duration(millis)*time.Millisecond, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, call(ctx)
	})
	return err
}

// tell observes a message, or that there was none.
func tell(message eshm.Message, ok bool, err error) error {
	switch {
	case err != nil:
		return err
	case !ok:
		observe("nothing")
	default:
		observe("message", "hex", hex.EncodeToString(message.Bytes()), "skipped", message.Skipped, "generation", message.Generation)
	}
	return nil
}

func acknowledge(err error) error {
	if err == nil {
		observe("ok")
	}
	return err
}

// data decodes hexadecimal; "-" stands for no bytes at all.
func data(word string) ([]byte, error) {
	if word == "-" {
		return nil, nil
	}
	return hex.DecodeString(word)
}
