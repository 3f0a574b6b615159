// Which families of measures a sweep chooses (key `measures`), and which of them every checkpoint has.
#pragma once

#include "measure/family.h"

bool ts_family_is_losses(const ts_family *family);
bool ts_family_is_chosen(const ts_params *params, const ts_family *family); // those of losses always are
