package shm

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// SameGroup is the group of [Access] that leaves a file's group as it is.
const SameGroup = -1

// Access says who may use a file.
type Access struct {
	Mode    fs.FileMode // the permissions, unless ByUmask
	ByUmask bool        // the umask decides on the permissions of a new file
	Group   int         // the number of the file's group, or SameGroup
}

// created returns the permissions that a new file is created with. The others are set when it has its group.
func (a Access) created() uint32 {
	if a.ByUmask {
		return 0o666
	}
	return 0o600
}

// SetAccess gives the file these permissions and this group, if it has others.
func (f *File) SetAccess(access Access) error {
	var stat unix.Stat_t
	if err := unix.Fstat(f.descriptor, &stat); err != nil {
		return refused("inspecting it", err)
	}
	if access.Group != SameGroup && stat.Gid != uint32(access.Group) {
		if err := unix.Fchown(f.descriptor, -1, access.Group); err != nil {
			return notGiven(access.Group, err)
		}
	}
	if access.ByUmask || stat.Mode&0o7777 == uint32(access.Mode.Perm()) {
		return nil
	}
	return refused("setting its permissions", unix.Fchmod(f.descriptor, uint32(access.Mode.Perm())))
}

// notGiven returns why a file cannot be given to a group.
func notGiven(group int, cause error) error {
	refusal := &Refusal{action: "giving it to its group", cause: cause}
	if errors.Is(cause, unix.EPERM) {
		refusal.advice = fmt.Sprintf("user %d is no member of group %d: choose a `group` of which it is one, or leave the option "+
			"out", unix.Geteuid(), group)
	}
	return refusal
}
