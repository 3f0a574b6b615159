// The pairs of a network that is being measured, on a device (model/pair_device.h): what families take from there in
// place of going over rows. A fault sticks: further calls do nothing, and ts_device_status says what it was.
#pragma once

#include "model/pair_device.h"

typedef struct ts_device ts_device;

// calls, and what the spec points to, outlive it. is_train (n * n). Free with ts_device_close, also after a fault.
ts_status ts_device_open(const ts_pair_device *calls, const ts_pair_spec *spec, const uint8_t *is_train,
                         ts_device **device);
void ts_device_close(ts_device *device);
ts_status ts_device_status(const ts_device *device);

// A row of pairs (a, 0 ..), as ts_network.row; NaN after a fault.
void ts_device_row(ts_device *device, int a, double *h, double *outputs, double *hidden_logits);
const double *ts_device_facts(ts_device *device); // (n * n, TS_PAIR_FACTS), as long as the device; NaN after a fault

// Numbers (n * n) that follow from a pair, such as the segment that it is in; valid until the next call.
const int *ts_device_each(ts_device *device, int (*number_of)(const void *context, int a, int b), const void *context);

// As in ts_pair_device. out: 0 after a fault.
void ts_device_squares(ts_device *device, double *out);
void ts_device_sum(ts_device *device, ts_pair_values values, const int *segment, int segments, double *out);
void ts_device_turned(ts_device *device, const int *segment, int segments, const int *turn, const int *place,
                      double *out);
void ts_device_losses(ts_device *device, const ts_pair_corrections *corrections, const int *element, bool hidden,
                      double *out);
void ts_device_alone(ts_device *device, const ts_pair_corrections *corrections, const int *times, double *out);
void ts_device_changed(ts_device *device, const ts_pair_change *change,
                       double *out); // (TS_PAIR_SPLITS, TS_CHANGED_KINDS)
double ts_device_mapped(ts_device *device, int kinds, const int *kind, const double *matrix);
