#include "journal.hpp"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe.hpp"

Journal::Journal(const std::string& path) : file_{open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)} {
    struct stat status {};
    if (file_ < 0 || fstat(file_, &status) != 0 || pread(file_, words_.data(), sizeof words_, 0) < 0) {
        throw Broken{"the journal " + path + " cannot be read"};
    }
    end_ = std::max<std::uint64_t>(end_, static_cast<std::uint64_t>(status.st_size));
}

Journal::~Journal() { close(file_); }

void Journal::set(Word word, std::uint64_t value) {
    words_[static_cast<std::size_t>(word)] = value;
    write(&value, sizeof value, static_cast<std::size_t>(word) * sizeof value);
}

void Journal::record(Kind kind, std::uint64_t from, std::uint64_t to) {
    const std::array<std::uint64_t, 4> words{static_cast<std::uint64_t>(kind), from, to, 0};
    write(words.data(), sizeof words, end_);
    end_ += sizeof words;
}

void Journal::write(const void* bytes, std::size_t size, std::uint64_t offset) const {
    if (pwrite(file_, bytes, size, static_cast<off_t>(offset)) != static_cast<ssize_t>(size)) {
        throw Broken{"the journal cannot be written"};
    }
}
