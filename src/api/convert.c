// Model files made from what others publish.
#include "convert/convert.h"

#include "api/own.h"

int irori_convert(const char *dir, const char *out, const irori_convert_options *options, irori_error *error)
{
    static const irori_convert_options defaults;
    const irori_convert_options *o = options ? options : &defaults;
    convert_options co = {
        .type = quant_type_from_name(o->type ? o->type : "f16"), .progress = o->progress, .ctx = o->ctx};
    if (co.type != QT_F16 && co.type != QT_BF16 && co.type != QT_F32)
        return err_set(api_err(error), ST_INVALID, "type \"%s\", allowed f16, bf16, f32", o->type);
    return convert_model(dir, out, &co, api_err(error));
}
