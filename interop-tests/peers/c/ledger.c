#include "ledger.h"

#include <inttypes.h>
#include <string.h>

#include <poll.h>
#include <unistd.h>

#include "journal.h"
#include "observe.h"
#include "payload.h"

// How many milliseconds a turn waits for a message if it has sent one, so that a reply is due, and if it has
// not.
static const uint32_t reply_turn = 100;
static const uint32_t turn_length = 1;
// The greatest number of messages that one turn receives.
static const int most = 8;

// The state of one process.
typedef struct Ledger {
    ESHMHandle* endpoint;
    Journal* journal;
    // The greatest number received by this process. Initially the last one that was released.
    uint64_t last;
    // The process number of the peer, from its last message.
    uint64_t peer_life;
    // An ESHMPeerState, or -1: none was said yet.
    int peer_state;
    bool peer_has_ended;
    // The last value read.
    uint64_t value;
    uint64_t turn;
} Ledger;

// The greatest length of a message or value by its number: most fit into a slot, some are long.
static size_t longest(uint64_t number) {
    static const size_t lengths[] = {56, 200, 56, 3000};
    return lengths[number % 4];
}

// Checks that a message is complete, and returns its process number and its number.
static Numbered checked(const void* message, size_t size) {
    const unsigned char* bytes = message;
    uint64_t number = 0;
    for (size_t index = 0; index < 8 && index < size; ++index) {
        number |= (uint64_t)bytes[index] << (8 * index);
    }
    return check(message, size, longest(number));
}

// Returns whether stdin has a line or has ended.
static bool has_order(int wait_ms) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    return poll(&input, 1, wait_ms) > 0;
}

// Reads a line of stdin; false at its end.
static bool order(void) {
    char character = 0;
    while (read(STDIN_FILENO, &character, 1) == 1) {
        if (character == '\n') {
            return true;
        }
    }
    return false;
}

// Marks as doubtful what a killed predecessor had begun to send and not acknowledged. It is never sent again.
static void begin_life(Journal* journal) {
    if (journal->words[INTENDED] > journal->words[SENT]) {
        record(journal, DOUBTFUL, journal->words[SENT] + 1, journal->words[INTENDED]);
        set(journal, SENT, journal->words[INTENDED]);
    }
    set(journal, LIVES, journal->words[LIVES] + 1);
}

static Bytes message(const Ledger* ledger, uint64_t number) {
    return payload(ledger->journal->words[LIVES], number, longest(number));
}

static bool send_in_place(ESHMHandle* endpoint, const Bytes* message) {
    void* room = NULL;
    if (!succeeded(eshm_loan(endpoint, message->size, &room, 0))) {
        return false;
    }
    memcpy(room, message->data, message->size);
    return succeeded(eshm_loan_send(endpoint));
}

// Sends messages at once. Returns how many.
static uint64_t send_batch(ESHMHandle* endpoint, const Bytes* messages, size_t count) {
    ESHMBuffer buffers[3];
    for (size_t index = 0; index < count; ++index) {
        buffers[index] = (ESHMBuffer){messages[index].data, messages[index].size};
    }
    size_t sent = 0;
    succeeded(eshm_send_batch(endpoint, buffers, count, &sent, 0));
    return sent;
}

// Sends the next messages in one of four ways. Returns how many.
static uint64_t send_messages(Ledger* ledger) {
    ESHMHandle* endpoint = ledger->endpoint;
    const uint64_t before = ledger->journal->words[SENT];
    const size_t count = ledger->turn % 4 == 0 ? 3 : 1;
    Bytes messages[3] = {{0}};
    for (size_t index = 0; index < count; ++index) {
        messages[index] = message(ledger, before + 1 + index);
    }
    set(ledger->journal, INTENDED, before + count);
    uint64_t sent = 0;
    if (ledger->turn % 4 == 0) {
        sent = send_batch(endpoint, messages, count);
    } else if (ledger->turn % 4 == 1) {
        sent = succeeded(eshm_send_ex(endpoint, messages[0].data, messages[0].size, turn_length));
    } else if (ledger->turn % 4 == 2) {
        sent = send_in_place(endpoint, &messages[0]);
    } else {
        sent = succeeded(eshm_send_ex(endpoint, messages[0].data, messages[0].size, 0));
    }
    if (sent > 0) {
        set(ledger->journal, SENT, before + sent);
    }
    for (size_t index = 0; index < count; ++index) {
        discard(&messages[index]);
    }
    return sent;
}

