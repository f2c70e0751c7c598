// The journal of a peer of the scenario `ledger`: a file that outlives its process.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

// A word of the journal. The README explains each.
enum class Word : std::size_t { intended, sent, received, released, lives, value };

// The kind of a record of the numbers `from` to `to`.
enum class Kind : std::uint64_t { doubtful = 1, missing, again, duplicate };

// Eight words, then records. A word, or a record, is one `pwrite` within a page: a SIGKILL leaves all of it
// or nothing.
class Journal {
  public:
    // Opens the journal, or begins it. Throws Broken, as do all.
    explicit Journal(const std::string& path);
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;
    ~Journal();

    [[nodiscard]] std::uint64_t operator[](Word word) const { return words_[static_cast<std::size_t>(word)]; }
    void set(Word word, std::uint64_t value);
    void record(Kind kind, std::uint64_t from, std::uint64_t to);

  private:
    void write(const void* bytes, std::size_t size, std::uint64_t offset) const;

    int file_;
    std::array<std::uint64_t, 8> words_{};
    std::uint64_t end_ = sizeof words_;
};
