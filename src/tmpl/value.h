// The values of a running template, and the heap they live on.
//
// All memory of a parse or a render comes from one arena and goes with it, so an error may leave from any depth
// by longjmp (tmpl_fail) without losing anything; functions here return no status. The values follow Python:
// text is measured in code points, mappings keep insertion order, True equals 1.
#ifndef TMPL_VALUE_H
#define TMPL_VALUE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "tmpl/tmpl.h"

typedef struct heap {
    arena arena;
    size_t limit;  // most bytes the arena may hand out
    uint64_t
        steps;   // work done so far, in units of about one operation, 16 characters walked or 64 bytes copied
    int depth;   // nesting of whatever recurses now
    int line;    // of the template, for messages; 0 = none
    void *json;  // what the JSON reader holds, released after the escape
    err *e;
    jmp_buf escape;  // where tmpl_fail goes; holds the status
} heap;

enum {
    HEAP_STEPS_MAX = 10000000,  // below a second on one core of 2020
    HEAP_DEPTH_MAX = 1000,      // within 1 MiB of stack
};

// Leave the parse or render with this status and message ("line N: " is put in front when known).
_Noreturn void tmpl_fail(heap *h, int code, const char *fmt, ...) ERR_PRINTF(3, 4);
void *tmpl_alloc(heap *h, size_t n);                   // not zeroed
void *tmpl_array(heap *h, size_t count, size_t size);  // zeroed
void tmpl_step(heap *h, size_t work);                  // counts work, fails past the bound
void tmpl_enter(heap *h);                              // one level deeper; fails past the bound
static inline void tmpl_leave(heap *h)
{
    h->depth--;
}

enum value_type {
    V_MISSING,  // no value at all: an argument not given, a variable not set
    V_UNDEF,    // Jinja's undefined
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STR,
    V_LIST,
    V_TUPLE,
    V_RANGE,  // a seq, already spelled out
    V_VIEW,   // a seq: what keys(), values(), items() give
    V_ITER,   // a seq read once: what Python's generators give
    V_DICT,
    V_NS,  // namespace(): a dict whose entries may be set
    V_LOOP,
    V_MACRO,
    V_NATIVE,  // function or bound method
};

typedef struct value value;
typedef struct str str;
typedef struct seq seq;
typedef struct dict dict;

struct value {
    uint8_t type;
    uint8_t origin;  // of numbers, booleans and None: what their digits would be
    union {
        bool b;
        int64_t i;
        double f;
        const str *s;
        seq *l;
        dict *d;
        const struct undef *u;
        struct loop *loop;
        const struct macro *macro;
        const struct native *native;
    };
};

// Text with the origin of each byte beside it. Immutable, except that a string may grow in place into the spare
// room behind it (own): the longer string is a new one over the same bytes.
struct str {
    const char *p;     // valid UTF-8, not terminated
    const uint8_t *o;  // n origins
    size_t n;
    struct strbuf *own;  // NULL: no spare room
    bool safe;           // marked by the safe or escape filter: + escapes what is joined to it
};

struct seq {
    value *v;
    size_t n, cap;
    size_t pos;              // V_ITER: how many were read already
    int64_t from, to, step;  // V_RANGE, for printing
    const char *view;        // V_VIEW: Python's name of it; a tuple of groupby: "group" (it has named fields)
};

typedef struct dict_entry {
    value key, val;
    uint64_t hash;
} dict_entry;

struct dict {
    dict_entry *e;  // in insertion order
    size_t n, cap;
    int32_t *index;  // open addressing, -1 = empty; NULL while small
    size_t n_index;
};

// Why something is undefined, for the message when it is used.
typedef struct undef {
    const char *owner;  // Python's name for what lacked it; NULL: a variable
    value key;          // the variable, attribute or index
    const char *hint;   // the whole message instead, or NULL
} undef;

typedef struct kwarg {
    const str *name;
    value v;
} kwarg;

typedef struct args {
    value *pos;
    size_t n;
    kwarg *kw;
    size_t n_kw;
} args;

struct rt;
typedef value native_fn(struct rt *r, value self, const args *a);

typedef struct native {
    const char *name;
    native_fn *fn;
    value self;
} native;

#define VAL_NONE ((value){.type = V_NONE})

static inline value val_bool(bool b)
{
    return (value){.type = V_BOOL, .b = b};
}

static inline value val_int(int64_t i)
{
    return (value){.type = V_INT, .i = i};
}

static inline value val_float(double f)
{
    return (value){.type = V_FLOAT, .f = f};
}

static inline value val_str(const str *s)
{
    return (value){.type = V_STR, .s = s};
}

static inline value val_seq(enum value_type type, seq *l)
{
    return (value){.type = (uint8_t)type, .l = l};
}

static inline value val_dict(dict *d)
{
    return (value){.type = V_DICT, .d = d};
}

static inline bool val_is_seq(value v)
{
    return v.type >= V_LIST && v.type <= V_ITER;
}

static inline bool val_is_num(value v)
{
    return v.type >= V_BOOL && v.type <= V_FLOAT;
}

// value.c
const char *tmpl_type_name(value v);  // as Python names the type
value tmpl_undef(heap *h, const char *owner, value key);
value tmpl_undef_hint(heap *h, const char *hint);
_Noreturn void tmpl_undef_fail(heap *h, value v);  // "'x' is undefined" and the like
bool tmpl_truth(value v);
bool tmpl_equal(heap *h, value a, value b);
int tmpl_order(heap *h, value a, value b, const char *op);  // <0, 0, >0; fails where Python has no order
bool tmpl_is_nan(value v);
double tmpl_to_double(value v);  // of a number

// seq.c
seq *tmpl_seq_new(heap *h, size_t cap);
void tmpl_seq_push(heap *h, seq *l, value v);
seq *tmpl_seq_of(heap *h, value v);    // everything v gives when iterated, as a new or the same seq
seq *tmpl_seq_copy(heap *h, value v);  // likewise, always a new one
bool tmpl_seq_iterable(value v);
dict *tmpl_dict_new(heap *h);
void tmpl_dict_put(heap *h, dict *d, value key, value v);
value *tmpl_dict_get(heap *h, const dict *d, value key);  // NULL when absent
value *tmpl_dict_name(heap *h, const dict *d, const char *key);
bool tmpl_dict_remove(heap *h, dict *d, value key, value *out);
bool tmpl_hashable(value v);

// text.c
const str *tmpl_text(heap *h, value v);  // str(v); undefined gives ""
const str *tmpl_repr(heap *h, value v);
size_t tmpl_float_repr(double f, char out[40]);

// json.c
const str *tmpl_json_dump(heap *h, value v, bool ascii, bool sort, const str *indent, const str *comma,
                          const str *colon);
// JSON text as a value, all of it data. Fails with `code`, naming `what`.
value tmpl_json_load(heap *h, const char *text, size_t n, int code, const char *what);

#endif
