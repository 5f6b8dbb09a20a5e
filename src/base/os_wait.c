// Sleeping on a word of memory: the futex on Linux, elsewhere mutexes and condition variables.
// IRORI_PORTABLE_WAIT asks for the second on Linux too, for its test.
#include "base/os.h"

#include <limits.h>

#if defined(__linux__) && !defined(IRORI_PORTABLE_WAIT)

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void os_wait_word(const _Atomic uint32_t *word, uint32_t old)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
}

void os_wake_word(const _Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

#else

#include <pthread.h>
#include <stdatomic.h>

// One queue for all words: a wake-up also reaches the sleepers of other words, who look and sleep again.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;

void os_wait_word(const _Atomic uint32_t *word, uint32_t old)
{
    pthread_mutex_lock(&lock);
    if (atomic_load(word) == old)
        pthread_cond_wait(&woken, &lock);
    pthread_mutex_unlock(&lock);
}

void os_wake_word(const _Atomic uint32_t *word)
{
    (void)word;
    pthread_mutex_lock(&lock);  // a waiter is either before its look at the word or already in the queue
    pthread_cond_broadcast(&woken);
    pthread_mutex_unlock(&lock);
}

#endif
