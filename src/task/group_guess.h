// What a group's name of other programs, or of a paper, is called here.
#pragma once

#include <stddef.h>

// "; did you mean 'D4' (8 elements)?" for Dih4; "" if the name is not understood.
void ts_group_guess(const char *name, char *out, size_t bytes);
