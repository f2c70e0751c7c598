#include "journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe.h"

static void write_journal(const Journal* journal, const void* bytes, size_t size, uint64_t offset) {
    if (pwrite(journal->file, bytes, size, (off_t)offset) != (ssize_t)size) {
        broken("the journal cannot be written");
    }
}

Journal open_journal(const char* path) {
    Journal journal = {.file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), .end = sizeof journal.words};
    struct stat status;
    if (journal.file < 0 || fstat(journal.file, &status) != 0 ||
        pread(journal.file, journal.words, sizeof journal.words, 0) < 0) {
        broken("the journal %s cannot be read", path);
    }
    if ((uint64_t)status.st_size > journal.end) {
        journal.end = (uint64_t)status.st_size;
    }
    return journal;
}

void close_journal(Journal* journal) { close(journal->file); }

void set(Journal* journal, enum Word word, uint64_t value) {
    journal->words[word] = value;
    write_journal(journal, &value, sizeof value, (uint64_t)word * sizeof value);
}

void record(Journal* journal, enum Kind kind, uint64_t from, uint64_t to) {
    const uint64_t words[4] = {(uint64_t)kind, from, to, 0};
    write_journal(journal, words, sizeof words, journal->end);
    journal->end += sizeof words;
}
