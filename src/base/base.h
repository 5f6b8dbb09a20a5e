// The door of the base room: what every other room stands on.
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"
#include "base/utf8.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#endif
