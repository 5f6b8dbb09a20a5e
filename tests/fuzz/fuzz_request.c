// A request's JSON: read by every reader that the wire formats share; nothing but a good request gives messages.
#include <stdlib.h>
#include <string.h>

#include "server/ask.h"
#include "server/chat.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    json_t *body = json_loadb((const char *)data, n, 0, NULL);
    fields f = fields_of(body);
    ask a = {.body = body};
    ask_read_sampling(&a, &f);
    ask_read_stop(&a, &f, "stop");
    ask_read_messages(&a, &f, "messages");
    ask_read_tools(&a, &f);
    ask_read_response_format(&a, &f, "response_format");
    ask_read_grammar(&a, &f);
    if (!f.wrong && json_array_size(a.messages) == 0)
        abort();
    if (f.wrong && (!f.message[0] || !f.param[0]))
        abort();
    json_decref(a.messages);
    json_decref(a.tools);
    json_decref(a.variables);
    mem_free(a.model);
    mem_free(a.tool_name);
    mem_free(a.bias);
    mem_free(a.grammar_text);
    json_decref(body);
    return 0;
}
