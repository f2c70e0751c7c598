#include "eshm/error.hpp"

#include "eshm/options.hpp"

namespace eshm {

namespace {

/// The general text of a kind; the core's errors bring a particular one.
std::string describe(Errc code) {
    switch (code) {
    case Errc::invalid:
        return "a name, a setting, a text or a call cannot be accepted";
    case Errc::create:
        return "the segment could not be made";
    case Errc::attach:
        return "the segment or the directory could not be opened";
    case Errc::not_found:
        return "there is no segment of that name";
    case Errc::foreign:
        return "the file of that name is no usable ESHM segment";
    case Errc::remove:
        return "the segment's name could not be removed";
    case Errc::no_data:
        return "nothing new to read or receive";
    case Errc::timeout:
        return "nothing happened within the time given";
    case Errc::reconnecting:
        return "the slave searches for a master; try again";
    case Errc::peer_stale:
        return "the peer gives no sign of life any more";
    case Errc::full:
        return "the queue is full";
    case Errc::too_large:
        return "the message is longer than any that fits";
    case Errc::closed:
        return "this endpoint is closed or was moved from; open a new one";
    case Errc::seat_taken:
        return "a live process already has this role";
    case Errc::peer_closed:
        return "the peer closed its endpoint";
    case Errc::corrupt:
        return "the peer wrote something that the protocol forbids";
    case Errc::forked:
        return "this endpoint was opened before a fork; open a new one in the child";
    case Errc::displaced:
        return "the segment's file was removed, and another segment has its name";
    }
    return "unknown error " + std::to_string(static_cast<int>(code));
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
    switch (code) {
    case Errc::invalid:
        return "invalid";
    case Errc::create:
        return "create";
    case Errc::attach:
        return "attach";
    case Errc::not_found:
        return "not_found";
    case Errc::foreign:
        return "foreign";
    case Errc::remove:
        return "remove";
    case Errc::no_data:
        return "no_data";
    case Errc::timeout:
        return "timeout";
    case Errc::reconnecting:
        return "reconnecting";
    case Errc::peer_stale:
        return "peer_stale";
    case Errc::full:
        return "full";
    case Errc::too_large:
        return "too_large";
    case Errc::closed:
        return "closed";
    case Errc::seat_taken:
        return "seat_taken";
    case Errc::peer_closed:
        return "peer_closed";
    case Errc::corrupt:
        return "corrupt";
    case Errc::forked:
        return "forked";
    case Errc::displaced:
        return "displaced";
    }
    return "unknown";
}

std::string_view to_string(Role role) noexcept {
    switch (role) {
    case Role::master:
        return "master";
    case Role::slave:
        return "slave";
    case Role::automatic:
        return "auto";
    }
    return "unknown";
}

std::string_view to_string(PeerState state) noexcept {
    switch (state) {
    case PeerState::absent:
        return "absent";
    case PeerState::alive:
        return "alive";
    case PeerState::frozen:
        return "frozen";
    case PeerState::dead:
        return "dead";
    case PeerState::closed:
        return "closed";
    }
    return "unknown";
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
