// Reading multiple-choice sets: a row of the table below for each shape.
#include "measure/choice.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MOST_FILE = 1 << 30 };

// ---- Putting an item together ------------------------------------------------------------------------------------
static const char *text_of(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

static bool set_context(choice_item *x, const char *fmt, ...) ERR_PRINTF(2, 3);
static bool set_context(choice_item *x, const char *fmt, ...)
{
    buf b;
    va_list ap;
    buf_init(&b);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    buf_add(&b, "", 0);
    x->context = buf_take(&b);
    return x->context != NULL;
}

static bool add_option(choice_item *x, const char *before, const char *text)
{
    buf b;
    if (!text || x->n == CHOICE_MOST)
        return false;
    buf_init(&b);
    buf_add_str(&b, before);
    buf_add_str(&b, text);
    x->option[x->n] = buf_take(&b);
    return x->option[x->n] && ++x->n;
}

static bool add_options(choice_item *x, const char *before, const json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        if (!add_option(x, before, json_string_value(v)))
            return false;
    }
    return x->n > 1;
}

// An index as a number, digits, or a letter A, B, ...
static bool set_right(choice_item *x, const json_t *label)
{
    const char *text = json_string_value(label);
    x->right = text ? (*text >= 'A' ? *text - 'A' : *text - '0') : (int)json_integer_value(label);
    return (text ? text[0] && !text[1] : json_is_integer(label)) && x->right >= 0 && x->right < x->n;
}

// ---- The shapes --------------------------------------------------------------------------------------------------
static bool jcommonsenseqa(choice_item *x, const json_t *line)
{
    const char *question = text_of(line, "question");
    if (!question || !set_context(x, "質問: %s\n答え: ", question))
        return false;
    for (int i = 0; i < 5; i++) {
        char key[16];
        snprintf(key, sizeof key, "choice%d", i);
        if (!add_option(x, "", text_of(line, key)))
            return false;
    }
    return set_right(x, json_object_get(line, "label"));
}

static bool jnli(choice_item *x, const json_t *line)
{
    static const char *const labels[] = {"entailment", "contradiction", "neutral"};
    static const char *const words[] = {"含意", "矛盾", "中立"};
    const char *first = text_of(line, "sentence1"), *second = text_of(line, "sentence2"),
               *label = text_of(line, "label");
    if (!first || !second || !label || !set_context(x, "前提: %s\n仮説: %s\n関係: ", first, second))
        return false;
    x->right = -1;
    for (int i = 0; i < 3; i++) {
        if (!add_option(x, "", words[i]))
            return false;
        if (strcmp(label, labels[i]) == 0)
            x->right = i;
    }
    return x->right >= 0;
}

static bool blimp(choice_item *x, const json_t *line)
{
    return set_context(x, "%s", "") && add_option(x, "", text_of(line, "sentence_good")) &&
           add_option(x, "", text_of(line, "sentence_bad"));
}

static bool hellaswag(choice_item *x, const json_t *line)
{
    const char *ctx = text_of(line, "ctx");
    return ctx && set_context(x, "%s", ctx) && add_options(x, " ", json_object_get(line, "endings")) &&
           set_right(x, json_object_get(line, "label"));
}

// The options stand in the question; their letters are compared.
static bool mmlu(choice_item *x, const json_t *line)
{
    const char *question = text_of(line, "question");
    const json_t *choices = json_object_get(line, "choices");
    size_t n = json_array_size(choices);
    buf b;
    buf_init(&b);
    if (!question || n < 2 || n > CHOICE_MOST)
        return false;
    buf_add_str(&b, question);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(choices, i)),
                   letter[] = {(char)('A' + (int)i), 0};
        buf_printf(&b, "\n%s. %s", letter, text ? text : "");
        if (!text || !add_option(x, " ", letter))
            b.failed = true;
    }
    bool ok = !b.failed && set_context(x, "%s\nAnswer:", b.data) &&
              set_right(x, json_object_get(line, "answer"));
    buf_done(&b);
    return ok;
}

typedef struct shape {
    const char *name, *key;  // that only this shape has
    bool (*fill)(choice_item *x, const json_t *line);
} shape;
static const shape shapes[] = {{"JCommonsenseQA", "choice0", jcommonsenseqa},
                               {"JNLI", "sentence1", jnli},
                               {"BLiMP", "sentence_good", blimp},
                               {"HellaSwag", "endings", hellaswag},
                               {"MMLU", "choices", mmlu}};

