#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "life.h"
#include "observe.h"
#include "payload.h"

bool is(const Words* words, const char* verb) { return strcmp(words->at[0], verb) == 0; }

const char* word(const Words* words, size_t index) {
    if (index >= words->count) {
        broken("%.80s: a word is missing", words->at[0]);
    }
    return words->at[index];
}

uint64_t number(const Words* words, size_t index) {
    uint64_t number = 0;
    if (!parse_number(word(words, index), &number)) {
        broken("%.80s is no number", words->at[index]);
    }
    return number;
}

static unsigned char digit(const char* word, char digit) {
    static const char digits[] = "0123456789abcdef";
    const char* found = strchr(digits, digit);
    if (digit == '\0' || !found) {
        broken("%.80s is not hexadecimal", word);
    }
    return (unsigned char)(found - digits);
}

Bytes bytes(const Words* words, size_t index) { return decode(word(words, index)); }

Bytes decode(const char* hexadecimal) {
    Bytes result = {0};
    append_string(&result, "");
    for (const char* at = hexadecimal; *at != '-' && *at; at += 2) {
        const unsigned char byte =
            (unsigned char)(digit(hexadecimal, at[0]) << 4 | digit(hexadecimal, at[1]));
        append_bytes(&result, &byte, 1);
    }
    return result;
}

Bytes hex(const void* message, size_t size) {
    const char digits[] = "0123456789abcdef";
    const unsigned char* bytes = message;
    Bytes result = {0};
    append_string(&result, "");
    for (size_t index = 0; index < size; ++index) {
        append_bytes(&result, (const char[]){digits[bytes[index] >> 4], digits[bytes[index] & 15]}, 2);
    }
    return result;
}

bool is_name(const Bytes* name) {
    if (name->data && strlen(name->data) == name->size) {
        return true;
    }
    // No C string: what the library would be given is another name.
    Bytes line = observation("error");
    with_code(&line, "code", ESHM_ERROR_INVALID_PARAM);
    with_text(&line, "message", "a name contains a NUL");
    say(&line);
    return false;
}

void observe_opened(ESHMHandle** endpoint, ESHMHandle* opened) {
    if (*endpoint) {
        must(eshm_destroy(*endpoint));
    }
    *endpoint = opened;
    Bytes line = observation("opened");
    with_text(&line, "role", role_name(role(opened)));
    with_number(&line, "data_size", info(opened).data_size);
    say(&line);
}

static void with_hex(Bytes* line, const void* message, size_t size) {
    Bytes text = hex(message, size);
    with_text(line, "hex", text.data);
    discard(&text);
}

void observe_content(const void* message, size_t size, uint64_t skipped, uint64_t generation) {
    Bytes line = observation("message");
    with_hex(&line, message, size);
    with_number(&line, "skipped", skipped);
    with_number(&line, "generation", generation);
    say(&line);
}

// Returns the timeout of a command. It is unlimited if the command has none.
static uint32_t timeout(const Words* words, size_t index) {
    return index < words->count ? (uint32_t)number(words, index) : ESHM_TIMEOUT_INFINITE;
}

void observe_result(int code) {
    if (code == ESHM_SUCCESS) {
        observe("ok");
    } else {
        observe_error(code);
    }
}

void observe_absence(int code) {
    if (code == ESHM_ERROR_NO_DATA || code == ESHM_ERROR_TIMEOUT) {
        observe("nothing");
    } else {
        observe_error(code);
    }
}

static void answer_open(const Words* words, ESHMHandle** endpoint, const Arguments* defaults) {
    Arguments arguments = *defaults;
    Bytes name = {0};
    if (words->count > 1) {
        if (!parse_role(words->at[1], &arguments.role)) {
            broken("the role is %.80s, expected master, slave or auto", words->at[1]);
        }
        name = bytes(words, 2);
        arguments.name = name.data;
        arguments.has_size = words->count > 3;
        arguments.size = arguments.has_size ? number(words, 3) : 0;
    }
    if (words->count == 1 || is_name(&name)) {
        ESHMHandle* opened = NULL;
        const int code = open_endpoint(&arguments, &opened);
        if (code == ESHM_SUCCESS) {
            observe_opened(endpoint, opened);
        } else {
            observe_error(code);
        }
    }
    discard(&name);
}

static void answer_state(ESHMHandle* endpoint) {
    const ESHMInfo found = info(endpoint);
    Bytes line = observation("state");
    with_text(&line, "role", role_name(role(endpoint)));
    with_text(&line, "peer", peer_state_name(found.peer_state));
    with_number(&line, "generation", found.generation);
    with_number(&line, "data_size", found.data_size);
    say(&line);
}

static void answer_payload(const Words* words) {
    Bytes message = payload(number(words, 1), number(words, 2), number(words, 3));
    Bytes line = observation("payload");
    with_hex(&line, message.data, message.size);
    say(&line);
    discard(&message);
}

// Sends text with its NUL, if it is one.
static int send_text(ESHMHandle* endpoint, const Bytes* text) {
    const int code = eshm_text_length(text->data, text->size, NULL);
    return code == ESHM_SUCCESS ? eshm_send(endpoint, text->data, text->size + 1) : code;
}

