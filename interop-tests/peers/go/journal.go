package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// The words of a journal; the README says what each means.
const (
	intended = iota
	sent
	received
	released
	lives
	lastValue
)

// What a record is about: numbers from … to.
const (
	doubtful = iota + 1
	missing
	again
	duplicate
)

const (
	journalWords = 64 // bytes
	recordLength = 32 // bytes
)

// journal is what a peer of the scenario ledger knows for certain, in a file that outlives its process: eight words,
// then records. A word, or a record, is one pwrite within a page, so that a SIGKILL leaves all of it or nothing.
type journal struct {
	file  *os.File
	words [journalWords / 8]uint64
	end   int64
}

// openJournal opens the journal, or creates it.
func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	status, err := file.Stat()
	if err != nil {
		return nil, err
	}
	found := make([]byte, journalWords)
	// Up to the words that were written. The others are zero.
	if _, err := file.ReadAt(found, 0); err != nil && err != io.EOF {
		return nil, err
	}
	j := &journal{file: file, end: max(status.Size(), journalWords)}
	for i := range j.words {
		j.words[i] = binary.NativeEndian.Uint64(found[8*i:])
	}
	return j, nil
}

func (j *journal) set(word int, value uint64) error {
	j.words[word] = value
	return j.write(binary.NativeEndian.AppendUint64(nil, value), int64(word)*8)
}

func (j *journal) record(kind, from, to uint64) error {
	bytes := make([]byte, 0, recordLength)
	for _, word := range [...]uint64{kind, from, to, 0} {
		bytes = binary.NativeEndian.AppendUint64(bytes, word)
	}
	err := j.write(bytes, j.end)
	j.end += recordLength
	return err
}

func (j *journal) write(bytes []byte, offset int64) error {
	if _, err := j.file.WriteAt(bytes, offset); err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	return nil
}
