// The scenario `commands`: one line on stdin is one call, answered by one observation.
#pragma once

#include <string>
#include <string_view>

#include "main.hpp"

// Answers commands until stdin ends, then closes the endpoint.
void commands(const Arguments& arguments);

// Hexadecimal. `-` stands for no bytes.
std::string bytes(const std::string& word);
std::string hex(std::string_view bytes);

// Observes what was opened.
void observe_opened(const Endpoint& endpoint);

// Observes a message without releasing it.
void observe_content(const eshm::Message& message);
