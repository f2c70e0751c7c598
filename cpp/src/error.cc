#include "eshm/error.hpp"

#include <algorithm>
#include <iterator>

namespace eshm {

namespace {

/// A kind of error: its name, and the text of a failure that has no text of its own.
struct Kind {
    Errc code;
    std::string_view name;
    const char* text;
};

constexpr Kind kinds[] = {
    {Errc::invalid, "invalid", "a name, a setting, a text or a call is not acceptable"},
    {Errc::create, "create", "the segment could not be created"},
    {Errc::attach, "attach", "the segment or the directory could not be opened"},
    {Errc::not_found, "not_found", "there is no segment of that name"},
    {Errc::foreign, "foreign", "the file of that name is no usable ESHM segment"},
    {Errc::remove, "remove", "the name of the segment could not be removed"},
    {Errc::no_data, "no_data", "there is nothing new to read or receive"},
    {Errc::timeout, "timeout", "nothing happened within the time given"},
    {Errc::reconnecting, "reconnecting", "the slave searches for a master; try again"},
    {Errc::peer_stale, "peer_stale", "the heartbeat of the peer has stopped"},
    {Errc::full, "full", "the queue is full"},
    {Errc::too_large, "too_large", "the message is longer than the longest that fits"},
    {Errc::closed, "closed", "this endpoint is closed or was moved from; open a new one"},
    {Errc::seat_taken, "seat_taken", "a live process already has this role"},
    {Errc::peer_closed, "peer_closed", "the peer closed its endpoint"},
    {Errc::corrupt, "corrupt", "the peer wrote something that the protocol forbids"},
    {Errc::forked, "forked", "this endpoint was opened before a fork; open a new one in the child"},
    {Errc::displaced, "displaced", "the file of the segment was removed, and another segment has its name"},
};

/// Returns null for a number that is no kind.
const Kind* find(Errc code) noexcept {
    const auto* kind = std::find_if(std::begin(kinds), std::end(kinds),
                                    [code](const Kind& one) { return one.code == code; });
    return kind == std::end(kinds) ? nullptr : kind;
}

std::string describe(Errc code) {
    const Kind* kind = find(code);
    return kind ? kind->text : "unknown error " + std::to_string(static_cast<int>(code));
}

class Category final : public std::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "eshm"; }

    [[nodiscard]] std::string message(int code) const override { return describe(static_cast<Errc>(code)); }

    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<Errc>(code)) {
        case Errc::invalid:
            return std::errc::invalid_argument;
        case Errc::not_found:
            return std::errc::no_such_file_or_directory;
        case Errc::no_data:
        case Errc::full:
            return std::errc::resource_unavailable_try_again;
        case Errc::timeout:
        case Errc::reconnecting:
            return std::errc::timed_out;
        case Errc::too_large:
            return std::errc::message_size;
        case Errc::seat_taken:
            return std::errc::device_or_resource_busy;
        case Errc::peer_closed:
            return std::errc::broken_pipe;
        default:
            return {code, *this};
        }
    }
};

} // namespace

const std::error_category& error_category() noexcept {
    static const Category category;
    return category;
}

std::string_view to_string(Errc code) noexcept {
    const Kind* kind = find(code);
    return kind ? kind->name : "unknown";
}

Error::Error(Errc code, const std::string& text) : std::runtime_error{text}, code_{code} {}
Error::~Error() = default;

TimeoutError::TimeoutError(const std::string& text, Errc code) : Error{code, text} {}
TimeoutError::~TimeoutError() = default;

BatchError::BatchError(Errc code, const std::string& text, std::size_t sent)
    : Error{code, text}, sent_{sent} {}
BatchError::~BatchError() = default;

void BatchResult::value() const {
    if (failure_) {
        throw BatchError{failure_->code(), failure_->message(), sent_};
    }
}

std::string Failure::message() const { return text_.empty() ? describe(code_) : text_; }

void Failure::raise() const {
    if (code_ == Errc::timeout || code_ == Errc::reconnecting) {
        throw TimeoutError{message(), code_};
    }
    throw Error{code_, message()};
}

} // namespace eshm
