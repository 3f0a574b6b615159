// Counters and a ring of units: slots + 1 of them.
#include "run/desk.h"

#include "base/memory.h"

ts_status ts_desk_open(ts_desk *desk, int slots) {
    *desk = (ts_desk){.slots = slots, .idle = slots};
    desk->queue = ts_alloc((size_t)(slots + 1) * sizeof *desk->queue, "the units that wait for a slot");
    return desk->queue ? TS_OK : TS_ERROR_MEMORY;
}

void ts_desk_close(ts_desk *desk) {
    ts_free(desk->queue);
    desk->queue = NULL;
}

static bool ask_stopped(ts_desk *desk, ts_message_kind *kind) {
    *kind = TS_MSG_STOPPED;
    bool due = desk->idle == desk->slots && !desk->stopped;
    desk->stopped = desk->stopped || due;
    return due;
}

bool ts_desk_ask(ts_desk *desk, ts_message_kind *kind) {
    if (desk->stopping)
        return ask_stopped(desk, kind);
    if (desk->alone > 0 || desk->is_alone)
        return false;
    if (desk->urgent_out + desk->queued < desk->idle) {
        *kind = desk->ahead_out > 0 ? TS_MSG_URGENT : TS_MSG_REQUEST;
        desk->ahead_out = 0;
        desk->urgent_out++;
        return true;
    }
    *kind = TS_MSG_AHEAD;
    if (desk->idle > 0 || desk->ahead_out > 0 || desk->queued > 0 || desk->urgent_out > 0)
        return false;
    desk->ahead_out = 1;
    return true;
}

ts_status ts_desk_receive(ts_desk *desk, const ts_unit *unit) {
    if ((desk->urgent_out == 0 && desk->ahead_out == 0) || desk->queued == desk->slots + 1)
        return ts_fail(TS_ERROR_FATAL,
                       "rank 0 handed out a unit that was not asked for (%d of %d slots are idle, %d units "
                       "wait): this is a fault of the program",
                       desk->idle, desk->slots, desk->queued);
    if (desk->urgent_out > 0)
        desk->urgent_out--;
    else
        desk->ahead_out--;
    if (!desk->stopping)
        desk->queue[(desk->first + desk->queued++) % (desk->slots + 1)] = *unit;
    return TS_OK;
}

bool ts_desk_start(ts_desk *desk, ts_unit *unit) {
    if (desk->queued == 0 || desk->idle == 0 || desk->is_alone || (desk->alone > 0 && desk->idle < desk->slots))
        return false;
    *unit = desk->queue[desk->first];
    desk->first = (desk->first + 1) % (desk->slots + 1);
    desk->queued--;
    desk->idle--;
    desk->is_alone = desk->alone > 0;
    desk->alone -= desk->is_alone;
    return true;
}

bool ts_desk_drop(ts_desk *desk, const ts_unit *unit) {
    int capacity = desk->slots + 1, at = 0;
    while (at < desk->queued && !ts_unit_is(&desk->queue[(desk->first + at) % capacity], unit))
        at++;
    if (at == desk->queued)
        return false;
    desk->alone -= at < desk->alone;
    for (desk->queued--; at < desk->queued; at++)
        desk->queue[(desk->first + at) % capacity] = desk->queue[(desk->first + at + 1) % capacity];
    return true;
}

void ts_desk_finish(ts_desk *desk) {
    desk->idle++;
    desk->is_alone = false;
}

bool ts_desk_try_alone(ts_desk *desk, const ts_unit *unit) {
    bool was_alone = desk->is_alone || desk->slots == 1;
    ts_desk_finish(desk);
    if (was_alone || desk->stopping)
        return !was_alone;
    desk->first = (desk->first + desk->slots) % (desk->slots + 1);
    desk->queue[desk->first] = *unit;
    desk->queued++;
    desk->alone++;
    return true;
}

void ts_desk_stop(ts_desk *desk) {
    desk->stopping = true;
    desk->queued = desk->alone = 0;
}
