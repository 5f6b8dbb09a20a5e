// The smallest whole program: opens a model, asks one question, prints the answer as it comes.
//
//   cc hello.c -lirori ... && ./a.out model.gguf "Who are you?"
#include <irori.h>
#include <stdio.h>
#include <string.h>

static bool print_piece(void *ctx, int32_t id, const char *text, size_t bytes)
{
    (void)id;
    fwrite(text, 1, bytes, ctx);
    return fflush(ctx) == 0;  // false ends the answer
}

static int answer(irori_model *m, const char *question, irori_error *e)
{
    irori_session *s;
    int rc = irori_session_new(&s, m, NULL, e);
    if (rc)
        return rc;
    rc = irori_session_add_text(s, question, strlen(question), IRORI_TOKENIZE_BOS, e);
    if (!rc)
        rc = irori_session_generate(s, 64, print_piece, stdout, NULL, e);
    irori_session_free(s);
    return rc;
}

int main(int argc, char **argv)
{
    irori_model *m;
    irori_error e;
    if (argc < 2)
        return fprintf(stderr, "usage: hello MODEL.gguf [TEXT]\n"), 2;
    int rc = irori_model_open(&m, argv[1], NULL, &e);
    if (!rc) {
        rc = answer(m, argc > 2 ? argv[2] : "The king said", &e);
        irori_model_close(m);
    }
    if (rc)
        fprintf(stderr, "%s\n", e.message);
    else
        printf("\n");
    return rc ? 1 : 0;
}
