package eshm

import (
	"errors"
	"testing"
)

func TestText(t *testing.T) {
	master, slave := pair(t)
	for _, text := range []string{"", "Hello from master #0", "größer als Ωmega, 日本語, 🤖"} {
		encoded, err := EncodeText(text)
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, master, string(encoded))
		message, err := slave.Recv(within(t, soon))
		if err != nil || len(message.Bytes()) != len(text)+1 {
			t.Fatalf("%d bytes, %v", len(message.Bytes()), err)
		}
		if decoded, err := message.Text(); decoded != text || err != nil {
			t.Errorf("%q %v, expected %q", decoded, err, text)
		}
	}
	if _, err := EncodeText("a\x00b"); !errors.Is(err, ErrInvalidText) {
		t.Errorf("a NUL: %v", err)
	}
	for _, wire := range []string{"a\x00b\x00", "\xff\xfe\x00", "a\x00\x00"} {
		if text, err := DecodeText([]byte(wire)); !errors.Is(err, ErrInvalidText) {
			t.Errorf("%q: %q %v", wire, text, err)
		}
	}
	if text, err := DecodeText([]byte("no terminator, and \uFFFD")); err != nil {
		t.Errorf("%q %v", text, err)
	}
}
