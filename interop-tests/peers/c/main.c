// The C peer of the conformance kit. `interop-tests/README.md` says what each scenario does.
#include "main.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "flood.h"
#include "ledger.h"
#include "observe.h"
#include "traffic.h"

typedef void (*Traffic)(ESHMHandle*, const Arguments*);

// The scenario of this name, or NULL.
static Traffic traffic(const char* scenario) {
    static const struct {
        const char* name;
        Traffic run;
    } scenarios[] = {
        {"echo", echo},
        {"latest-value", latest_value},
        {"both-directions", both_directions},
        {"flood", flood},
        {"stream", stream},
    };
    for (size_t index = 0; index < sizeof scenarios / sizeof *scenarios; ++index) {
        if (strcmp(scenario, scenarios[index].name) == 0) {
            return scenarios[index].run;
        }
    }
    return NULL;
}

static bool is_scenario(const char* word) {
    return strcmp(word, "commands") == 0 || strcmp(word, "ledger") == 0 || traffic(word) != NULL;
}

// Takes an option with its value. False if there is no such option, or the value is no number.
static bool parse_option(const char* option, const char* word, Arguments* arguments) {
    if (strcmp(option, "--journal") == 0) {
        arguments->journal = word;
        return true;
    }
    uint64_t value = 0;
    if (!parse_number(word, &value)) {
        return false;
    }
    if (strcmp(option, "--count") == 0) {
        arguments->count = value;
    } else if (strcmp(option, "--size") == 0) {
        arguments->has_size = true;
        arguments->size = value;
    } else if (strcmp(option, "--timeout-ms") == 0) {
        arguments->timeout = (uint32_t)value;
    } else if (strcmp(option, "--seed") == 0) {
        arguments->seed = value;
    } else if (strcmp(option, "--queue") == 0) {
        arguments->queue = value;
    } else {
        return false;
    }
    return true;
}

// False when the command line is not one; then it says why.
static bool parse(int count, char** words, Arguments* arguments) {
    if (count < 4 || count % 2 != 0) {
        fprintf(stderr, "expected a role, a name and a scenario, then options with values\n");
        return false;
    }
    if (!parse_role(words[1], &arguments->role)) {
        fprintf(stderr, "the role is %s, expected master, slave or auto\n", words[1]);
        return false;
    }
    if (!is_scenario(words[3])) {
        fprintf(stderr, "there is no scenario %s\n", words[3]);
        return false;
    }
    arguments->name = words[2];
    arguments->scenario = words[3];
    for (int index = 4; index < count; index += 2) {
        if (!parse_option(words[index], words[index + 1], arguments)) {
            fprintf(stderr, "%s %s is no option with its value\n", words[index], words[index + 1]);
            return false;
        }
    }
    return true;
}

static void run(const Arguments* arguments) {
    if (strcmp(arguments->scenario, "commands") == 0) {
        commands(arguments);
        return;
    }
    if (strcmp(arguments->scenario, "ledger") == 0) {
        ledger(arguments);
        return;
    }
    ESHMHandle* endpoint = NULL;
    must(open_endpoint(arguments, &endpoint));
    traffic(arguments->scenario)(endpoint, arguments);
    must(eshm_destroy(endpoint));
}

bool parse_role(const char* word, ESHMRole* role) {
    static const char* const names[] = {"master", "slave", "auto"};
    for (int index = 0; index < 3; ++index) {
        if (strcmp(word, names[index]) == 0) {
            *role = (ESHMRole)index;
            return true;
        }
    }
    return false;
}

bool parse_number(const char* word, uint64_t* number) {
    char* end = NULL;
    errno = 0;
    *number = strtoull(word, &end, 10);
    return errno == 0 && *word >= '0' && *word <= '9' && *end == '\0';
}

int open_endpoint(const Arguments* arguments, ESHMHandle** endpoint) {
    observe("opening");
    ESHMOptions config = eshm_default_options(arguments->name);
    config.role = arguments->role;
    config.connect_timeout_ms = arguments->timeout;
    config.data_size = arguments->size;
    config.queue_capacity = arguments->queue;
    int code = ESHM_SUCCESS;
    if (arguments->has_size && arguments->size == 0) {
        // In ESHMOptions that is "what is there": only this call takes it for a size.
        ESHMConfig sized = eshm_default_config(arguments->name);
        sized.role = arguments->role;
        *endpoint = eshm_init_sized(&sized, 0);
        code = *endpoint ? ESHM_SUCCESS : eshm_last_error_code();
    } else {
        code = eshm_open(&config, endpoint);
    }
    if (code == ESHM_SUCCESS) {
        ready();
    }
    return code;
}

void observe_error(int code) {
    Bytes line = observation("error");
    with_code(&line, "code", code);
    with_text(&line, "message", eshm_last_error());
    say(&line);
}

void must(int code) {
    if (code != ESHM_SUCCESS) {
        observe_error(code);
        exit(1);
    }
}

bool succeeded(int code) {
    if (code == ESHM_ERROR_BUFFER_FULL || code == ESHM_ERROR_TIMEOUT) {
        return false;
    }
    must(code);
    return true;
}

bool came(int code) {
    if (code == ESHM_ERROR_NO_DATA || code == ESHM_ERROR_TIMEOUT) {
        return false;
    }
    must(code);
    return true;
}

int read_value(ESHMHandle* endpoint, uint32_t timeout, Bytes* value, uint64_t* skipped) {
    const ESHMInfo before = info(endpoint);
    size_t size = 0;
    value->size = 0;
    const int code =
        eshm_read_ex(endpoint, reserve(value, before.data_size), before.data_size, &size, timeout);
    cut(value, size);
    *skipped = info(endpoint).skipped - before.skipped;
    return code;
}

ESHMInfo info(ESHMHandle* endpoint) {
    ESHMInfo info = {.struct_size = sizeof info};
    must(eshm_get_info(endpoint, &info));
    return info;
}

ESHMRole role(ESHMHandle* endpoint) {
    ESHMRole role;
    must(eshm_get_role(endpoint, &role));
    return role;
}

const char* role_name(ESHMRole role) { return role == ESHM_ROLE_MASTER ? "master" : "slave"; }

const char* peer_state_name(enum ESHMPeerState state) {
    static const char* const names[] = {"absent", "alive", "frozen", "dead", "closed"};
    return names[state];
}

int main(int count, char** words) {
    Arguments arguments = {.count = 1000, .timeout = 10000, .seed = 1, .journal = ""};
    if (!parse(count, words, &arguments)) {
        fprintf(stderr,
                "usage: %s master|slave|auto NAME SCENARIO "
                "[--count N] [--size BYTES] [--timeout-ms T] [--seed S] [--queue BYTES] "
                "[--journal FILE]\n",
                words[0]);
        return 2;
    }
    run(&arguments);
    return 0;
}
