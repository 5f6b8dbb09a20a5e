// The table of pre-tokenizers and the cutting itself.
//
// The expressions are those of the models' published tokenizer.json files. White space is spelled out because
// PCRE2's \s is not quite Unicode's White_Space, which the original engines mean.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tok/pre.h"

#include <pcre2.h>
#include <string.h>

#include "base/base.h"

#define WS "\\t-\\r\\x{85}\\p{Z}"  // inside [...]: characters with the property White_Space
#define SPACES "[" WS "]"
#define AT_GAP_END "(?![^" WS "])"  // \s+ before it leaves the last space to the word that follows
#define CLITICS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define GAPS SPACES "*[\\r\\n]+|" SPACES "+" AT_GAP_END "|" SPACES "+"

#define GPT2                                                                                                 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|" SPACES "+" AT_GAP_END "|" SPACES \
    "+"
#define LLAMA3(digits) \
    CLITICS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*|" GAPS
#define CASED(clitics, digits)                                                                     \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" clitics "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER \
    "*" clitics "|" digits "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n/]*|" GAPS
#define DEEPSEEK3 \
    "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" GAPS
// Letters that have case, as DeepSeek LLM lists them.
#define DEEPSEEK_LETTERS                                                                              \
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}"   \
    "\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}"             \
    "\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}"   \
    "\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}"   \
    "\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}" \
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}"  \
    "\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}"  \
    "\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}" \
    "\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}"   \
    "\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}"            \
    "\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}"            \
    "\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}"  \
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}" \
    "\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}"                \
    "\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}"            \
    "\\x{1E900}-\\x{1E943}"
#define KANA_AND_HAN "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{30FF}]+"
#define BLOOM " ?[^(" WS "|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+"
#define DEEPSEEK_HAN "[\\x{800}-\\x{9FA5}\\x{AC00}-\\x{D7FF}]+"

enum { STAGES = 4 + 2 };

struct row {
    const char *name;
    unsigned flags;
    const char *stages[STAGES];
};

#define IGN TOK_PRE_IGNORE_MERGES
#define BOS TOK_PRE_ADD_BOS
#define EOS TOK_PRE_ADD_EOS