// Runs the command if it sends or writes.
static bool put(const Words* words, ESHMHandle* endpoint) {
    if (is(words, "wait-peer")) {
        observe_result(eshm_wait_for_peer(endpoint, timeout(words, 1)));
        return true;
    }
    if (!is(words, "write") && !is(words, "try-send") && !is(words, "send") && !is(words, "cancel-send") &&
        !is(words, "send-text")) {
        return false;
    }
    Bytes message = bytes(words, 1);
    if (is(words, "write")) {
        observe_result(eshm_write(endpoint, message.data, message.size));
    } else if (is(words, "try-send")) {
        observe_result(eshm_send_ex(endpoint, message.data, message.size, 0));
    } else if (is(words, "send") || is(words, "cancel-send")) {
        observe_result(eshm_send_ex(endpoint, message.data, message.size, timeout(words, 2)));
    } else {
        observe_result(send_text(endpoint, &message));
    }
    discard(&message);
    return true;
}

static void answer_read(ESHMHandle* endpoint, uint32_t timeout) {
    Bytes value = {0};
    uint64_t skipped = 0;
    const int code = read_value(endpoint, timeout, &value, &skipped);
    if (code == ESHM_SUCCESS) {
        observe_content(value.data, value.size, skipped, info(endpoint).generation);
    } else {
        observe_absence(code);
    }
    discard(&value);
}

static void answer_recv(ESHMHandle* endpoint, uint32_t timeout) {
    const uint64_t skipped = info(endpoint).skipped;
    const void* lent = NULL;
    size_t size = 0;
    const int code = eshm_recv_borrow(endpoint, &lent, &size, timeout);
    if (code != ESHM_SUCCESS) {
        observe_absence(code);
        return;
    }
    Bytes message = {0};
    append_bytes(&message, lent, size);
    const ESHMInfo found = info(endpoint);
    // Released before it is reported: after the report, the segment no longer contains it.
    must(eshm_release(endpoint));
    observe_content(message.data, message.size, found.skipped - skipped, found.generation);
    discard(&message);
}

static void answer_recv_text(ESHMHandle* endpoint) {
    const void* lent = NULL;
    size_t size = 0;
    int code = eshm_recv_borrow(endpoint, &lent, &size, ESHM_TIMEOUT_INFINITE);
    if (code != ESHM_SUCCESS) {
        observe_error(code);
        return;
    }
    Bytes text = {0};
    append_bytes(&text, lent, size);
    must(eshm_release(endpoint));
    code = eshm_text_length(text.data, text.size, &size);
    if (code == ESHM_SUCCESS) {
        cut(&text, size);
        Bytes line = observation("text");
        with_text(&line, "text", text.data);
        say(&line);
    } else {
        observe_error(code);
    }
    discard(&text);
}

// Runs the command if it receives or reads.
static bool get(const Words* words, ESHMHandle* endpoint) {
    if (is(words, "try-read")) {
        answer_read(endpoint, 0);
    } else if (is(words, "read")) {
        answer_read(endpoint, timeout(words, 1));
    } else if (is(words, "try-recv")) {
        answer_recv(endpoint, 0);
    } else if (is(words, "recv") || is(words, "cancel-recv")) {
        // A call ends by its timeout, or when its endpoint is closed.
        answer_recv(endpoint, timeout(words, 1));
    } else if (is(words, "recv-text")) {
        answer_recv_text(endpoint);
    } else {
        return false;
    }
    return true;
}

static void answer_close(ESHMHandle** endpoint) {
    observe_result(*endpoint ? eshm_destroy(*endpoint) : ESHM_SUCCESS);
    *endpoint = NULL;
}

static void answer(const Words* words, ESHMHandle** endpoint, Borrows* borrows, const Arguments* arguments) {
    if (answer_life(borrows, words, endpoint)) {
        return;
    }
    if (is(words, "open")) {
        answer_open(words, endpoint, arguments);
    } else if (is(words, "close")) {
        answer_close(endpoint);
    } else if (is(words, "payload")) {
        answer_payload(words);
    } else if (!*endpoint) {
        broken("%.80s: no endpoint is open", words->at[0]);
    } else if (is(words, "state")) {
        answer_state(*endpoint);
    } else if (!put(words, *endpoint) && !get(words, *endpoint)) {
        broken("%.80s is no command", words->at[0]);
    }
}

// Appends the words of a line, and returns them.
static Words split(char* line, Bytes* list) {
    Words words = {0};
    char* rest = NULL;
    cut(list, 0);
    for (const char* word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        append_bytes(list, &word, sizeof word);
        ++words.count;
    }
    words.at = (const char**)(void*)list->data;
    return words;
}

void commands(const Arguments* arguments) {
    ESHMHandle* endpoint = NULL;
    Borrows borrows = {0};
    char* line = NULL;
    size_t capacity = 0;
    Bytes list = {0};
    append_string(&list, "");
    while (getline(&line, &capacity, stdin) > 0) {
        const Words words = split(line, &list);
        if (words.count == 0) {
            broken("a line without a command");
        }
        answer(&words, &endpoint, &borrows, arguments);
    }
    discard(&list);
    free(line);
    if (endpoint) {
        must(eshm_destroy(endpoint));
    }
}
