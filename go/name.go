package eshm

import (
	"fmt"
	"hash/fnv"
	"strings"

	"eshm/internal/shm"
)

// longestFileName is NAME_MAX, in bytes.
const longestFileName = 255

// address is a segment's name, and the place of its file.
type address struct {
	name   string
	path   string
	domain Domain
}

// addressOf checks a name. It must have at least 1 byte, at most what the prefix leaves of 255, and no '/', '..' or
// NUL.
func addressOf(domain Domain, name string) (address, error) {
	file, limit := domain.Prefix+name, longestFileName-len(domain.Prefix)
	wrong := ""
	switch {
	case name == "":
		wrong = "is empty"
	case len(name) > limit:
		wrong = "is too long"
	case strings.Contains(name, "\x00"):
		wrong = "contains a NUL"
	case strings.Contains(name, "/"):
		wrong = "contains '/'"
	case strings.Contains(file, ".."):
		wrong = "contains '..'"
	case file == ".":
		wrong = "is that of the directory"
	case strings.HasPrefix(name, shm.Temporary) || strings.HasPrefix(file, shm.Temporary):
		wrong = "is one of those for temporary files (" + shm.Temporary + "…)"
	default:
		return address{name, strings.TrimSuffix(domain.Directory, "/") + "/" + file, domain}, nil
	}
	// Of a name that is too long, only the beginning is quoted.
	return address{}, fail(ErrInvalidName, "", nil, "segment name %q: %s; expected 1 to %d bytes without '/', '..' or NUL",
		fmt.Sprintf("%.64s", name), wrong, limit)
}

// fifoInfix is the beginning, behind the prefix, of the names of event FIFOs. No segment has such a name.
const fifoInfix = shm.Temporary + "-bell-"

// fifoPath returns the path of the event FIFO of an endpoint: protocol/events.md.
func (a *address) fifoPath(role Role) string {
	seat := "m-"
	if role == Slave {
		seat = "s-"
	}
	return strings.TrimSuffix(a.domain.Directory, "/") + "/" + a.domain.Prefix + fifoInfix + seat + a.fifoHash()
}

// fifoHash is the part of the name of an event FIFO that stands for the segment.
func (a *address) fifoHash() string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(a.name))
	return fmt.Sprintf("%016x", hash.Sum64())
}
