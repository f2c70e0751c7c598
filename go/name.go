package eshm

import "strings"

const (
	folder     = "/dev/shm"
	longest    = 250 // bytes of a name: with the prefix it is a file name
	nameExpect = "expected 1 to 250 bytes without '/', '..' or NUL"
)

// path is the file behind a segment's name.
func path(name string) string { return folder + "/eshm_" + name }

func checkName(name string) error {
	wrong := ""
	switch {
	case name == "":
		wrong = "is empty"
	case len(name) > longest:
		wrong = "is longer than 250 bytes"
	case strings.Contains(name, "/"):
		wrong = "contains '/'"
	case strings.Contains(name, ".."):
		wrong = "contains '..'"
	case strings.Contains(name, "\x00"):
		wrong = "contains a NUL"
	default:
		return nil
	}
	return fail(ErrInvalidName, "", nil, "segment name %q: %s; %s", name, wrong, nameExpect)
}
