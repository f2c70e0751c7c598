// Package shm alone uses package unsafe, mapped memory and the system calls behind it.
//
// It knows bytes, files and futexes, and nothing of the protocol. Package eshm knows the layout.
package shm

import (
	"fmt"
	"unsafe"
)

// cacheLine is the alignment of segments, in bytes. Mapped memory has more.
const cacheLine = 64

// Memory is memory that is shared with other processes, or memory of the heap in its place.
type Memory []byte

// Heap returns zeroed memory of the program's own, aligned as a segment is. Tests use it in place of a mapping.
func Heap(size int) Memory {
	bytes := make([]byte, size+cacheLine)
	misaligned := int(uintptr(unsafe.Pointer(unsafe.SliceData(bytes))) % cacheLine)
	start := (cacheLine - misaligned) % cacheLine
	return Memory(bytes[start : start+size : start+size])
}

// At overlays a T on the memory.
//
// T must hold no pointers, and its layout must not depend on the compiler: see structs.HostLayout. At panics if the T
// would not be within the memory, or not aligned: callers check offsets before.
func At[T any](memory Memory, offset uint64) *T {
	return &Slice[T](memory, offset, 1)[0]
}

// Slice overlays count consecutive values on the memory, under the same conditions as [At].
func Slice[T any](memory Memory, offset uint64, count int) []T {
	var one T
	size, align := uint64(unsafe.Sizeof(one)), uint64(unsafe.Alignof(one))
	length := uint64(len(memory))
	if count < 1 || offset > length || uint64(count) > (length-offset)/size {
		panic(fmt.Sprintf("shm: %d values of %d bytes at %d exceed %d bytes", count, size, offset, length))
	}
	start := unsafe.Pointer(&memory[offset])
	if uint64(uintptr(start))%align != 0 {
		panic(fmt.Sprintf("shm: offset %d is not aligned to %d bytes", offset, align))
	}
	// In range and aligned, as was just checked. The memory outlives the slices that are made of it: its owner drops
	// them before it unmaps the memory.
	return unsafe.Slice((*T)(start), count)
}
