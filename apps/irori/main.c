// irori: the table of commands and options, and the way in.
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define LOAD_OPTIONS "force threads ctx cpu batch-size no-pin no-repack cache cache-dir kv kv-budget kv-dir"
#define MODEL_OPTIONS LOAD_OPTIONS " lora prompt-cache"
#define GUESS_OPTIONS "draft no-guess"
#define SAMPLING_OPTIONS \
    "temp top-k top-p min-p typical repeat-penalty frequency-penalty presence-penalty dry seed"

#define GRAMMAR_OPTIONS "json-mode json-schema grammar regex"

// For scripts that give every command the same options.
#define NOTHING_TO_RUN "--threads and --ctx are taken but change nothing: the model is not run."

const cli_command cli_commands[] = {
    {"run", "MODEL", "answer one prompt",
     "audit prompt n raw system tools session json " GRAMMAR_OPTIONS " " SAMPLING_OPTIONS " " GUESS_OPTIONS
     " " MODEL_OPTIONS,
     "The model's chat template is applied where it has one; --raw gives the text as it is, control tokens parsed. "
     "Without --prompt the prompt is read from standard input; a line end at its end is dropped but for --raw. "
     "With --session the prompt comes after what the session holds.",
     cmd_run},
    {"chat", "MODEL", "talk in the terminal",
     "audit system n history " GRAMMAR_OPTIONS " " SAMPLING_OPTIONS " " GUESS_OPTIONS " " MODEL_OPTIONS,
     "Ctrl-C stops an answer or empties the line, Ctrl-D leaves. /help lists what can be typed instead of a message. "
     "Away from a terminal each line of standard input is a message.",
     cmd_chat},
    {"info", "FILE", "what is in a model file", "json threads ctx", NOTHING_TO_RUN, cmd_info},
    {"tokenize", "MODEL", "text to token ids", "text file special json threads ctx",
     "Without --text and --file the text is read from standard input. Control tokens are parsed only with --special. " NOTHING_TO_RUN,
     cmd_tokenize},
    {"embed", "MODEL", "texts as vectors", "text file dimensions truncate json " MODEL_OPTIONS,
     "Without --text each line of the file, or of standard input, is a text. Each vector is printed on a line, its numbers "
     "with spaces between them.",
     cmd_embed},
    {"rerank", "MODEL", "order documents by a query", "query instruction file truncate json " MODEL_OPTIONS,
     "Each line of the file, or of standard input, is a document. They are printed best first, each behind its score "
     "(0..1) and its line number.",
     cmd_rerank},
    {"bench", "[spec|diff] MODEL", "measure speed and memory",
     "pp tg depth batch full repetitions report memory n draft oracle url api-key json " MODEL_OPTIONS,
     "pp: tokens a second of a prompt, and the wait for the first token; tg: of generation, and the wait between tokens. "
     "A row is the median of its repetitions with the interval that holds it with 95 %. --full measures prompts of up "
     "to 32,768 tokens, generation behind them, 4 and 16 answers at once, and cold and warm starts. --memory reports "
     "what the activation plan saves. bench diff A B compares two files of --report. With --url a server of OpenAI's kind is measured, with --batch clients at once. bench spec compares generation with guesses and "
     "without, by turns, over kinds of tasks; with --oracle also against the formula, with guesses made to be right so "
     "often.",
     cmd_bench},
    {"plan", "[MODEL|NAME]", "what fits and how fast it will be, before it is loaded",
     "verify probe type tier use-case profile catalogue depth threads ctx batch-size cpu no-pin no-repack kv kv-budget json",
     "Without MODEL: the machine, measured once in about five seconds. With a file, or a name of the catalogue: memory "
     "needed, the context that each KV policy can hold, the widest quantization that fits, time to the first token and "
     "tokens a second at each --depth. With --type all is told as if the model had been quantized so, with --tier for another "
     "machine. --use-case prints which parts make a voice-memo, minutes, documents, images, code or pictures, for --profile "
     "low-cost, high-quality or hard-limits. --verify runs the model and sets predicted and measured side by side; what was "
     "missed corrects later predictions. docs/PLAN.md tells how.",
     cmd_plan},
    {"eval", "ppl|kl|bpw|kv|ablation|choice|answers|recall|meaning|tools MODEL",
     "how well a model predicts, answers, remembers",
     "file base output answers url api-key n raw hold least-likeness temp seed json csv plot report imatrix draft chunks "
     "repetitions " MODEL_OPTIONS,
     "ppl: the text is cut into windows of --ctx tokens (default 512); the second half of each is scored. The last, "
     "incomplete window is dropped. kl: the same predictions beside those of --base, the model that MODEL was made "
     "from say: perplexities, their difference with its standard error, and the KL divergence from the base. bpw: MODEL "
     "(F16, BF16 or F32) is quantized in eight ways into a temporary file; each is measured for size, speed, memory "
     "and energy, and compared with MODEL token by token over --chunks windows (default 4) of --ctx tokens (default "
     "256). kv: a table of policies (or those of --kv, \"uniform:q4 staged@25%\" say) against F16, over the first windows of --ctx tokens (default "
     "2048), as many as --repetitions says. ablation: each technique off, alone, and all together. choice: multiple "
     "choice (JCommonsenseQA, JNLI, BLiMP, HellaSwag, MMLU). answers: prompts with the answers or schemas wanted. "
     "recall: codes told a number of tokens ago. meaning: how alike the answers of two models are, by an embedder. "
     "tools: function calls asked of a server. docs/BENCH.md tells more of each.",
     cmd_eval},
    {"quantize", "IN OUT", "make a model file smaller", "type target-bpw imatrix threads json",
     "IN may be of any type, best F16, BF16 or F32. An interrupted run leaves OUT.partial; the same command goes on from "
     "there.",
     cmd_quantize},
    {"candidates", "MODEL", "short replies to choose from",
     "text profile n budget-ms reply-tokens axes avoid choices choose make-scenes file output temp seed json " MODEL_OPTIONS,
     "For a person who speaks by choosing: one reply for each of several intents to what --text says, within the budget "
     "counted from when --text is read into the model. What is not ready then comes from the profile's scenes or the "
     "default replies and says so. With --make-scenes the model writes, without a deadline, replies to each line of "
     "--file (\"tea, coffee: Would you like a drink?\") into the profile's scenes; the profile goes to --output or "
     "standard output. docs/CANDIDATES.md tells what a profile is.",
     cmd_candidates},
    {"serve", "[MODEL...]", "serve models to OpenAI's, Ollama's and Anthropic's clients",
     "audit accept-license proxy allow-private allow-http models-dir host port slots queue keep-alive always-on memory-budget connections api-key origins tls-cert tls-key "
     "log-prompts quiet upstream upstream-model ui-dir no-ui no-guess " LOAD_OPTIONS,
     "The first MODEL is the default and stays open; others are opened when asked for and closed when unused. Listens "
     "on this machine only; for another --host an API key is needed. docs/SERVER.md has the routes.",
     cmd_serve},
    {"convert", "DIR OUT", "a model file from a Hugging Face folder", "type",
     "DIR holds config.json, safetensors files and a tokenizer. --type is f16 (the default), bf16 or f32. GPTQ and AWQ "
     "weights of 4 bits are decoded; MXFP4 experts stay as they are.",
     cmd_convert},
    {"imatrix", "MODEL", "measure which columns of the weights matter", "file output chunks ctx threads cpu",
     "Runs the model over the text of --file in windows of --ctx tokens (default 512) and writes what `irori quantize "
     "--imatrix` reads. A few hundred kilobytes of text like that the model will meet are enough.",
     cmd_imatrix},
    {"pull", "SOURCE", "fetch a model into the store",
     "as accept-license sha256 token-file proxy allow-private allow-http piece-kb patience",
     "SOURCE is hf.co/ORGANIZATION/REPOSITORY[:QUANTIZATION or file], [HOST/][NAMESPACE/]MODEL[:TAG] of a registry of "
     "Ollama's kind, a URL, or a model file (of a split model the first). An interrupted pull goes on where it was when it is "
     "called again. docs/STORE.md tells more.",
     cmd_pull},
    {"list", "", "the models of the store", "json", NULL, cmd_list},
    {"show", "NAME", "what the store knows of a model", "json", NULL, cmd_show},
    {"rm", "[NAME]", "remove a model from the store", "partial",
     "Its files go when no other name has them. --partial removes what interrupted pulls have left.", cmd_rm},
    {"copy", "NAME NEW", "another name for a model; takes no room", "", NULL, cmd_copy},
    {"verify", "[NAME]", "compare models with their hashes", "json", "Without NAME: all of the store.",
     cmd_verify},
    {"move", "DIR", "take the store to another folder", "",
     "Everything is copied and compared before the old folder is removed; a link stays in its place.",
     cmd_move},
    {"audit", "verify|head", "the audit log: whether it is whole, and its head", "head json",
     "verify finds every changed, removed, moved or cut line; with --head also a log that was made anew. head prints what to "
     "keep elsewhere for that. docs/PRIVACY.md tells how the log is switched on.",
     cmd_audit},
    {"doctor", "", "what this machine, the store and the folders are like", "json",
     "Also says what would leave the machine, and when. The exit status is 1 when something keeps irori from working.",
     cmd_doctor},
    {"completion", "bash|zsh|fish", "shell completion script", "", NULL, cmd_completion},
    {"help", "[COMMAND]", "this help, or a command's", "man", NULL, cmd_help},
};
const size_t cli_command_count = COUNT_OF(cli_commands);

