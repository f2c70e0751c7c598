/// @file
/// `eshm::Messages`: the messages of an endpoint as a range.
#ifndef ESHM_MESSAGES_HPP
#define ESHM_MESSAGES_HPP

#include <cstddef>
#include <iterator>
#include <optional>

#include "eshm/error.hpp"
#include "eshm/message.hpp"
#include "eshm/options.hpp"

namespace eshm {

class Endpoint;

/// The messages that an endpoint receives, in order, as a range that is read once: see
/// `Endpoint::messages()`.
///
/// `begin()` receives the first message, and each increment of the iterator releases the current message and
/// receives the next one. The range holds the current message: destroying the range releases it. A loop that
/// leaves early loses no message that it has not seen.
///
/// The endpoint must not be moved or destroyed while the range is in use, and the range must not be moved
/// while an iterator of it is.
class ESHM_CPP_API Messages {
  public:
    /// An input iterator. All iterators at the end are equal.
    class Iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Message;
        using difference_type = std::ptrdiff_t;
        using pointer = Message*;
        using reference = Message&;

        /// The end.
        Iterator() noexcept = default;

        Message& operator*() const noexcept { return *messages_->current_; }
        Message* operator->() const noexcept { return &*messages_->current_; }

        Iterator& operator++() {
            messages_->advance();
            return *this;
        }
        void operator++(int) { messages_->advance(); }

        friend bool operator==(Iterator a, Iterator b) noexcept { return a.is_end() == b.is_end(); }
        friend bool operator!=(Iterator a, Iterator b) noexcept { return !(a == b); }

      private:
        friend class Messages;

        explicit Iterator(Messages& messages) noexcept : messages_{&messages} {}
        [[nodiscard]] bool is_end() const noexcept { return !messages_ || !messages_->current_; }

        Messages* messages_ = nullptr;
    };

    /// Receives the first message. Call it once.
    [[nodiscard]] Iterator begin() {
        advance();
        return Iterator{*this};
    }
    [[nodiscard]] Iterator end() noexcept { return {}; }

  private:
    friend class Endpoint;

    Messages(Endpoint& endpoint, Duration wait) noexcept : endpoint_{&endpoint}, wait_{wait} {}

    /// Releases the current message and receives the next one, if there is one.
    void advance();

    Endpoint* endpoint_;
    Duration wait_;
    std::optional<Message> current_;
};

} // namespace eshm

#endif
