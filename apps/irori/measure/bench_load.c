// How long a model takes to answer for the first time.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "measure/bench.h"

enum { PROMPT = 32, STARTS = 3, ANSWERS = 30 };

// Has the system forget what it read of the file. Of a split file only this part: the figures then say too little.
static void forget(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    fdatasync(fd);  // only what is on the disk can be forgotten
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static int answer(irori_model *m, irori_error *e)
{
    irori_session *s;
    irori_model_info info;
    int32_t ids[PROMPT], first;
    irori_model_get_info(m, &info);
    bench_tokens(ids, PROMPT, info.vocabulary);
    int rc = irori_session_new(&s, m, NULL, e);
    if (rc)
        return rc;
    rc = irori_session_add(s, ids, PROMPT, e);
    if (!rc)
        rc = irori_session_sample(s, &first, NULL, e);
    irori_session_free(s);
    return rc;
}

// Opens the model, has it answer, and closes it again.
static int start(const cli_options *o, bool cold, samples *load, samples *first, irori_error *e)
{
    irori_model_options mo = cli_model_options(o);
    irori_model *m;
    if (cold)
        forget(o->model);
    double began = os_seconds();
    int rc = irori_model_open(&m, o->model, &mo, e);
    if (rc)
        return rc;
    samples_add(load, 1e3 * (os_seconds() - began));
    rc = answer(m, e);
    samples_add(first, 1e3 * (os_seconds() - began));
    irori_model_close(m);
    return rc;
}

static int starts(const cli_options *o, report *r, bool cold, irori_error *e)
{
    samples load = {0}, first = {0};
    const char *test = cold ? "load@cold" : "load@warm";
    int rc = IRORI_OK;
    for (int i = 0; !rc && i < STARTS; i++)
        rc = start(o, cold, &load, &first, e);
    report_add(r, test, "open_ms", false, &load);
    report_add(r, test, "first_token_ms", false, &first);
    samples_done(&load);
    samples_done(&first);
    return rc;
}

static int answers(const cli_options *o, report *r, irori_error *e)
{
    irori_model_options mo = cli_model_options(o);
    irori_model *m;
    samples first = {0};
    int rc = irori_model_open(&m, o->model, &mo, e);
    if (rc)
        return rc;
    rc = answer(m, e);  // warms up
    for (int i = 0; !rc && i < ANSWERS; i++) {
        double began = os_seconds();
        rc = answer(m, e);
        samples_add(&first, 1e3 * (os_seconds() - began));
    }
    report_add(r, "load@open", "first_token_ms", false, &first);
    samples_done(&first);
    irori_model_close(m);
    return rc;
}

int bench_load(const cli_options *o, report *r, irori_error *e)
{
    int rc = starts(o, r, true, e);
    if (!rc)
        rc = starts(o, r, false, e);
    return rc ? rc : answers(o, r, e);
}
