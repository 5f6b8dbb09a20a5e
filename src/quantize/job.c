// The work itself: choose types, lay the file out, encode what is not there yet.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "quantize/own.h"

enum {
    BAND = 4 << 20,  // bytes encoded between two writes
    // Of everything that decides what the encoders give; raise it when they change, so that a result is never half of one
    // and half of the other.
    ENCODERS = 1,
};

typedef struct job {
    const quantize_options *o;
    gguf *g;
    quantize_imatrix imatrix;
    quantize_rows rows;
    int *types;  // [tensors]
    gguf_writer *w;
    quantize_output out;
    bool has_output;
    uint64_t done, total;
    quantize_report report;
} job;

static void note(const quantize_options *o, const char *fmt, ...) ERR_PRINTF(2, 3);
static void note(const quantize_options *o, const char *fmt, ...)
{
    char line[256];
    va_list ap;
    if (!o->note)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    o->note(o->ctx, line);
}

static const char *type_name(int type)
{
    return quant_type_info(type)->name;
}

static int check_source(job *j, const char *in, const char *out, err *e)
{
    os_file_id a, b;
    if (os_get_file_id(in, &a) && os_get_file_id(out, &b) && a.device == b.device && a.inode == b.inode)
        return err_set(e, ST_INVALID, "%s: the result would overwrite its source; give another name", out);
    uint64_t columns = 1, quantized = 0;
    for (size_t i = 0; i < gguf_tensor_count(j->g); i++) {
        const gguf_tensor *t = gguf_tensor_at(j->g, i);
        columns = MAX(columns, t->dims[0]);
        quantized += quant_type_info(t->type)->block_elems > 1;
        if (quantize_takes(t) && !quant_type_info(t->type)->decode)
            return err_set(e, ST_UNSUPPORTED, "%s: tensor %s has type %s, which irori does not read", in,
                           t->name, type_name(t->type));
    }
    if (gguf_tensor_count(j->g) == 0)
        return err_set(e, ST_FORMAT, "%s: no tensors in it", in);
    if (quantized)
        note(j->o, "%" PRIu64 " tensors are quantized already; what that lost stays lost", quantized);
    return quantize_rows_new(&j->rows, j->o->threads, columns, e);
}

// Types of all tensors; those that the row length does not allow fall back.
static int choose_types(job *j, err *e)
{
    size_t n = gguf_tensor_count(j->g);
    j->types = mem_calloc(MEM_OTHER, n, sizeof *j->types);
    if (!j->types)
        return err_set(e, ST_NOMEM, "no memory for %zu tensors", n);
    if (j->o->mix) {
        quantize_mix_types(j->o->mix, j->g, j->imatrix.file != NULL, j->types);
    } else {
        int rc = quantize_budget(j->g, &j->imatrix, &j->rows, j->o, j->types, e);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = gguf_tensor_at(j->g, i);
        if (j->types[i] == t->type)
            continue;
        int fits = quantize_fallback(j->types[i], t->dims[0]);
        if (fits != j->types[i]) {
            note(j->o, "%s: rows of %" PRIu64 " values do not divide into %s; %s instead", t->name,
                 t->dims[0], type_name(j->types[i]), type_name(fits));
            j->report.fallbacks++;
        }
        j->types[i] = fits;
    }
    return ST_OK;
}

static uint32_t file_type(const job *j)
{
    if (j->o->mix)
        return quantize_mix_file_type(j->o->mix);
    uint64_t bytes[QT_COUNT] = {0};
    int most = QT_F32;
    for (size_t i = 0; i < gguf_tensor_count(j->g); i++) {
        const gguf_tensor *t = gguf_tensor_at(j->g, i);
        bytes[j->types[i]] += quant_row_bytes(j->types[i], t->dims[0]) * quantize_row_count(t);
        if (bytes[j->types[i]] > bytes[most])
            most = j->types[i];
    }
    static const char *const named[] = {"Q2_K", "Q3_K_S", "Q4_K_S", "Q5_K_S"};
    for (size_t i = 0; i < COUNT_OF(named); i++)
        if (quant_type_from_name(type_name(most)) == QT_Q2_K + (int)i)
            return quantize_mix_file_type(quantize_mix_find(named[i]));
    const quantize_mix *m = quantize_mix_find(type_name(most));
    return m ? quantize_mix_file_type(m) : 0;
}

static void copy_keys(job *j)
{
    for (size_t i = 0; i < gguf_key_count(j->g); i++) {
        const char *key = gguf_key_at(j->g, i, NULL);
        // What the new file says itself, and what was true of the old one's parts.
        if (strcmp(key, "general.file_type") != 0 && strcmp(key, "general.quantization_version") != 0 &&
            strcmp(key, "general.alignment") != 0 && strncmp(key, "split.", 6) != 0 &&
            strncmp(key, "quantize.imatrix.", 17) != 0)
            gguf_writer_copy(j->w, j->g, i);
    }
    gguf_writer_u32(j->w, "general.file_type", file_type(j));
    gguf_writer_u32(j->w, "general.quantization_version", 2);
    if (j->imatrix.file) {
        const char *path = gguf_path(j->imatrix.file), *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        gguf_writer_str(j->w, "quantize.imatrix.file", name, strlen(name));
    }
}

