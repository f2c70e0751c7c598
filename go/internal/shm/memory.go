// Package shm is the module's only door to package unsafe, to mapped memory and to the system calls behind it.
//
// It knows bytes, files and futexes, and nothing of the protocol: what lies where is said in package eshm.
package shm

import (
	"fmt"
	"unsafe"
)

// cacheLine is the alignment of segments, in bytes. Mapped memory has more.
const cacheLine = 64

// Memory is memory that is shared with other processes, or a stand-in for it on the heap.
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
// T must hold no pointers and have a layout that does not depend on the compiler: see structs.HostLayout. At panics
// when the T would not lie within the memory, or not at its alignment: offsets are checked before they get here.
func At[T any](memory Memory, offset uint64) *T {
	return &Slice[T](memory, offset, 1)[0]
}

// Slice overlays count consecutive values on the memory, on the same terms as [At].
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
	// In range and aligned, as was just checked; memory of either kind outlives the slices that are made of it,
	// because whoever unmaps it drops them first.
	return unsafe.Slice((*T)(start), count)
}
