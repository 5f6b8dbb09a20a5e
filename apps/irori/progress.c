// The progress bar.
#include <stdio.h>
#include <unistd.h>

#include "cli.h"

void cli_progress_start(cli_progress *p, const char *what)
{
    *p = (cli_progress){.what = what, .started = os_seconds()};
}

void cli_progress_step(void *ctx, uint64_t done, uint64_t total)
{
    cli_progress *p = ctx;
    double now = os_seconds();
    if (!isatty(STDERR_FILENO) || now - p->started < 1 || now - p->drawn < 0.1 || total == 0)
        return;
    enum { WIDTH = 30 };
    char bar[WIDTH + 1];
    int full = (int)((double)done / (double)total * WIDTH);
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = 0;
    fprintf(stderr, "\r%s [%s] %3.0f %%", p->what, bar, 100 * (double)done / (double)total);
    fflush(stderr);
    p->drawn = now;
    p->shown = true;
}

void cli_progress_end(cli_progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
    p->shown = false;
}
