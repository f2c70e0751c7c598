package eshm

import (
	"context"
	"errors"
	"iter"
)

// Messages returns an iterator over the messages, which waits for each as [Endpoint.Recv] does.
//
//	for message, err := range robot.Messages(ctx) {
//		if err != nil {
//			return err
//		}
//		handle(message.Bytes())
//	}
//
// It ends
//   - without an error when the peer has closed its endpoint and all of its messages were received ([ErrPeerClosed]),
//     as long as the context has no deadline: with a deadline it waits for the next peer until then;
//   - with any other error of Recv as its last pair, the message of which is empty: such as [ErrPeerStale],
//     [ErrTimeout] at the context's deadline, context.Canceled when the context is cancelled, or [ErrClosed] when this
//     endpoint is closed;
//   - when the loop is left. No message is lost by that: the next call receives the next one.
//
// Each message belongs to the caller. The iterator can be used again, also after its end: a slave receives from its
// next master then. Several iterators share the messages as calls of Recv do.
func (e *Endpoint) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			message, err := e.Recv(ctx)
			if errors.Is(err, ErrPeerClosed) {
				return
			}
			if !yield(message, err) || err != nil {
				return
			}
		}
	}
}
