package eshm

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

const (
	directoryVariable = "ESHM_DIRECTORY"
	prefixVariable    = "ESHM_PREFIX"
	longestPrefix     = 64 // bytes
)

// Domain is a place for segments: the segment "robot" is the file Directory/Prefix + "robot".
//
// Two endpoints meet if they have the same domain and the same name. Two users with different prefixes can both have a
// segment "robot". A sandbox that admits only certain names or directories can be given a domain that it admits.
//
// Endpoints without [WithDomain] use the default one: see [DefaultDomain].
type Domain struct {
	// Directory is an absolute path without NUL. It should be on a tmpfs: the system writes files on a disk out from
	// time to time, and machines do not share the memory of files on a network file system.
	Directory string
	// Prefix is the beginning of the files' names: 0 to 64 bytes of UTF-8 without '/', '..' or NUL.
	Prefix string
}

// DefaultDomain returns the domain that the environment chooses. It reads the variables ESHM_DIRECTORY and ESHM_PREFIX
// at each call. The defaults are /dev/shm and eshm_, also for a variable that is empty; they are the only domain that
// ESHM 1.x knows. It fails with [ErrInvalidDomain] if a variable has a value that is not possible.
func DefaultDomain() (Domain, error) {
	d := Domain{Directory: "/dev/shm", Prefix: "eshm_"}
	if directory := os.Getenv(directoryVariable); directory != "" {
		d.Directory = directory
	}
	if prefix := os.Getenv(prefixVariable); prefix != "" {
		d.Prefix = prefix
	}
	return d, d.check(directoryVariable, prefixVariable)
}

// check refuses what cannot be a domain. The arguments name the parts in the error.
func (d Domain) check(directory, prefix string) error {
	refuse := func(what, found, expected string) error {
		shown := fmt.Sprintf("%.200q", found)
		return fail(ErrInvalidDomain, "", nil, "domain: %s is %s; expected %s", what, shown, expected)
	}
	if !strings.HasPrefix(d.Directory, "/") || strings.Contains(d.Directory, "\x00") {
		return refuse(directory, d.Directory, "an absolute path without NUL")
	}
	if len(d.Prefix) > longestPrefix || !utf8.ValidString(d.Prefix) ||
		strings.ContainsAny(d.Prefix, "/\x00") || strings.Contains(d.Prefix, "..") {
		return refuse(prefix, d.Prefix, "0 to 64 bytes of UTF-8 without '/', '..' or NUL")
	}
	return nil
}

// checked returns the domain that the caller has given, or the default one.
func checked(given *Domain) (Domain, error) {
	if given == nil {
		return DefaultDomain()
	}
	return *given, given.check("the directory", "the prefix")
}
