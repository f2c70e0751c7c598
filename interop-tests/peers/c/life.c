#include "life.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "observe.h"

// Takes one setting over. False if there is none of this name, or its value is none.
static bool set_option(ESHMOptions* config, const char* key, const char* word) {
    if (strcmp(key, "role") == 0) {
        ESHMRole role;
        const bool known = parse_role(word, &role);
        config->role = known ? role : config->role;
        return known;
    }
    uint64_t value = 0;
    if (!parse_number(word, &value)) {
        return false;
    }
    if (strcmp(key, "data_size") == 0) {
        config->data_size = value;
    } else if (strcmp(key, "queue_capacity") == 0) {
        config->queue_capacity = value > 0 ? value : ESHM_NO_QUEUE;
    } else if (strcmp(key, "stale_ms") == 0) {
        config->stale_threshold_ms = (uint32_t)value;
    } else if (strcmp(key, "reconnect_timeout_ms") == 0) {
        config->reconnect_timeout_ms = (uint32_t)value;
    } else if (strcmp(key, "reconnect_ms") == 0) {
        config->reconnect_interval_ms = (uint32_t)value;
    } else if (strcmp(key, "connect_ms") == 0) {
        config->connect_timeout_ms = (uint32_t)value;
    } else {
        return false;
    }
    return true;
}

// Opens an endpoint with settings of the form `key=value`.
static void open_with(const Words* words, ESHMHandle** endpoint) {
    Bytes name = {0};
    ESHMOptions config = eshm_default_options("");
    config.reconnect_attempts = 0;
    for (size_t index = 1; index < words->count; ++index) {
        const char* setting = words->at[index];
        const char* equals = strchr(setting, '=');
        Bytes key = {0};
        append_bytes(&key, setting, equals ? (size_t)(equals - setting) : strlen(setting));
        const char* value = equals ? equals + 1 : "";
        if (strcmp(key.data, "name") == 0) {
            discard(&name);
            name = decode(value);
        } else if (!set_option(&config, key.data, value)) {
            broken("%.80s is no setting", setting);
        }
        discard(&key);
    }
    observe("opening");
    if (is_name(&name)) {
        config.name = name.data;
        ESHMHandle* opened = NULL;
        const int code = eshm_open(&config, &opened);
        if (code == ESHM_SUCCESS) {
            ready();
            observe_opened(endpoint, opened);
        } else {
            observe_error(code);
        }
    }
    discard(&name);
}

// Returns everything that is borrowed, before the endpoint is closed.
static void drop(Borrows* borrows, ESHMHandle* endpoint) {
    if (borrows->held) {
        must(eshm_release(endpoint));
    }
    if (borrows->loan) {
        must(eshm_loan_drop(endpoint));
    }
    *borrows = (Borrows){0};
}

static void leave(Borrows* borrows, ESHMHandle** endpoint) {
    uint64_t unreceived = 0;
    int code = ESHM_SUCCESS;
    if (*endpoint) {
        drop(borrows, *endpoint);
        code = eshm_close(*endpoint, &unreceived);
        *endpoint = NULL;
    }
    if (code == ESHM_SUCCESS) {
        Bytes line = observation("closed");
        with_number(&line, "unreceived", unreceived);
        say(&line);
    } else {
        observe_error(code);
    }
}

// Room for so many elements, zero-initialised. To be freed.
static void* elements(size_t count, size_t size) {
    void* room = calloc(count + 1, size);
    if (!room) {
        broken("there is no memory for %zu elements", count);
    }
    return room;
}

// Frees an array of bytes, and what they are.
static void discard_all(Bytes* all, size_t count) {
    for (size_t index = 0; index < count; ++index) {
        discard(&all[index]);
    }
    free(all);
}

// Sends a batch: the messages that fit in time. `-` waits without limit.
static void send_many(const Words* words, ESHMHandle* endpoint) {
    const uint32_t wait =
        strcmp(word(words, 1), "-") == 0 ? ESHM_TIMEOUT_INFINITE : (uint32_t)number(words, 1);
    const size_t count = words->count - 2;
    Bytes* contents = elements(count, sizeof *contents);
    ESHMBuffer* messages = elements(count, sizeof *messages);
    for (size_t index = 0; index < count; ++index) {
        contents[index] = bytes(words, index + 2);
        messages[index] = (ESHMBuffer){contents[index].data, contents[index].size};
    }
    size_t sent = 0;
    const int code = eshm_send_batch(endpoint, messages, count, &sent, wait);
    Bytes line = observation("count");
    with_number(&line, "count", sent);
    with_code(&line, "code", code);
    with_text(&line, "message", code == ESHM_SUCCESS ? "" : eshm_last_error());
    say(&line);
    free(messages);
    discard_all(contents, count);
}

// Observes the received messages, which are stored one after the other.
static void observe_messages(const char* buffer, const size_t* sizes, size_t count) {
    Bytes* texts = elements(count, sizeof *texts);
    for (size_t index = 0; index < count; ++index) {
        texts[index] = hex(buffer, sizes[index]);
        buffer += sizes[index];
    }
    Bytes line = observation("messages");
    with_texts(&line, "hex", texts, count);
    say(&line);
    discard_all(texts, count);
}

static void recv_many(const Words* words, ESHMHandle* endpoint) {
    const size_t most = number(words, 1);
    const uint32_t wait = (uint32_t)number(words, 2);
    size_t* sizes = elements(most, sizeof *sizes);
    Bytes buffer = {0};
    size_t capacity = most * info(endpoint).max_message;
    size_t count = 0;
    int code = ESHM_ERROR_BUFFER_TOO_SMALL;
    while (code == ESHM_ERROR_BUFFER_TOO_SMALL) {
        void* room = reserve(&buffer, capacity);
        code = eshm_recv_batch(endpoint, room, capacity, sizes, most, &count, wait);
        // A segment that it moves to meanwhile may have longer messages: the first one stays if it does not
        // fit.
        capacity = most * sizes[0];
    }
    if (code == ESHM_SUCCESS || code == ESHM_ERROR_NO_DATA || code == ESHM_ERROR_TIMEOUT) {
        observe_messages(buffer.data, sizes, count);
    } else {
        observe_error(code);
    }
    discard(&buffer);
    free(sizes);
}