static int open_output(job *j, const char *in, const char *out, err *e)
{
    if (gguf_writer_new(&j->w))
        return err_set(e, ST_NOMEM, "%s: no memory", out);
    copy_keys(j);
    for (size_t i = 0; i < gguf_tensor_count(j->g); i++) {
        const gguf_tensor *t = gguf_tensor_at(j->g, i);
        gguf_writer_tensor(j->w, t->name, j->types[i], t->n_dims, t->dims, NULL, NULL);
        j->total += quant_row_bytes(j->types[i], t->dims[0]) * quantize_row_count(t);
    }
    buf head;
    buf_init(&head);
    int rc = gguf_writer_head(j->w, &head, &j->report.bytes_out, e);
    os_file_id id = {0};
    os_get_file_id(in, &id);
    uint64_t of[4] = {gguf_model_hash(j->g), id.modified, j->imatrix.hash, ENCODERS};
    if (!rc)
        rc = quantize_output_open(&j->out, out, &head, j->report.bytes_out, hash_bytes(of, sizeof of),
                                  gguf_tensor_count(j->g), e);
    j->has_output = j->out.partial != NULL;
    buf_done(&head);
    return rc;
}

static int step(job *j, uint64_t bytes, err *e)
{
    j->done += bytes;
    if (j->o->progress && !j->o->progress(j->o->ctx, j->done, j->total))
        return err_set(e, ST_CANCELED, "stopped; the same command goes on from there");
    return ST_OK;
}

static int encode_tensor(job *j, size_t i, uint8_t *band, size_t band_rows, const float *means, err *e)
{
    const gguf_tensor *t = gguf_tensor_at(j->g, i);
    uint64_t rows = quantize_row_count(t), at = gguf_writer_offset(j->w, i), hash = 0;
    size_t row = quant_row_bytes(j->types[i], t->dims[0]);
    int rc = ST_OK;
    for (uint64_t first = 0; !rc && first < rows; first += band_rows) {
        size_t n = (size_t)MIN(rows - first, band_rows), bytes = n * row;
        quantize_rows_encode(&j->rows, t, means, j->types[i], first, n, band);
        rc = quantize_output_write(&j->out, at + first * row, band, bytes, e);
        hash = hash_combine(hash, band, bytes);
        if (!rc)
            rc = step(j, bytes, e);
    }
    // Pages of the source that were read are not needed again.
    os_map_dontneed(t->data, t->size);
    return rc ? rc : quantize_output_done(&j->out, i, hash, e);
}

static int do_tensor(job *j, size_t i, err *e)
{
    const gguf_tensor *t = gguf_tensor_at(j->g, i);
    size_t row = quant_row_bytes(j->types[i], t->dims[0]), band_rows = MAX(1, BAND / row);
    uint64_t bytes = row * quantize_row_count(t);
    if (quantize_output_has(&j->out, i, gguf_writer_offset(j->w, i), bytes, band_rows * row)) {
        j->report.resumed++;
        return step(j, bytes, e);
    }
    float *means;
    int rc = quantize_imatrix_get(&j->imatrix, t, &means, e);
    if (rc)
        return rc;
    uint8_t *band = mem_alloc(MEM_BUFFERS, (size_t)MIN(band_rows, quantize_row_count(t)) * row);
    rc = band ? encode_tensor(j, i, band, band_rows, means, e)
              : err_set(e, ST_NOMEM, "%s: no memory to encode it", t->name);
    mem_free(band);
    mem_free(means);
    return rc;
}

static int run(job *j, const char *in, const char *out, err *e)
{
    int rc = gguf_open(&j->g, in, e);
    if (!rc && j->o->imatrix)
        rc = quantize_imatrix_open(&j->imatrix, j->o->imatrix, e);
    if (!rc)
        rc = check_source(j, in, out, e);
    if (!rc)
        rc = choose_types(j, e);
    if (!rc)
        rc = open_output(j, in, out, e);
    for (size_t i = 0; !rc && i < gguf_tensor_count(j->g); i++)
        rc = do_tensor(j, i, e);
    return rc ? rc : quantize_output_finish(&j->out, e);
}

static void finish_report(job *j)
{
    uint64_t values = 0;
    for (size_t i = 0; i < gguf_tensor_count(j->g); i++)
        values += gguf_tensor_at(j->g, i)->dims[0] * quantize_row_count(gguf_tensor_at(j->g, i));
    j->report.bytes_in = gguf_file_bytes(j->g);
    j->report.bpw = 8 * (double)j->total / (double)values;
}

int quantize_file(const char *in, const char *out, const quantize_options *o, quantize_report *report, err *e)
{
    if (!o->mix && !(o->target_bpw > 0))
        return err_set(e, ST_INVALID, "%s: neither a type nor a target is given", out);
    job j = {.o = o, .out = {.fd = -1}};
    int rc = run(&j, in, out, e);
    if (!rc)
        finish_report(&j);
    if (report)
        *report = j.report;
    if (j.has_output)
        quantize_output_close(&j.out, rc && rc != ST_CANCELED);
    gguf_writer_free(j.w);
    mem_free(j.types);
    quantize_rows_free(&j.rows);
    quantize_imatrix_close(&j.imatrix);
    gguf_close(j.g);
    return rc;
}
