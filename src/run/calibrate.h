// What instances cost on this machine: cases are timed for some seconds in all, and what is known of them is carried
// over to those that were not. In processor time of one thread, so that a busy machine does not mislead; where a device
// trains, on the clock.
#pragma once

#include "run/job.h"

// cost (cases): seconds of one slot for one instance, until it is trained and measured. *timed: cases that were timed.
// Every model is, by each engine that trains it, if a step of its smallest case takes no more than some seconds.
ts_status ts_calibrate(const ts_job *job, double *cost, int *timed);
