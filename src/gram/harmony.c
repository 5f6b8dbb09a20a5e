// Messages of OpenAI's harmony format (gpt-oss), as published with these models: an answer is a row of messages, each a head
// and a text between control tokens. Which of them are thoughts and which are calls is said by the head.
//
//     <|channel|>analysis<|message|>thoughts<|end|><|start|>assistant<|channel|>final<|message|>answer
//     <|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}
//
// A call's receiver stands in the channel or, as in conversations of the past, before it. The token behind the last message ends
// the answer, so there is one call at most.
#include "gram/harmony.h"

#include <string.h>

rx gram_word_rx(rx_pool *p, const gram_word *w)
{
    rx text = rx_literal(p, w->word, w->n);
    if (w->token < 0)
        return text;
    char name[GRAM_CONTROL_BYTES];
    gram_control_name((uint32_t)w->token, name);
    return rx_or(p, text, rx_literal(p, name, sizeof name));
}

static rx literal(rx_pool *p, const char *s)
{
    return rx_literal(p, s, strlen(s));
}

// Bytes of text, in which no control token is spelled out: who reads the answer could not tell it from one.
rx gram_harmony_text(rx_pool *p, const gram_harmony *h)
{
    static const char *const ends[] = {"<|call|>", "<|return|>"};
    const gram_word *words[] = {&h->start, &h->channel, &h->constrain, &h->message, &h->end};
    rx text = rx_repeat(p, rx_bytes(p, 0, 0xFE), 0, RX_MANY);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        text = rx_and(p, text, rx_until(p, words[i]->word, words[i]->n, true));
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        text = rx_and(p, text, rx_until(p, ends[i], strlen(ends[i]), true));
    return text;
}

static rx channel(rx_pool *p, const gram_harmony *h, const char *name)
{
    return rx_cat(p, gram_word_rx(p, &h->channel), literal(p, name));
}

// "<|message|>", perhaps behind a note that JSON follows.
static rx json_message(rx_pool *p, const gram_harmony *h)
{
    rx constrain = rx_repeat(p, gram_word_rx(p, &h->constrain), 0, 1);
    rx note = rx_cat(p, rx_repeat(p, literal(p, " "), 0, 1), rx_cat(p, constrain, literal(p, "json")));
    return rx_cat(p, rx_repeat(p, note, 0, 1), gram_word_rx(p, &h->message));
}

rx gram_harmony_before(rx_pool *p, const gram_harmony *h, bool must)
{
    rx head = channel(p, h, "analysis");
    if (!must)
        head = rx_or(p, head, channel(p, h, "commentary"));
    rx next = rx_cat(p, gram_word_rx(p, &h->end),
                     rx_cat(p, gram_word_rx(p, &h->start), literal(p, "assistant")));
    rx message = rx_cat(p, rx_cat(p, head, gram_word_rx(p, &h->message)),
                        rx_cat(p, gram_harmony_text(p, h), next));
    return rx_repeat(p, message, 0, RX_MANY);
}

rx gram_harmony_final(rx_pool *p, const gram_harmony *h)
{
    return rx_cat(p, channel(p, h, "final"), json_message(p, h));
}

rx gram_harmony_call(rx_pool *p, const gram_harmony *h, const char *name)
{
    rx to = rx_cat(p, literal(p, " to=functions."), literal(p, name));
    rx commentary = channel(p, h, "commentary");
    rx head = rx_or(p, rx_cat(p, commentary, to), rx_cat(p, to, commentary));
    return rx_cat(p, head, json_message(p, h));
}
