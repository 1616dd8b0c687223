#include "options.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

static const char help[] =
    "modem - stands between a device's serial line and a broker, and does what lines do\n"
    "\n"
    "usage: modem --broker PORT [options]\n"
    "\n"
    "A device (QEMU with -chardev socket,host=127.0.0.1,port=P,nodelay=on,reconnect=1, a program "
    "for\n"
    "simavr, or any TCP client) connects to a port that is printed; the modem dials the broker on\n"
    "127.0.0.1. One device at a time: a new connection takes the line over.\n"
    "\n"
    "  --broker PORT         of the broker\n"
    "  --listen PORT         for the device; 0, the default, asks for one\n"
    "  --control PORT|PATH   a control socket: a TCP port (0 asks for one) or a path with a slash\n"
    "  --framed              checked frames (pipit/framed.h): the device dials and hangs up by\n"
    "                        frames, and a damaged frame ends the call\n"
    "  --seed N              of all chance (default 1)\n"
    "  --verbose             a line an event on stderr\n"
    "\n"
    "Without --framed bytes pass as they are, and the device sees no carrier:\n"
    "  --dial on-byte        dial when the first byte comes (default)\n"
    "  --dial at-once        dial when the device connects, and again after a call's end\n"
    "  --redial-idle MS      after a call's end what comes is thrown away until the device has "
    "been\n"
    "                        silent so long; the next byte dials (default 100, below\n"
    "                        the 200 of pipit/uart.h)\n"
    "  --idle-hangup MS      hang up when the device has been silent so long (default: never)\n"
    "  --close-device        close the device's connection when a call ends, for TCP clients\n"
    "\n"
    "Faults, each VALUE or VALUE,up or VALUE,down (up: to the broker):\n"
    "  --delay MS            each byte comes so much later\n"
    "  --split N             at most N bytes a write, and one write a millisecond\n"
    "  --drop P              a byte vanishes with probability P (0 to 1)\n"
    "  --garble P            a bit of a byte is flipped with probability P\n"
    "  --kill-after N        each call is hung up after N bytes (with --framed: of its content)\n"
    "\n"
    "On the control socket, a line each, answered by a line 'ok ...' or 'error ...':\n"
    "  delay|split|drop|garble|kill-after VALUE [up|down|both]\n"
    "  hangup                end the call as if the network had: what is on its way is lost\n"
    "  half-open             this call keeps its sockets and passes nothing; what comes is lost.\n"
    "                        A new call is whole again; the broker keeps the old one's socket\n"
    "  stall                 pass nothing and take nothing\n"
    "  resume                end half-open and stall\n"
    "  stats                 name=value ...; of the call, and totals since the start\n"
    "  help\n"
    "\n"
    "Prints 'device=PORT control=PORT|PATH' when it listens, and ends by SIGTERM or SIGINT.\n"
    "Exit codes: 0 ended by a signal, 1 a port or path cannot be had, 2 wrong usage.\n";

enum { OPTION_FAULT = 256 };

static const struct option table[] = {
    {"broker", required_argument, NULL, 'b'},
    {"listen", required_argument, NULL, 'l'},
    {"control", required_argument, NULL, 'c'},
    {"framed", no_argument, NULL, 'f'},
    {"seed", required_argument, NULL, 's'},
    {"verbose", no_argument, NULL, 'v'},
    {"dial", required_argument, NULL, 'd'},
    {"redial-idle", required_argument, NULL, 'r'},
    {"idle-hangup", required_argument, NULL, 'i'},
    {"close-device", no_argument, NULL, 'x'},
    {"help", no_argument, NULL, 'h'},
    {"delay", required_argument, NULL, OPTION_FAULT},
    {"split", required_argument, NULL, OPTION_FAULT},
    {"drop", required_argument, NULL, OPTION_FAULT},
    {"garble", required_argument, NULL, OPTION_FAULT},
    {"kill-after", required_argument, NULL, OPTION_FAULT},
    {NULL, 0, NULL, 0},
};

static bool number(const char *name, const char *text, uint64_t min, uint64_t max,
                   uint64_t *out_value)
{
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < min || value > max) {
        fprintf(stderr, "modem: --%s takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'\n",
                name, min, max, text);
        return false;
    }
    *out_value = value;
    return true;
}

static bool take_port(const char *name, const char *text, uint64_t min, uint16_t *out_port)
{
    uint64_t value = 0;
    bool is_right = number(name, text, min, UINT16_MAX, &value);
    *out_port = (uint16_t)value;
    return is_right;
}

static bool take_ms(const char *name, const char *text, uint32_t *out_ms)
{
    uint64_t value = 0;
    bool is_right = number(name, text, 1, 3600000, &value);
    *out_ms = (uint32_t)value;
    return is_right;
}

static bool take_dial(struct options *options, const char *text)
{
    options->is_dialled_at_once = strcmp(text, "at-once") == 0;
    if (!options->is_dialled_at_once && strcmp(text, "on-byte") != 0) {
        fprintf(stderr, "modem: --dial takes on-byte or at-once, not '%s'\n", text);
        return false;
    }
    return true;
}

// "VALUE" or "VALUE,DIRECTION".
static bool take_fault(struct options *options, const char *name, char *text)
{
    char error[FAULTS_ERROR_MAX];
    char *comma = strchr(text, ',');
    if (comma != NULL) {
        *comma = '\0';
    }
    if (!faults_set(&options->up, &options->down, name, text, comma != NULL ? comma + 1 : NULL,
                    error)) {
        fprintf(stderr, "modem: --%s: %s\n", name, error);
        return false;
    }
    return true;
}

static bool take_option(struct options *options, int option, const char *name)
{
    switch (option) {
    case 'b':
        return take_port(name, optarg, 1, &options->broker);
    case 'l':
        return take_port(name, optarg, 0, &options->listen);
    case 'c':
        options->control = optarg;
        return true;
    case 'd':
        return take_dial(options, optarg);
    case 'r':
        return take_ms(name, optarg, &options->redial_idle_ms);
    case 'i':
        return take_ms(name, optarg, &options->idle_hangup_ms);
    case 's':
        return number(name, optarg, 0, UINT64_MAX, &options->seed);
    case 'f':
        options->is_framed = true;
        return true;
    case 'x':
        options->is_device_closed = true;
        return true;
    case 'v':
        options->is_verbose = true;
        return true;
    case OPTION_FAULT:
        return take_fault(options, name, optarg);
    default:
        return false; // getopt has said why.
    }
}

static bool fits_together(const struct options *options, int argc)
{
    const char *why = NULL;
    if (optind < argc) {
        why = "there are no arguments but options";
    } else if (options->broker == 0) {
        why = "--broker PORT is needed";
    } else if (options->is_framed && (options->is_dialled_at_once || options->idle_hangup_ms > 0)) {
        why = "with --framed the device dials and hangs up: no --dial at-once, no --idle-hangup";
    }
    if (why != NULL) {
        fprintf(stderr, "modem: %s; see modem --help\n", why);
    }
    return why == NULL;
}

enum options_result options_parse(struct options *options, int argc, char **argv)
{
    int index = 0, option = 0;
    *options = (struct options){.redial_idle_ms = 100, .seed = 1};
    while ((option = getopt_long(argc, argv, "h", table, &index)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return OPTIONS_HELP;
        }
        if (!take_option(options, option, table[index].name)) {
            return OPTIONS_WRONG;
        }
    }
    return fits_together(options, argc) ? OPTIONS_RUN : OPTIONS_WRONG;
}
