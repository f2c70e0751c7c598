//go:build amd64 && !race

package eshm

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The compiler must keep the order of the plain stores by which a message is published: see MEMORY.md. These tests read
// the machine code that it has made.

// instruction is one of the compiler's listing, with the source line that it comes from.
type instruction struct {
	text   string // operation and operands
	source string
}

var (
	functionHead    = regexp.MustCompile(`^eshm\.(\S+) STEXT`)
	listing         = regexp.MustCompile(`^\t0x[0-9a-f]+ \d+ \((.+):(\d+)\)\t(.*)$`)
	storeToMemory   = regexp.MustCompile(`^MOV[LQ]\t[^,]+, \d*\([A-Z0-9]+\)(\([A-Z0-9]+\*\d\))?$`)
	loadsFromMemory = regexp.MustCompile(`^MOV[LQ]\t\d*\([A-Z0-9]+\)(\([A-Z0-9]+\*\d\))?, [A-Z0-9]+$`)
)

// compile returns the machine code of the package's functions.
func compile(t *testing.T) map[string][]instruction {
	t.Helper()
	output, err := exec.Command("go", "build", "-gcflags=-S", ".").CombinedOutput()
	if err != nil {
		t.Skipf("needs the Go compiler: %v", err)
	}
	sources := map[string][]string{}
	lineOf := func(path, number string) string {
		if sources[path] == nil {
			text, _ := os.ReadFile(path)
			sources[path] = strings.Split(string(text), "\n")
		}
		if line, _ := strconv.Atoi(number); line > 0 && line <= len(sources[path]) {
			return filepath.Base(path) + ": " + strings.TrimSpace(sources[path][line-1])
		}
		return ""
	}
	code, function := map[string][]instruction{}, ""
	for line := range strings.Lines(string(output)) {
		line = strings.TrimSuffix(line, "\n")
		if head := functionHead.FindStringSubmatch(line); head != nil {
			function = head[1]
		} else if found := listing.FindStringSubmatch(line); found != nil {
			code[function] = append(code[function], instruction{found[3], lineOf(found[1], found[2])})
		}
	}
	return code
}

// event names what an instruction does to shared memory, or returns "".
func (i instruction) event() string {
	stores := storeToMemory.MatchString(i.text) && !strings.Contains(i.text, "(SP)")
	switch {
	case strings.HasPrefix(i.text, "CALL\truntime.memmove"):
		return "copy"
	case strings.HasPrefix(i.text, "CALL\truntime.memclr"):
		return "clear"
	case stores && strings.Contains(i.source, "*(*uint32)(unsafe.Pointer(word)) = value"):
		return "store"
	case stores && strings.Contains(i.source, "*(*uint64)(unsafe.Pointer(word)) = value"):
		return "store64"
	case stores && strings.Contains(i.source, "slot.len = "):
		return "length"
	case loadsFromMemory.MatchString(i.text) && strings.HasPrefix(i.source, "type.go: ") && strings.Contains(i.source, "Load"):
		return "load"
	}
	return ""
}

func TestStoresKeepTheirOrderInMachineCode(t *testing.T) {
	code := compile(t)
	for function, expected := range map[string][]string{
		// The sequence becomes odd, the value, its size, the count, the sequence becomes even.
		"(*mailbox).put": {"store", "copy", "clear", "store", "store64", "store"},
		// The message, its length, its mark.
		"(*sendQueue).pushShort": {"copy", "length", "store"},
		// The length of either kind of message, the mark.
		"(*sendQueue).publish": {"length", "length", "store"},
		"(*recvQueue).release": {"store"},
	} {
		var events []string
		for _, one := range code[function] {
			if event := one.event(); event != "" && event != "load" {
				events = append(events, event)
			}
		}
		if !slices.Equal(events, expected) {
			t.Errorf("%s: %q, expected %q", function, events, expected)
		}
	}
}

// TestMailboxReaderLooksAtTheSequenceBeforeAndAfterTheCopy: a value that tears is discarded by the second look.
func TestMailboxReaderLooksAtTheSequenceBeforeAndAfterTheCopy(t *testing.T) {
	var events []string
	for _, one := range compile(t)["(*mailboxReader).take"] {
		if event := one.event(); event != "" {
			events = append(events, event)
		}
	}
	copied := slices.Index(events, "copy")
	if copied < 2 || copied+1 >= len(events) ||
		events[0] != "load" || events[copied+1] != "load" || events[len(events)-1] != "store" {
		t.Errorf("%q, expected loads, the copy, a load, and the store of what was taken", events)
	}
}
