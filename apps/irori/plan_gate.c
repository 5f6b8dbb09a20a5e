// Before a model is opened: does it fit? When it does not, what would.
#include <stdio.h>

#include "plan.h"

static const char *const smaller[] = {"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"};

// The widest mix smaller than the file that fits; NULL: none.
static const char *smaller_mix(const char *path, const irori_model_options *mo, const irori_plan *now)
{
    for (size_t i = 0; i < COUNT_OF(smaller); i++) {
        irori_plan_options po = {.memory_only = true, .quantization = smaller[i]};
        irori_plan p;
        if (!irori_plan_file(&p, path, mo, &po, NULL) && p.model_bytes < now->model_bytes && p.fits)
            return smaller[i];
    }
    return NULL;
}

int plan_gate(const cli_options *o, const char *path, const irori_model_options *mo)
{
    irori_plan_options po = {.memory_only = true};
    irori_plan p;
    if (o->force || irori_plan_file(&p, path, mo, &po, NULL) || p.fits || p.has_bytes == 0)
        return CLI_OK;  // what is wrong with a file its opening tells
    fprintf(
        stderr,
        "irori: %s needs %.0f MB (weights %.0f, keys and values %.0f for %d tokens), %.0f MB are available",
        path, (double)p.needs_bytes / 1e6, (double)p.weight_bytes / 1e6, (double)p.kv_bytes / 1e6, p.context,
        (double)p.has_bytes / 1e6);
    bool any = false;
    for (int i = 0; irori_plan_policy(i); i++)
        if (p.context_fits[i] >= 256) {
            fprintf(stderr, "%s--ctx %d with --kv %s",
                    any ? ", " : "; would fit: ", MIN(p.context_fits[i], p.context), irori_plan_policy(i));
            if (i == IRORI_PLAN_POLICIES - 1)
                fprintf(stderr, " --kv-budget 25%%");
            any = true;
        }
    const char *mix = smaller_mix(path, mo, &p);
    if (mix)
        fprintf(stderr, "%s quantized to %s", any ? ", or" : "; would fit:", mix);
    fprintf(stderr, "%s; --force goes on all the same\n", any || mix ? "" : "; a smaller model is needed");
    return CLI_FAILED;
}