// clang-format off
static const struct row rows[] = {
    {"default", 0, {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"gpt-2", 0, {GPT2}},
    {"phi-2", 0, {GPT2}},
    {"mpt", 0, {GPT2}},
    {"olmo", 0, {GPT2}},
    {"jais", 0, {GPT2}},
    {"trillion", 0, {GPT2}},
    {"gigachat", 0, {GPT2}},
    {"exaone4", 0, {GPT2}},
    {"mellum", 0, {GPT2}},
    {"modern-bert", 0, {GPT2}},
    {"granite-docling", 0, {GPT2}},
    {"jina-es", 0, {GPT2}},
    {"jina-de", 0, {GPT2}},
    {"jina-v2-es", 0, {GPT2}},
    {"jina-v2-de", 0, {GPT2}},
    {"jina-v1-en", EOS, {GPT2}},
    {"jina-v2-code", EOS, {GPT2}},
    {"roberta-bpe", EOS, {GPT2}},
    {"starcoder", 0, {"\\p{N}", GPT2}},
    {"refact", 0, {"\\p{N}", GPT2}},
    {"command-r", 0, {"\\p{N}", GPT2}},
    {"smollm", 0, {"\\p{N}", GPT2}},
    {"codeshell", 0, {"\\p{N}", GPT2}},
    {"exaone", 0, {"\\p{N}", GPT2}},
    {"minerva-7b", 0, {"\\p{N}", GPT2}},
    {"falcon", 0, {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"llama-bpe", IGN | BOS, {LLAMA3("\\p{N}{1,3}")}},
    {"llama3", IGN | BOS, {LLAMA3("\\p{N}{1,3}")}},
    {"llama-v3", IGN | BOS, {LLAMA3("\\p{N}{1,3}")}},
    {"falcon3", IGN | BOS, {LLAMA3("\\p{N}{1,3}")}},
    {"falcon-h1", IGN | BOS, {LLAMA3("\\p{N}{1,3}")}},
    {"pixtral", IGN | BOS, {LLAMA3("\\p{N}{1,3}")}},
    {"lfm2", IGN | BOS, {LLAMA3("\\p{N}{1,3}")}},
    {"midm-2.0", IGN | BOS, {LLAMA3("\\p{N}{1,3}")}},
    {"dbrx", 0, {LLAMA3("\\p{N}{1,3}")}},
    {"smaug-bpe", 0, {LLAMA3("\\p{N}{1,3}")}},
    {"glm4", 0, {LLAMA3("\\p{N}{1,3}")}},
    {"chatglm-bpe", 0, {LLAMA3("\\p{N}{1,3}")}},
    {"qwen2", 0, {LLAMA3("\\p{N}")}},
    {"stablelm2", 0, {LLAMA3("\\p{N}")}},
    {"deepseek-r1-qwen", 0, {LLAMA3("\\p{N}")}},
    {"megrez", 0, {LLAMA3("\\p{N}")}},
    {"hunyuan", 0, {LLAMA3("\\p{N}")}},
    {"solar-open", 0, {LLAMA3("\\p{N}")}},
    {"grok-2", 0, {LLAMA3("\\p{N}")}},
    {"qwen35", 0,
     {CLITICS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" WS "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" GAPS}},
    {"seed-coder", 0, {CLITICS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^" WS "\\p{L}\\p{N}\\r\\n]+|" GAPS}},
    {"bailingmoe", 0,
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^" WS "\\p{L}\\p{N}]++[\\r\\n]*|" SPACES
      "*[\\r\\n]|" SPACES "+" AT_GAP_END "|" SPACES "+"}},
    {"gpt-4o", 0, {CASED(CLITICS "?", "\\p{N}{1,3}")}},
    {"llama4", 0, {CASED(CLITICS "?", "\\p{N}{1,3}")}},
    {"minimax-m2", 0, {CASED(CLITICS "?", "\\p{N}{1,3}")}},
    {"tekken", IGN | BOS, {CASED("", "\\p{N}")}},
    {"deepseek-llm", 0,
     {"[\\r\\n]", SPACES "?[" DEEPSEEK_LETTERS "]+",
      SPACES "?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+",
      SPACES "+$", DEEPSEEK_HAN, "\\p{N}+"}},
    {"deepseek-coder", 0, {"[\\r\\n]", SPACES "?\\p{L}+", SPACES "?\\p{P}+", DEEPSEEK_HAN, "\\p{N}"}},
    {"deepseek-v3", 0, {"\\p{N}{1,3}", KANA_AND_HAN, DEEPSEEK3}},
    {"hunyuan-dense", 0, {"\\p{N}{1,3}", KANA_AND_HAN, DEEPSEEK3}},
    {"bloom", 0, {BLOOM}},
    {"poro-chat", 0, {BLOOM}},
    {"gpt3-finnish", 0, {BLOOM}},
    {"viking", 0, {BLOOM, "\\p{N}"}},
    {"gemma4", BOS | TOK_PRE_BY_CHAR, {"[^\\n]+|\\n+"}},
};
// clang-format on

struct tok_pre {
    const struct row *row;
    pcre2_general_context *general;
    pcre2_match_context *limits;
    pcre2_code *code[STAGES];
    int n;
    bool jit;  // every stage is machine code
};

static void *give(size_t n, void *ctx)
{
    (void)ctx;
    return mem_alloc(MEM_TOKENIZER, n);
}

static void take_back(void *p, void *ctx)
{
    (void)ctx;
    mem_free(p);
}

static int compile(tok_pre *p, err *e)
{
    p->general = pcre2_general_context_create(give, take_back, NULL);
    p->limits = p->general ? pcre2_match_context_create(p->general) : NULL;
    pcre2_compile_context *how = p->general ? pcre2_compile_context_create(p->general) : NULL;
    if (!p->limits || !how) {
        pcre2_compile_context_free(how);
        return err_set(e, ST_NOMEM, "no memory for the pre-tokenizer \"%s\"", p->row->name);
    }
    // The expressions are linear in the text, so the matcher may step once and again over all of it.
    pcre2_set_match_limit(p->limits, UINT32_MAX);
    p->jit = true;
    for (; p->n < STAGES && p->row->stages[p->n]; p->n++) {
        int code = 0;
        PCRE2_SIZE at = 0;
        p->code[p->n] = pcre2_compile((PCRE2_SPTR)p->row->stages[p->n], PCRE2_ZERO_TERMINATED,
                                      PCRE2_UTF | PCRE2_UCP, &code, &at, how);
        if (!p->code[p->n]) {
            pcre2_compile_context_free(how);
            if (code == PCRE2_ERROR_HEAP_FAILED)
                return err_set(e, ST_NOMEM, "no memory for the pre-tokenizer \"%s\"", p->row->name);
            return err_set(e, ST_UNSUPPORTED,
                           "pre-tokenizer \"%s\": PCRE2 refuses expression %d at %zu (error %d)",
                           p->row->name, p->n, (size_t)at, code);
        }
        // Without machine code (a build of PCRE2 without it, no memory for it) the same matches come slower.
        p->jit = pcre2_jit_compile(p->code[p->n], PCRE2_JIT_COMPLETE) == 0 && p->jit;
    }
    pcre2_compile_context_free(how);
    return ST_OK;
}

int tok_pre_new(tok_pre **out, const char *name, size_t n, err *e)
{
    const struct row *row = NULL;
    for (size_t i = 0; i < COUNT_OF(rows) && !row; i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            row = &rows[i];
    if (!row)
        return err_set(
            e, ST_UNSUPPORTED,
            "tokenizer.ggml.pre is \"%.*s\", which irori does not know; it knows %zu names such as "
            "gpt-2, llama-bpe, qwen2",
            (int)MIN(n, (size_t)60), name, COUNT_OF(rows));
    tok_pre *p = mem_calloc(MEM_TOKENIZER, 1, sizeof *p);
    if (!p)
        return err_set(e, ST_NOMEM, "no memory for the pre-tokenizer \"%s\"", row->name);
    p->row = row;
    int rc = compile(p, e);
    if (rc)
        tok_pre_free(p);
    else
        *out = p;
    return rc;
}

void tok_pre_free(tok_pre *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n; i++)
        pcre2_code_free(p->code[i]);
    pcre2_match_context_free(p->limits);
    pcre2_general_context_free(p->general);
    mem_free(p);
}

const char *tok_pre_id(const tok_pre *p)
{
    return p->row->name;
}

unsigned tok_pre_flags(const tok_pre *p)
{
    return p->row->flags;
}

void tok_pre_run_done(tok_pre_run *r)
{
    pcre2_match_data_free(r->match);
    r->match = NULL;
}

struct cut {
    const tok_pre *p;
    pcre2_match_data *match;
    tok_pre_word_fn *word;
    void *ctx;
    err *e;
};

static int search(const struct cut *c, int stage, const char *s, size_t n, size_t from)
{
    pcre2_code *code = c->p->code[stage];
    PCRE2_SPTR subject = (PCRE2_SPTR)s;
    if (c->p->jit) {
        int rc = pcre2_jit_match(code, subject, n, from, 0, c->match, c->p->limits);
        if (rc != PCRE2_ERROR_JIT_STACKLIMIT)
            return rc;
    }
    return pcre2_match(code, subject, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, c->match, c->p->limits);
}

static int cut_stage(const struct cut *c, int stage, const char *s, size_t n)
{
    if (n == 0)
        return ST_OK;
    if (stage == c->p->n)
        return c->word(c->ctx, s, n);
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(c->match);
    for (size_t done = 0; done < n;) {
        int rc = search(c, stage, s, n, done);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
            return err_set(c->e, rc == PCRE2_ERROR_NOMEMORY ? ST_NOMEM : ST_LIMIT,
                           "pre-tokenizer \"%s\": PCRE2 gave up on a text of %zu bytes (error %d)",
                           c->p->row->name, n, rc);
        size_t from = rc < 0 ? n : span[0], to = rc < 0 ? n : span[1];
        // What lies between two matches is a word of its own.
        rc = cut_stage(c, stage + 1, s + done, from - done);
        if (!rc)
            rc = cut_stage(c, stage + 1, s + from, to - from);
        if (rc)
            return rc;
        done = to;
    }
    return ST_OK;
}

int tok_pre_split(const tok_pre *p, tok_pre_run *r, const char *s, size_t n, tok_pre_word_fn *word, void *ctx,
                  err *e)
{
    if (!r->match)
        r->match = pcre2_match_data_create(1, p->general);
    if (!r->match)
        return err_set(e, ST_NOMEM, "no memory to cut a text into words");
    const struct cut c = {p, r->match, word, ctx, e};
    return cut_stage(&c, 0, s, n);
}
