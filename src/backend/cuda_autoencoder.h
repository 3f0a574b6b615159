// What tests need of the autoencoder on the GPU beyond the engine: the loss that a step saw, and kernels for shapes
// that do not fit on chip on shapes that do.
#pragma once

#include "backend/backend.h"

// Loss of the batch that the instance's last step was computed from, before that step's update.
double ts_cuda_autoencoder_loss(const void *training, int instance);

// Trainings made from now on keep at least so much off chip: 0 what has to be, 1 moments, 2 everything.
void ts_cuda_autoencoder_place(int at_least);
