package eshm

import (
	"strings"
	"unicode/utf8"
)

const textExpect = "expected UTF-8 with no NUL before its end"

// EncodeText returns text in the form in which it is sent: UTF-8 with one NUL at its end, which counts in the message's
// length. It fails with [ErrInvalidText] for text that contains a NUL or is not UTF-8.
func EncodeText(text string) ([]byte, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	return append([]byte(text), 0), nil
}

// DecodeText returns the text of a message that [EncodeText], or another language, has made. It accepts text without a
// NUL at its end.
func DecodeText(message []byte) (string, error) {
	text := strings.TrimSuffix(string(message), "\x00")
	return text, checkText(text)
}

func checkText(text string) error {
	if at := strings.IndexByte(text, 0); at >= 0 {
		return fail(ErrInvalidText, "", nil, "text contains a NUL at byte %d; %s", at, textExpect)
	}
	for at, char := range text {
		if _, width := utf8.DecodeRuneInString(text[at:]); char == utf8.RuneError && width == 1 {
			return fail(ErrInvalidText, "", nil, "text is not UTF-8 at byte %d; %s", at, textExpect)
		}
	}
	return nil
}
