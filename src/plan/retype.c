// The same model in another quantization: the types that a mix gives its matrices, put into the graph. Sizes and speeds
// follow; there is no data.
#include "plan/plan.h"
#include "quantize/quantize.h"

static void give_type(graph *g, const gguf_tensor *t, int type)
{
    for (int i = 0; i < g->n_weights; i++)
        if (g->weights[i].name == t->name)  // both are the file's own
            g->weights[i].type = quantize_fallback(type, t->dims[0]);
}

// Who reads which form depends on the types.
static int derive_forms(model *m, graph_form_fn *form_of, err *e)
{
    for (int i = 0; i < m->graph.n_values; i++) {
        graph_value *v = &m->graph.values[i];
        v->forms = 0;
        v->first = v->last = -1;
    }
    return graph_finish(&m->graph, m->graph.logits, form_of, e);
}

int plan_retype(model *m, const char *mix, graph_form_fn *form_of, uint64_t *file_bytes, err *e)
{
    const quantize_mix *how = quantize_mix_find(mix);
    const size_t n = gguf_tensor_count(m->file);
    if (!how)
        return err_set(e, ST_INVALID, "\"%s\" is no type or mix of weights; `irori help quantize` names them",
                       mix);
    int *types = mem_alloc(MEM_OTHER, n * sizeof *types);
    if (!types)
        return err_set(e, ST_NOMEM, "no memory for %zu types", n);
    quantize_mix_types(how, m->file, true, types);
    *file_bytes = gguf_file_bytes(m->file);
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = gguf_tensor_at(m->file, i);
        if (!quantize_takes(t))
            continue;
        give_type(&m->graph, t, types[i]);
        const int type = quantize_fallback(types[i], t->dims[0]);
        *file_bytes -= t->size;
        *file_bytes += quant_row_bytes(type, t->dims[0]) * t->dims[1] * t->dims[2] * t->dims[3];
    }
    mem_free(types);
    return derive_forms(m, form_of, e);
}