// Opens a loan, and writes a message into it.
static void lend(Borrows* borrows, const Words* words, ESHMHandle* endpoint) {
    Bytes content = bytes(words, 1);
    void* room = NULL;
    const int code = eshm_loan(endpoint, content.size, &room, (uint32_t)number(words, 2));
    if (code == ESHM_SUCCESS) {
        memcpy(room, content.data, content.size);
        borrows->loan = true;
    }
    observe_result(code);
    discard(&content);
}

// Observes the held message. It must not have changed.
static void show(const Borrows* borrows) {
    if (borrows->held) {
        observe_content(borrows->held, borrows->size, 0, 0);
    } else {
        observe("nothing");
    }
}

// Receives a message in place, and holds it.
static void hold(Borrows* borrows, const Words* words, ESHMHandle* endpoint) {
    const int code = eshm_recv_borrow(endpoint, &borrows->held, &borrows->size, (uint32_t)number(words, 1));
    if (code == ESHM_SUCCESS) {
        show(borrows);
    } else {
        borrows->held = NULL;
        observe_absence(code);
    }
}

static void let_go(Borrows* borrows, ESHMHandle* endpoint) {
    const int code = borrows->held ? eshm_release(endpoint) : ESHM_SUCCESS;
    borrows->held = NULL;
    observe_result(code);
}

// Forks, and reports the error of the child's call.
static void use_in_child(ESHMHandle* endpoint) {
    const pid_t child = fork();
    if (child == 0) {
        exit(-eshm_recv(endpoint, NULL, 0, NULL, 0));
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        broken("the child did not exit");
    }
    Bytes line = observation("forked");
    with_code(&line, "code", -WEXITSTATUS(status));
    say(&line);
}

// An endpoint, and whether a thread has begun to use it.
typedef struct Busy {
    ESHMHandle* endpoint;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool begun;
} Busy;

static void pause_for(time_t seconds, long nanoseconds) {
    const struct timespec time = {seconds, nanoseconds};
    nanosleep(&time, NULL);
}

static void* receive(void* argument) {
    Busy* busy = argument;
    pthread_mutex_lock(&busy->lock);
    busy->begun = true;
    pthread_cond_signal(&busy->changed);
    pthread_mutex_unlock(&busy->lock);
    const void* message;
    size_t size;
    // A message may come before the exit: the model accepts both.
    (void)eshm_recv_borrow(busy->endpoint, &message, &size, ESHM_TIMEOUT_INFINITE);
    pause_for(3600, 0);
    return NULL;
}

// Exits while a thread waits for a message.
static noreturn void exit_busy(ESHMHandle* endpoint) {
    // Static: the thread uses it until the process has ended.
    static Busy busy = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    busy.endpoint = endpoint;
    pthread_t thread;
    if (pthread_create(&thread, NULL, receive, &busy) != 0) {
        broken("no thread begins");
    }
    pthread_mutex_lock(&busy.lock);
    while (!busy.begun) {
        pthread_cond_wait(&busy.changed, &busy.lock);
    }
    pthread_mutex_unlock(&busy.lock);
    // Usually long enough for the call to park. Otherwise the exit only comes earlier.
    pause_for(0, 3000000);
    observe("ok");
    exit(0);
}

// Ends the loan, whether the call succeeded or not.
static void end_loan(Borrows* borrows, int code) {
    borrows->loan = false;
    observe_result(code);
}

static bool call(Borrows* borrows, const Words* words, ESHMHandle* endpoint) {
    if (is(words, "send-many")) {
        send_many(words, endpoint);
    } else if (is(words, "recv-many")) {
        recv_many(words, endpoint);
    } else if (is(words, "loan")) {
        lend(borrows, words, endpoint);
    } else if (is(words, "loan-send")) {
        end_loan(borrows, eshm_loan_send(endpoint));
    } else if (is(words, "loan-drop")) {
        end_loan(borrows, eshm_loan_drop(endpoint));
    } else if (is(words, "hold")) {
        hold(borrows, words, endpoint);
    } else if (is(words, "held")) {
        show(borrows);
    } else if (is(words, "release")) {
        let_go(borrows, endpoint);
    } else if (is(words, "fork")) {
        use_in_child(endpoint);
    } else if (is(words, "exit-busy")) {
        exit_busy(endpoint);
    } else {
        return false;
    }
    return true;
}

// Returns whether a call releases the held message.
static bool receives(const Words* words) {
    static const char* const verbs[] = {"read",      "try-read",    "recv", "try-recv",
                                        "recv-many", "cancel-recv", "hold"};
    for (size_t index = 0; index < sizeof verbs / sizeof *verbs; ++index) {
        if (is(words, verbs[index])) {
            return true;
        }
    }
    return false;
}

bool answer_life(Borrows* borrows, const Words* words, ESHMHandle** endpoint) {
    if (is(words, "open-with")) {
        open_with(words, endpoint);
    } else if (is(words, "leave")) {
        leave(borrows, endpoint);
    } else if (is(words, "observe")) {
        // The library has no observer.
        observe("unsupported");
    } else {
        if (borrows->held && receives(words)) {
            // The library releases the held message before it receives another.
            borrows->held = NULL;
        }
        return *endpoint && call(borrows, words, *endpoint);
    }
    return true;
}
