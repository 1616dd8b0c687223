// fault.h - faults that the tests plant in the core to see that they are caught; a bit mask in
// core_spec.faults. Nothing outside the tests sets them.
// Threads:   any; constant.
// Ownership: constants.
// Failure:   none.
#ifndef PIPIT_CORE_FAULT_H
#define PIPIT_CORE_FAULT_H

enum fault {
    FAULT_DEDUPE_OFF_BY_ONE = 1,   // The newest sequence of an unbroken run counts as new again.
    FAULT_SETTLE_OUTSIDE = 2,      // Settled rows are deleted before the transaction begins.
    FAULT_WINDOW_IN_MEMORY = 4,    // That a window is closed is not written to the store.
    FAULT_WORKFLOW_TIMER_KEPT = 8, // A timer that has fired is not dropped with its transition.
};

#endif
