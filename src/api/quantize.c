// Model files made from others.
#include "quantize/quantize.h"

#include "api/own.h"

char *irori_quantize_types(void)
{
    buf names;
    buf_init(&names);
    quantize_mix_names(&names);
    char *text = buf_take(&names);
    buf_done(&names);
    return text;
}

int irori_quantize(const char *in, const char *out, const irori_quantize_options *options,
                   irori_quantize_report *report, irori_error *error)
{
    quantize_options o = {.target_bpw = options->target_bpw,
                          .imatrix = options->imatrix,
                          .threads = options->threads,
                          .progress = options->progress,
                          .note = options->note,
                          .ctx = options->ctx};
    if (options->type && !(o.mix = quantize_mix_find(options->type))) {
        char *names = irori_quantize_types();
        int rc = err_set(api_err(error), ST_INVALID, "type \"%s\" is not known; allowed %s", options->type,
                         names ? names : "");
        irori_free(names);
        return rc;
    }
    if (options->type && o.target_bpw > 0)
        return err_set(api_err(error), ST_INVALID, "a type and a target of bits a weight exclude each other");
    quantize_report r;
    int rc = quantize_file(in, out, &o, &r, api_err(error));
    if (report)
        *report = (irori_quantize_report){r.bytes_in, r.bytes_out, r.bpw, r.fallbacks, r.resumed};
    return rc;
}
