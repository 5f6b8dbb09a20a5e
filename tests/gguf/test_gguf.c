// All groups of the gguf tests.
#include "gguf/tests.h"

int main(void)
{
    int failed = run_read_tests() + run_bad_tests() + run_split_tests() + run_write_tests() +
                 run_mutate_tests();
    sample_clean();
    return failed;
}