#define AT(field) offsetof(cli_options, field)
const cli_option cli_option_table[] = {
    {"prompt", 'p', CLI_TEXT, AT(prompt), "TEXT",
     "the prompt; @FILE reads it from a file, @- from standard input", 0, 0},
    {"n", 'n', CLI_INT, AT(max_tokens), "N",
     "most tokens to generate (default 512); candidates: replies (default 4)", 1, 1 << 28},
    {"raw", 0, CLI_FLAG, AT(raw), NULL, "no chat template", 0, 0},
    {"system", 's', CLI_TEXT, AT(system), "TEXT", "system message", 0, 0},
    {"tools", 0, CLI_TEXT, AT(tools), "FILE", "JSON array of tools the model may call", 0, 0},
    {"json-mode", 0, CLI_FLAG, AT(json_mode), NULL, "the answer is a JSON value", 0, 0},
    {"json-schema", 0, CLI_TEXT, AT(json_schema), "FILE", "the answer is JSON that meets a schema", 0, 0},
    {"grammar", 0, CLI_TEXT, AT(grammar), "FILE", "the answer is a sentence of a GBNF grammar", 0, 0},
    {"regex", 0, CLI_TEXT, AT(regex), "R", "the answer matches an expression (ECMA-262)", 0, 0},
    {"text", 0, CLI_TEXT, AT(text), "TEXT", "the text", 0, 0},
    {"file", 'f', CLI_TEXT, AT(file), "FILE", "read the text from a file; - is standard input", 0, 0},
    {"query", 'q', CLI_TEXT, AT(query), "TEXT", "what the documents are to answer", 0, 0},
    {"instruction", 0, CLI_TEXT, AT(instruction), "TEXT",
     "what makes a document right, for models that are told (Qwen 3)", 0, 0},
    {"dimensions", 0, CLI_INT, AT(dimensions), "N", "keep the vectors' first N numbers", 1, 1 << 20},
    {"truncate", 0, CLI_FLAG, AT(truncate), NULL, "cut what is longer than the context", 0, 0},
    {"special", 0, CLI_FLAG, AT(special), NULL, "parse control tokens", 0, 0},
    {"history", 0, CLI_TEXT, AT(history), "FILE",
     "file of the lines typed (default: irori/history in the state folder); empty: none", 0, 0},
    {"temp", 't', CLI_FLOAT, AT(temperature), "T", "temperature (default 0.8); 0 takes the likeliest token",
     0, 100},
    {"top-k", 0, CLI_INT, AT(top_k), "K", "choose among the K likeliest (default 40); 0: all", 0, 1 << 28},
    {"top-p", 0, CLI_FLOAT, AT(top_p), "P",
     "choose among the likeliest that hold P of the mass (default 0.95)", 0, 1},
    {"min-p", 0, CLI_FLOAT, AT(min_p), "P",
     "drop tokens less likely than P times the likeliest (default 0.05)", 0, 1},
    {"typical", 0, CLI_FLOAT, AT(typical), "P", "locally typical sampling; 1 (the default): off", 0, 1},
    {"repeat-penalty", 0, CLI_FLOAT, AT(repeat_penalty), "X",
     "penalty on tokens of the last 64; 1 (the default): off", 0, 100},
    {"frequency-penalty", 0, CLI_FLOAT, AT(frequency_penalty), "X", "penalty for each occurrence", -2, 2},
    {"presence-penalty", 0, CLI_FLOAT, AT(presence_penalty), "X", "penalty for having occurred", -2, 2},
    {"dry", 0, CLI_FLOAT, AT(dry), "X", "penalty on repeating sequences; 0 (the default): off", 0, 100},
    {"seed", 0, CLI_SEED, AT(seed), "S", "the same seed gives the same text; 0 (the default): a new one", 0,
     0},
    {"pp", 0, CLI_TEXT, AT(pp), "N,...", "prompt lengths (default 512); 0: none", 0, 0},
    {"tg", 0, CLI_TEXT, AT(tg), "N,...", "tokens generated (default 128); 0: none", 0, 0},
    {"depth", 'd', CLI_TEXT, AT(depth), "N,...", "tokens already in the context (default 0)", 0, 0},
    {"batch", 0, CLI_TEXT, AT(batch), "N,...", "sequences at once, for tg (default 1)", 0, 0},
    {"full", 0, CLI_FLAG, AT(full), NULL, "bench: the rows that reports quote, starts too", 0, 0},
    {"repetitions", 'r', CLI_INT, AT(repetitions), "N",
     "measurements of each row (default 3; bench: up to 30, as many as fit into 4 seconds)", 1, 1000},
    {"report", 0, CLI_TEXT, AT(report), "FILE", "write a report to NAME.jsonl, NAME.md or NAME.html", 0, 0},
    {"memory", 0, CLI_FLAG, AT(memory), NULL, "report memory instead of speed", 0, 0},
    {"type", 0, CLI_TEXT, AT(type), "TYPE", "type or mix of the weights, Q4_K_M say", 0, 0},
    {"target-bpw", 0, CLI_FLOAT, AT(target_bpw), "B",
     "choose each tensor's type by measured error, so that the weights take at most B bits each", 0.5, 32},
    {"imatrix", 0, CLI_TEXT, AT(imatrix), "FILE", "importance of the columns, made by irori imatrix", 0, 0},
    {"draft", 0, CLI_TEXT, AT(draft), "FILE",
     "smaller model of the same vocabulary that guesses ahead: the same answer, sooner", 0, 0},
    {"no-guess", 0, CLI_FLAG, AT(no_guess), NULL, "run every token by itself: the same answer, later", 0, 0},
    {"oracle", 0, CLI_FLOAT, AT(oracle), "A", "bench spec: guesses that are right with probability A", 0, 1},
    {"output", 'o', CLI_TEXT, AT(output), "FILE", "the file to write", 0, 0},
    {"base", 0, CLI_TEXT, AT(base), "FILE", "eval: the model to compare with; meaning: the answers", 0, 0},
    {"url", 0, CLI_TEXT, AT(url), "URL",
     "measure the server there, http://127.0.0.1:11434 say; MODEL is its name for one", 0, 0},
    {"answers", 0, CLI_TEXT, AT(answers), "FILE", "eval tools: the calls that are right", 0, 0},
    {"hold", 0, CLI_FLAG, AT(hold), NULL, "eval answers: hold each answer to its item's schema", 0, 0},
    {"least-likeness", 0, CLI_FLOAT, AT(least_likeness), "C",
     "eval meaning: cosine from which two answers mean the same (default 0.8)", -1, 1},
    {"csv", 0, CLI_FLAG, AT(csv), NULL, "eval bpw: the table as comma-separated values", 0, 0},
    {"plot", 0, CLI_TEXT, AT(plot), "FILE", "eval bpw, kv: draw the table as SVG into a file", 0, 0},
    {"chunks", 0, CLI_INT, AT(chunks), "N", "most windows of the text to run (default: all)", 1, 1 << 28},
    {"profile", 0, CLI_TEXT, AT(profile), "FILE", "who speaks, with which intents (JSON)", 0, 0},
    {"budget-ms", 0, CLI_FLOAT, AT(budget_ms), "MS", "time for the replies (default 200)", 1, 3600000},
    {"reply-tokens", 0, CLI_INT, AT(reply_tokens), "N", "most tokens of a reply (default 16)", 1, 64},
    {"axes", 0, CLI_TEXT, AT(axes), "ID,...", "intents to use (default: those that fit the text)", 0, 0},
    {"avoid", 0, CLI_TEXT, AT(avoid), "TEXT", "a reply that is not wanted again", 0, 0},
    {"choices", 0, CLI_TEXT, AT(choices), "FILE", "file of what was chosen before; --choose adds to it", 0,
     0},
    {"choose", 0, CLI_INT, AT(choose), "N", "keep the N-th reply as chosen, in the file of --choices", 1, 8},
    {"make-scenes", 0, CLI_FLAG, AT(make_scenes), NULL,
     "the model writes replies to each line of --file into the profile", 0, 0},
    {"upstream", 0, CLI_TEXT, AT(upstream), "URL",
     "OpenAI-compatible server (https://host/v1) that rounds of candidates may name", 0, 0},
    {"upstream-model", 0, CLI_TEXT, AT(upstream_model), "NAME",
     "its model; its key is read from IRORI_UPSTREAM_KEY", 0, 0},
    {"man", 0, CLI_FLAG, AT(man), NULL, "the manual page, in man(7) source", 0, 0},
    {"threads", 0, CLI_INT, AT(threads), "N", "threads (default: the processors this process may use)", 1,
     1024},
    {"ctx", 'c', CLI_INT, AT(ctx), "N",
     "tokens of context (default: what the model was trained on, at most 4096)", 2, 1 << 28},
    {"cpu", 0, CLI_TEXT, AT(cpu), "ISA", "use at most scalar, avx2, avx512, amx or neon", 0, 0},
    {"batch-size", 0, CLI_INT, AT(batch_size), "N", "tokens of a prompt run together (default 512)", 1, 8192},
    {"no-pin", 0, CLI_FLAG, AT(no_pin), NULL, "leave threads unbound to processors", 0, 0},
    {"no-repack", 0, CLI_FLAG, AT(no_repack), NULL, "use weights as the file holds them: slower", 0, 0},
    {"cache", 0, CLI_FLAG, AT(cache), NULL, "keep re-laid weights in a file: a sooner start, slower decoding",
     0, 0},
    {"cache-dir", 0, CLI_TEXT, AT(cache_dir), "DIR", "the same, in this folder", 0, 0},
    {"lora", 0, CLI_TEXT, AT(lora), "FILE[:SCALE]", "add a LoRA adapter to the model (scale 1 unless told)",
     0, 0},
    {"kv", 0, CLI_TEXT, AT(kv), "POLICY",
     "keys and values: f16 (default), uniform:q8|q4, window:TOKENS, h2o, staged, staged-rule", 0, 0},
    {"kv-budget", 0, CLI_TEXT, AT(kv_budget), "SIZE",
     "memory for keys and values: 1500M, or 25% of F16 (staged: of 2,048 tokens at least)", 0, 0},
    {"session", 0, CLI_TEXT, AT(session), "FILE",
     "go on from this file where it exists, and save to it at the end", 0, 0},
    {"prompt-cache", 0, CLI_TEXT, AT(prompt_cache), "DIR",
     "keep keys and values of prompts in this folder for later starts; empty: the usual one", 0, 0},
    {"kv-dir", 0, CLI_TEXT, AT(kv_dir), "DIR",
     "folder for what is dropped of them (default: $TMPDIR or /tmp)", 0, 0},
    {"models-dir", 0, CLI_TEXT, AT(models_dir), "DIR", "serve each .gguf file of this folder too", 0, 0},
    {"host", 0, CLI_TEXT, AT(host), "HOST", "address to listen on (default: 127.0.0.1 and ::1)", 0, 0},
    {"port", 0, CLI_INT, AT(port), "N", "port to listen on (default 11434); 0: any free one", 0, 65535},
    {"slots", 0, CLI_INT, AT(slots), "N", "answers of a model made at once (default 8)", 1, 64},
    {"queue", 0, CLI_INT, AT(queue), "N", "requests that may wait for a model (default 64)", 1, 1 << 20},
    {"keep-alive", 0, CLI_INT, AT(keep_alive), "S",
     "seconds an unused model stays open (default 300); -1: for ever", -1, 1 << 30},
    {"always-on", 0, CLI_FLAG, AT(always_on), NULL, "open every MODEL at the start and never close it", 0, 0},
    {"memory-budget", 0, CLI_INT, AT(memory_budget), "MB",
     "memory for all open models (default: three quarters of the machine's)", 1, 1 << 30},
    {"connections", 0, CLI_INT, AT(connections), "N", "clients connected at once (default 2048)", 1, 100000},
    {"api-key", 0, CLI_TEXT, AT(api_key), "KEY", "key that clients must send", 0, 0},
    {"origins", 0, CLI_TEXT, AT(origins), "URL,...", "web pages of other machines that may call; *: all", 0,
     0},
    {"tls-cert", 0, CLI_TEXT, AT(tls_cert), "FILE", "serve HTTPS with this certificate (PEM)", 0, 0},
    {"tls-key", 0, CLI_TEXT, AT(tls_key), "FILE", "its private key (PEM)", 0, 0},
    {"verify", 0, CLI_FLAG, AT(verify), NULL, "run the model, and tell how right the prediction was", 0, 0},
    {"probe", 0, CLI_FLAG, AT(probe), NULL, "measure the machine again", 0, 0},
    {"tier", 0, CLI_TEXT, AT(tier), "TIER",
     "plan for another machine: A-16..A-128, G-8..G-24, W-CPU1, W-CPU2", 0, 0},
    {"use-case", 0, CLI_TEXT, AT(use_case), "USE", "print the parts for a use, with what can go wrong", 0, 0},
    {"catalogue", 0, CLI_TEXT, AT(catalogue), "FILE", "models by name from this file (share/catalogue.json)",
     0, 0},
    {"force", 0, CLI_FLAG, AT(force), NULL, "open a model that does not fit into memory", 0, 0},
    {"log-prompts", 0, CLI_FLAG, AT(log_prompts), NULL, "write what clients send into the log", 0, 0},
    {"quiet", 'q', CLI_FLAG, AT(quiet), NULL, "no log of requests", 0, 0},
    {"ui-dir", 0, CLI_TEXT, AT(ui_dir), "DIR", "serve the page from the files of this folder", 0, 0},
    {"no-ui", 0, CLI_FLAG, AT(no_ui), NULL, "serve no page", 0, 0},
    {"as", 0, CLI_TEXT, AT(as), "NAME", "the model's name in the store", 0, 0},
    {"accept-license", 0, CLI_FLAG, AT(accept_license), NULL,
     "accept the model's licence without being asked", 0, 0},
    {"audit", 0, CLI_TEXT, AT(audit), "LEVEL",
     "audit log: off, on, or content (default: $IRORI_AUDIT, else off)", 0, 0},
    {"head", 0, CLI_TEXT, AT(head), "LINES:HASH", "a head that was kept elsewhere", 0, 0},
    {"sha256", 0, CLI_TEXT, AT(sha256), "HEX", "the hash that the file of a URL must have", 0, 0},
    {"token-file", 0, CLI_TEXT, AT(token_file), "FILE", "token for the host that is named, and no other", 0,
     0},
    {"proxy", 0, CLI_TEXT, AT(proxy), "URL", "proxy (default: https_proxy, http_proxy, all_proxy, no_proxy)",
     0, 0},
    {"allow-private", 0, CLI_FLAG, AT(allow_private), NULL, "fetch also from loopback and private addresses",
     0, 0},
    {"allow-http", 0, CLI_FLAG, AT(allow_http), NULL, "fetch also over plain HTTP", 0, 0},
    {"piece-kb", 0, CLI_INT, AT(piece_kb), "KB", "size of the pieces fetched side by side (default 16384)", 1,
     1 << 20},
    {"patience", 0, CLI_INT, AT(patience), "S",
     "seconds without a byte before a connection is tried anew (default 30)", 1, 3600},
    {"partial", 0, CLI_FLAG, AT(partial), NULL, "what interrupted pulls have left", 0, 0},
    {"json", 0, CLI_FLAG, AT(json), NULL, "the result as JSON on standard output", 0, 0},
    {"help", 'h', CLI_FLAG, AT(help), NULL, "help for the command", 0, 0},
};
const size_t cli_option_count = COUNT_OF(cli_option_table);

const cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    return NULL;
}

bool cli_takes(const cli_command *c, const cli_option *o)
{
    if (strcmp(o->name, "help") == 0)
        return true;
    size_t n = strlen(o->name);
    for (const char *at = c->options; (at = strstr(at, o->name)); at += n)
        if ((at == c->options || at[-1] == ' ') && (at[n] == 0 || at[n] == ' '))
            return true;
    return false;
}

int cmd_help(const cli_options *o)
{
    if (o->man) {
        cli_man_page();
        return CLI_OK;
    }
    if (!o->command) {
        cli_help_all();
        return CLI_OK;
    }
    const cli_command *c = cli_command_find(o->command);
    if (!c) {
        fprintf(stderr, "irori: no command \"%s\"; `irori help` lists them\n", o->command);
        return CLI_USAGE;
    }
    cli_help_command(c);
    return CLI_OK;
}

int cmd_completion(const cli_options *o)
{
    return cli_completion(o->command);
}

static void log_line(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    fprintf(stderr, "irori: %s%s\n", level == LOG_WARN ? "warning: " : "", line);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);  // a reader that goes away is a failed write, not a sudden death
    log_set(log_line, NULL, LOG_WARN);
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("irori %s\n", irori_version());
        return cli_end_output(CLI_OK);
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    const cli_command *c = cli_command_find(name);
    if (!c) {
        fprintf(stderr, "irori: no command \"%s\"; `irori help` lists them\n", name);
        return CLI_USAGE;
    }
    cli_options o;
    cli_defaults(&o);
    int rc = cli_parse(c, argc - 2, argv + 2, &o);
    if (rc)
        return rc;
    if (o.help) {
        cli_help_command(c);
        return cli_end_output(CLI_OK);
    }
    rc = cli_find_models(c, argc - 2, argv + 2, &o);
    return rc ? rc : cli_end_output(c->run(&o));
}
