package shm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// piece is how many bytes are reserved at a time. That takes about 10 ms.
	piece = 16 << 20
	// least is how many bytes are reserved at a time where signals interrupt. That takes some 50 µs.
	least = 64 << 10
)

const reserving = "reserving its memory"

// Reserve makes sure that the first size bytes have memory, so that a full file system is an error here and not a
// SIGBUS later. A size that exceeds a limit, for which the system would end the process, is an error that gives both
// numbers.
//
// The tmpfs of older kernels undoes a reservation that a signal interrupts. So it is done in pieces, smaller ones if
// need be, until the context is done. What was reserved before an error goes with the file, if that has no name.
func (f *File) Reserve(ctx context.Context, directory string, size uint64) error {
	if err := f.affordable(directory, size); err != nil {
		return err
	}
	return inPieces(ctx, size, func(start, length int64) error {
		err := unix.Fallocate(f.descriptor, 0, start, length)
		if f.created && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)) {
			// A file system, or a sandbox, that does not support reservations.
			return f.writeZeros(start, length)
		}
		return err
	})
}

// writeZeros writes zeros into a part of a file that no other process knows yet.
func (f *File) writeZeros(start, length int64) error {
	zeros := make([]byte, min(length, 1<<20))
	for end := start + length; start < end; {
		n, err := unix.Pwrite(f.descriptor, zeros[:min(end-start, int64(len(zeros)))], start)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		start += int64(max(n, 0))
	}
	return nil
}

// inPieces reserves one piece after the other.
func inPieces(ctx context.Context, size uint64, reserve func(start, length int64) error) error {
	length := uint64(piece)
	for start := uint64(0); start < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := min(length, size-start)
		switch err := reserve(int64(start), int64(part)); {
		case err == nil:
			start += part
		case errors.Is(err, unix.EINTR):
			length = max(part/2, least)
		default:
			return refused(reserving, err)
		}
	}
	return nil
}

// affordable compares a size with what the process and the machine may still use.
func (f *File) affordable(directory string, size uint64) error {
	var stat unix.Stat_t
	if err := unix.Fstat(f.descriptor, &stat); err != nil {
		return refused("inspecting it", err)
	}
	if size > math.MaxInt {
		return &Refusal{reserving, unix.ENOMEM, fmt.Sprintf("%d bytes are needed, and the address space of this 32-bit "+
			"process has fewer: choose a smaller queue capacity", size)}
	}
	// The kernel would send a signal that ends the process.
	if limit, known := limitOf(unix.RLIMIT_FSIZE); known && size > limit && size > uint64(stat.Size) {
		return &Refusal{reserving, unix.EFBIG, fmt.Sprintf("the file size limit of this process (ulimit -f) is %d bytes, and "+
			"%d are needed: raise it", limit, size)}
	}
	if limit, known := limitOf(unix.RLIMIT_AS); known && size > limit-min(limit, addressSpaceUsed()) {
		return addressSpaceRefusal(reserving, size, limit)
	}
	// Blocks have 512 bytes, whatever the file system is.
	needed := size - min(size, uint64(stat.Blocks)*512)
	var system unix.Statfs_t
	if err := unix.Fstatfs(f.descriptor, &system); err != nil {
		return refused("inspecting its file system", err)
	}
	// A tmpfs without a limit reports no blocks.
	if free := system.Bavail * uint64(system.Bsize); system.Blocks > 0 && needed > free {
		return &Refusal{reserving, unix.ENOSPC, fmt.Sprintf("%s is full: %d bytes are needed, and %d are free: remove segments "+
			"that nobody uses, choose a smaller data size, or mount it larger (containers: --shm-size)", directory, needed, free)}
	}
	if !inMemory(&system) {
		return nil
	}
	if left, whose, known := memoryLeft("/", thisMachine(), needed); known && needed > left {
		return &Refusal{reserving, unix.ENOMEM, fmt.Sprintf("%d bytes are needed, and %s has %d left: end other programs, choose a "+
			"smaller data size, or raise the limit", needed, whose, left)}
	}
	return nil
}

// inMemory tells whether files of this file system are memory.
func inMemory(system *unix.Statfs_t) bool {
	kind := uint32(system.Type)
	return kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC
}

// limitOf returns a limit of the process, if it has one.
func limitOf(resource int) (limit uint64, known bool) {
	var found unix.Rlimit
	if unix.Getrlimit(resource, &found) != nil || found.Cur == math.MaxUint64 {
		return 0, false
	}
	return found.Cur, true
}

// addressSpaceUsed returns how many bytes this process has mapped; 0 without /proc.
func addressSpaceUsed() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _, _ := strings.Cut(string(text), " ")
	used, err := strconv.ParseUint(pages, 10, 64)
	if err != nil {
		return 0
	}
	return used * uint64(os.Getpagesize())
}

func addressSpaceRefusal(action string, size, limit uint64) error {
	return &Refusal{action, unix.ENOMEM, fmt.Sprintf("%d bytes are needed, and the address space limit of this process "+
		"(ulimit -v) is %d, of which %d are used: raise it", size, limit, addressSpaceUsed())}
}

// Map maps the first size bytes, which the file must have.
func (f *File) Map(size uint64) (Memory, error) {
	if size > math.MaxInt {
		return nil, &Refusal{"mapping it", unix.ENOMEM, fmt.Sprintf("%d bytes exceed the address space of a 32-bit process", size)}
	}
	memory, err := unix.Mmap(f.descriptor, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == nil {
		f.memory = memory
		return f.memory, nil
	}
	if limit, known := limitOf(unix.RLIMIT_AS); known && errors.Is(err, unix.ENOMEM) {
		return nil, addressSpaceRefusal("mapping it", size, limit)
	}
	return nil, refused("mapping it", err)
}

// Unlink removes a name.
func Unlink(path string) error {
	if err := unix.Unlink(path); err != nil {
		return notRemoved(path, err)
	}
	return nil
}
