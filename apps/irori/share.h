// The data of share/, built into the program (cmake/share.cmake): JSON texts, closed by a NUL.
#ifndef IRORI_SHARE_H
#define IRORI_SHARE_H

#include <stddef.h>

extern const char share_catalogue[], share_tiers[], share_use_cases[];
extern const size_t share_catalogue_bytes, share_tiers_bytes, share_use_cases_bytes;

#endif
