#!/bin/sh
# Runs the named stages, one line each with its time, and stops at the first that fails. What a stage prints goes
# to build/log/STAGE.txt; of a failed one the end is shown.
#   tools/check.sh STAGE...    test format layers web werror fuzz asan tsan arm64
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/log
jobs=$(getconf _NPROCESSORS_ONLN)

build() {  # build PRESET [build options...]
    preset=$1
    shift
    cmake --preset "$preset" && cmake --build "build/$preset" "$@"
}
tests() {  # tests PRESET [ctest options...]
    preset=$1
    shift
    ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure "$@"
}

stage_test() { make test FLAGS=-DIRORI_WERROR=ON; }
stage_format() { git ls-files '*.[ch]' | xargs clang-format-14 --dry-run -Werror; }
stage_layers() { python3 tools/check_layers.py && python3 tools/check_taste.py; }
stage_web() {  # the committed bundle is what the sources give
    if [ ! -d web/node_modules ]; then
        echo "skipped: the page's npm packages are not installed (tools/page.sh)"
        return 0
    fi
    (cd web && npm run -s check && npm run -s verify)
}
stage_werror() { build werror; }  # with clang; the stage "test" does it with gcc
stage_asan() { build asan && tests asan -LE slow; }
stage_tsan() { build tsan --target label_threads && tests tsan -L threads; }
stage_arm64() { build arm64 && tests arm64 -LE slow; }
stage_fuzz() {  # each fuzzer runs a moment beyond its corpus
    build fuzz --target fuzzers || return 1
    for fuzzer in build/fuzz/tests/fuzz/fuzz_*; do
        [ -x "$fuzzer" ] && [ -f "$fuzzer" ] || continue
        name=${fuzzer##*/fuzz_}
        mkdir -p "build/fuzz/found/$name"
        "$fuzzer" -max_total_time=5 -timeout=2 -verbosity=0 -print_final_stats=1 \
            -artifact_prefix="build/fuzz/found/$name/" "build/fuzz/found/$name" "tests/fuzz/corpus/$name" || return 1
    done
}

passed=0
began=$(date +%s)
for stage in "$@"; do
    log=build/log/$stage.txt
    start=$(date +%s)
    if ! "stage_$stage" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "$stage: FAILED after $(($(date +%s) - start)) s (all of it: $log)"
        exit 1
    fi
    n=$(sed -n 's/.*tests passed, 0 tests failed out of \([0-9]*\).*/\1/p' "$log" | tail -n 1)
    passed=$((passed + ${n:-0}))
    skipped=$(sed -n 's/^skipped: //p' "$log" | head -n 1)
    [ "$stage" = web ] || skipped=""  # of the others, single tests
    printf '%-8s ok %5d s%s\n' "$stage" $(($(date +%s) - start)) "${n:+   $n tests passed}${skipped:+   skipped: $skipped}"
done
echo "$passed tests passed, 0 failed, $(($(date +%s) - began)) s"
