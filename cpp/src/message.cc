#include <algorithm>

#include "access.h"
#include "eshm/text.hpp"

namespace eshm {

Result<std::string_view> Message::try_text() const noexcept { return text::try_decode({data_.get(), size_}); }

void detail::MessageAccess::fill(Message& message, rust::Slice<const std::uint8_t> bytes,
                                 std::uint64_t skipped, std::uint64_t generation) {
    // Not make_unique, which would zero what is about to be overwritten.
    message.data_.reset(new std::byte[bytes.size()]);
    message.size_ = bytes.size();
    message.skipped_ = skipped;
    message.generation_ = generation;
    std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), message.data_.get());
}

} // namespace eshm