static const shape *shape_of(const json_t *line)
{
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        if (json_object_get(line, shapes[i].key))
            return &shapes[i];
    return NULL;
}

// ---- MMLU's CSV: question, options, the right one's letter ---------------------------------------------------------
// One field from *at, quotes undone; false at the end of the line.
static bool csv_field(const char **at, const char *end, buf *field)
{
    const char *p = *at;
    buf_clear(field);
    if (p >= end)
        return false;
    bool quoted = *p == '"';
    for (p += quoted; p < end && (quoted || *p != ','); p++) {
        if (quoted && *p == '"') {
            if (p + 1 >= end || p[1] != '"') {
                quoted = false;
                continue;
            }
            p++;
        }
        buf_add_char(field, *p);
    }
    *at = p < end ? p + 1 : end;
    return true;
}

// The same item as a JSON object.
static json_t *csv_line(const char *p, const char *end)
{
    json_t *line = json_object(), *choices = json_array();
    buf field;
    buf_init(&field);
    bool ok = csv_field(&p, end, &field);
    json_object_set_new(line, "question", json_stringn(field.len ? field.data : "", field.len));
    while (ok && csv_field(&p, end, &field))
        json_array_append_new(choices, json_stringn(field.len ? field.data : "", field.len));
    size_t n = json_array_size(choices);
    if (n)
        json_object_set(line, "answer", json_array_get(choices, n - 1));
    if (n)
        json_array_remove(choices, n - 1);
    json_object_set_new(line, "choices", choices);
    buf_done(&field);
    return line;
}

// Where the line ends that begins at p: line ends within quotes belong to a field.
static const char *csv_end(const char *p, const char *end)
{
    bool quoted = false;
    for (; p < end && (quoted || *p != '\n'); p++)
        quoted ^= *p == '"';
    return p;
}

// ---- Files -------------------------------------------------------------------------------------------------------
static int add_item(choice_set *s, size_t *cap, const json_t *line, const char *path, size_t number, err *e)
{
    const shape *k = shape_of(line);
    if (!k)
        return err_set(
            e, ST_FORMAT,
            "%s: line %zu is of no known set; known are JCommonsenseQA, JNLI, BLiMP, HellaSwag, MMLU", path,
            number);
    if (s->n == *cap) {
        *cap = *cap ? 2 * *cap : 256;
        choice_item *p = mem_realloc(MEM_OTHER, s->item, *cap * sizeof *p);
        if (!p)
            return err_set(e, ST_NOMEM, "%s: no memory for %zu items", path, *cap);
        s->item = p;
    }
    choice_item *x = &s->item[s->n++];
    *x = (choice_item){0};
    s->format = s->format ? s->format : k->name;
    if (strcmp(s->format, k->name) != 0)
        return err_set(e, ST_FORMAT, "%s: line %zu is of %s, those before of %s", path, number, k->name,
                       s->format);
    return k->fill(x, line)
               ? ST_OK
               : err_set(e, ST_FORMAT,
                         "%s: line %zu is no whole item of %s: a text, an option or the label is missing",
                         path, number, k->name);
}

int choice_read(choice_set *s, const char *path, err *e)
{
    char *text;
    size_t n, cap = 0, number = 0, length = strlen(path);
    bool csv = length > 4 && strcmp(path + length - 4, ".csv") == 0;
    *s = (choice_set){0};
    int rc = os_read_file(path, MOST_FILE, &text, &n, e);
    if (rc)
        return rc;
    for (const char *at = text, *end; !rc && at < text + n; at = end + 1) {
        end = csv ? csv_end(at, text + n) : memchr(at, '\n', (size_t)(text + n - at));
        end = end ? end : text + n;
        number++;
        if (end == at)
            continue;
        json_error_t why;
        json_t *line = csv ? csv_line(at, end) : json_loadb(at, (size_t)(end - at), 0, &why);
        rc = json_is_object(line) ? add_item(s, &cap, line, path, number, e)
                                  : err_set(e, ST_FORMAT, "%s: line %zu is no JSON object", path, number);
        json_decref(line);
    }
    if (!rc && s->n == 0)
        rc = err_set(e, ST_FORMAT, "%s: there is no item in it", path);
    mem_free(text);
    if (rc)
        choice_done(s);
    return rc;
}

void choice_done(choice_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        mem_free(s->item[i].context);
        for (int k = 0; k < s->item[i].n; k++)
            mem_free(s->item[i].option[k]);
    }
    mem_free(s->item);
    *s = (choice_set){0};
}
