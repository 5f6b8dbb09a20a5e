// Conversations on their way into a template: OpenAI's messages made plain, tools written where a template cannot,
// old messages dropped where that was asked for.
#ifndef SERVER_CHAT_H
#define SERVER_CHAT_H

#include "server/ask.h"

int chat_tokens(ask *a, err *e);  // a->ids from a->messages
// Whether the prompt has opened a reasoning block.
bool chat_prompt_thinks(const ask *a);
bool chat_opens_thinking(const irori_model *m, const calls_style *style, const int32_t *ids, size_t count);
// Checks messages in OpenAI's shape and gives them plain: content as one string. NULL after noting what is wrong.
json_t *chat_messages(fields *f, const char *name);

#endif
