// Adapters of a model: opened beside it, set and taken off between calls.
#include <math.h>

#include "api/own.h"

int irori_adapter_open(irori_adapter **out, irori_model *m, const char *path, irori_error *error)
{
    err *e = api_err(error);
    *out = NULL;
    int rc = api_need_engine(m, e);
    if (rc)
        return rc;
    irori_adapter *a = mem_calloc(MEM_OTHER, 1, sizeof *a);
    if (!a)
        return err_set(e, ST_NOMEM, "no memory for an adapter");
    rc = engine_adapter_open(&m->engine, path, &a->engine, e);
    if (rc) {
        mem_free(a);
        return rc;
    }
    a->m = m;
    a->next = m->adapters;
    m->adapters = a;
    *out = a;
    return ST_OK;
}

void irori_adapter_close(irori_adapter *a)
{
    if (!a)
        return;
    irori_adapter **at = &a->m->adapters;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    engine_adapter_close(&a->m->engine, &a->engine);
    mem_free(a);
}

int irori_model_set_adapter(irori_model *m, irori_adapter *a, float scale, irori_error *error)
{
    int rc = api_need_engine(m, api_err(error));
    if (rc)
        return rc;
    if (a && a->m != m)
        return err_set(api_err(error), ST_INVALID, "the adapter was opened for another model");
    if (a && !isfinite(scale))
        return err_set(api_err(error), ST_INVALID, "the adapter's scale is not a finite number");
    engine_set_adapter(&m->engine, a ? &a->engine : NULL, scale);
    return ST_OK;
}