// Enters a message that is not released yet.
static void take(Ledger* ledger, Numbered found) {
    Journal* journal = ledger->journal;
    const uint64_t received = journal->words[RECEIVED];
    if (found.number <= ledger->last) {
        record(journal, DUPLICATE, found.number, found.number);
    } else if (found.number <= received) {
        record(journal, AGAIN, found.number, found.number);
    } else {
        if (found.number > received + 1) {
            record(journal, MISSING, received + 1, found.number - 1);
        }
        set(journal, RECEIVED, found.number);
    }
    if (found.number > ledger->last) {
        ledger->last = found.number;
    }
}

// Reports the first message of the peer's next process.
static void heard(Ledger* ledger, Numbered message) {
    if (message.seed != ledger->peer_life) {
        ledger->peer_life = message.seed;
        Bytes line = observation("received");
        with_number(&line, "seed", message.seed);
        with_number(&line, "number", message.number);
        with_number(&line, "generation", info(ledger->endpoint).generation);
        say(&line);
    }
}

// Receives what is there, and waits for the first. Released only when it is in the journal: so one by one,
// since eshm_recv_batch releases what it copies.
static void receive_messages(Ledger* ledger, uint32_t wait) {
    for (int count = 0; count < most; ++count) {
        const void* lent = NULL;
        size_t size = 0;
        if (!came(eshm_recv_borrow(ledger->endpoint, &lent, &size, wait))) {
            return;
        }
        Numbered found = {0};
        if (size > 0) {
            found = checked(lent, size);
            take(ledger, found);
        }
        must(eshm_release(ledger->endpoint));
        set(ledger->journal, RELEASED, ledger->journal->words[RECEIVED]);
        if (size > 0) {
            heard(ledger, found);
        } else {
            ledger->peer_has_ended = true;
        }
        wait = 0;
    }
}

// Reports the peer state if it has changed.
static void say_peer_state(Ledger* ledger) {
    const enum ESHMPeerState state = info(ledger->endpoint).peer_state;
    if (ledger->peer_state != (int)state) {
        ledger->peer_state = (int)state;
        Bytes line = observation("peer");
        with_text(&line, "state", peer_state_name(state));
        say(&line);
    }
}

static void write_value(Ledger* ledger) {
    const uint64_t number = ledger->journal->words[VALUE] + 1;
    set(ledger->journal, VALUE, number);
    Bytes value = message(ledger, number);
    succeeded(eshm_write(ledger->endpoint, value.data, value.size));
    discard(&value);
}

// Reads the peer's value, if there is one. It must be complete and newer than the last one.
static void take_value(Ledger* ledger, uint32_t wait) {
    Bytes value = {0};
    uint64_t skipped = 0;
    if (came(read_value(ledger->endpoint, wait, &value, &skipped))) {
        const uint64_t found = checked(value.data, value.size).number;
        if (found <= ledger->value) {
            broken("value %" PRIu64 " came after %" PRIu64, found, ledger->value);
        }
        ledger->value = found;
    }
    discard(&value);
}

// Takes turns until both sides have sent their end.
static void take_turns(Ledger* ledger) {
    bool stopping = false;
    bool end_sent = false;
    ledger->peer_has_ended = false;
    while (!end_sent || !ledger->peer_has_ended) {
        say_peer_state(ledger);
        write_value(ledger);
        stopping = stopping || has_order(0);
        uint64_t sent = 0;
        if (!stopping) {
            sent = send_messages(ledger);
        } else if (!end_sent) {
            end_sent = succeeded(eshm_send_ex(ledger->endpoint, NULL, 0, 0));
        }
        // Only every second turn, so that the peer may wait for a value meanwhile.
        const bool answer_is_due = sent > 0 && !ledger->peer_has_ended && ledger->turn % 2 == 0;
        receive_messages(ledger, answer_is_due ? reply_turn : turn_length);
        take_value(ledger, 0);
        if (ledger->turn % 16 == 0) {
            take_value(ledger, 5 * turn_length);
        }
        ++ledger->turn;
    }
}

// Takes turns, and waits for an order. Whether to go on after that.
static bool stream_messages(Ledger* ledger) {
    take_turns(ledger);
    order();
    Bytes line = observation("done");
    with_number(&line, "sent", ledger->journal->words[SENT]);
    with_number(&line, "received", ledger->journal->words[RECEIVED]);
    say(&line);
    while (!has_order((int)turn_length)) {
        say_peer_state(ledger);
    }
    return order();
}

void ledger(const Arguments* arguments) {
    Journal journal = open_journal(arguments->journal);
    begin_life(&journal);
    ESHMHandle* endpoint = NULL;
    must(open_endpoint(arguments, &endpoint));
    Ledger share = {
        .endpoint = endpoint, .journal = &journal, .last = journal.words[RELEASED], .peer_state = -1};
    while (stream_messages(&share)) {
    }
    must(eshm_destroy(endpoint));
    close_journal(&journal);
}
