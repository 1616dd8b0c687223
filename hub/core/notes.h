// notes.h - sentences that tell an operator what a new configuration did to what rules keep: "rule
// hourly: 12 open windows of 5 keys were dropped, for its sql has changed".
//
// Threads:   core thread.
//
// Ownership: the notes own their texts.
//
// Failure:   none: what there is no memory or room for is counted and left out.
#ifndef PIPIT_CORE_NOTES_H
#define PIPIT_CORE_NOTES_H

#include <stddef.h>
#include <stdint.h>

#define NOTES_MAX      200 // Sentences; more are counted only.
#define NOTE_BYTES_MAX 400 // Of one; longer ones are cut.

struct notes {
    char **texts;
    uint32_t count, left_out;
};

void notes_deinit(struct notes *notes); // Empty again.
void notes_add(struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
