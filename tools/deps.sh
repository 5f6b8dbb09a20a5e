#!/bin/sh
# Checks for what a build needs and installs what is missing through the system's own package manager. With
# everything in place it only looks, and touches no network.
#   tools/deps.sh [build] [check] [page]    build: compiler, build tools, libraries (the default); check: the extra
#                                    tools of `make check` and .ci/run (Debian and Ubuntu only); page: a browser for
#                                    the tests of the page
set -eu

groups="${*:-build}"
missing=""

need() {  # need PACKAGE TEST...: when the test fails, the package (its Debian name) is missing
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
tool() { command -v "$1"; }
header() {
    for dir in /usr/include /usr/local/include /opt/homebrew/include "/usr/include/$(uname -m)-linux-gnu"; do
        [ -e "$dir/$1" ] && return 0
    done
    return 1
}
cmake_325() {
    version=$(cmake --version 2>/dev/null | sed -n '1s/[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    # shellcheck disable=SC2086  # two words
    set -- ${version:-0 0}
    [ "$1" -gt 3 ] || { [ "$1" -eq 3 ] && [ "$2" -ge 25 ]; }
}
compiler() { tool gcc || { tool cc && cc --version; }; }
arm_libc() { [ -e /usr/aarch64-linux-gnu/include/stdio.h ]; }
clang_runtime() { ls /usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a; }

look() {
    missing=""
    for group in $groups; do
        case $group in
        build)
            need make tool make
            need gcc compiler
            [ "$(uname -s)" = Darwin ] || need libc6-dev header stdio.h
            need cmake cmake_325
            need ninja-build tool ninja
            need pkg-config tool pkg-config
            need libpcre2-dev header pcre2.h
            need libutf8proc-dev header utf8proc.h
            need libjansson-dev header jansson.h
            need libxxhash-dev header xxhash.h
            need libedit-dev header editline/readline.h
            need libmicrohttpd-dev header microhttpd.h
            need libsqlite3-dev header sqlite3.h
            need libcurl4-gnutls-dev header curl/curl.h
            need nettle-dev header nettle/sha2.h
            need libcmocka-dev header cmocka.h
            ;;
        check)
            need python3 tool python3
            need clang-format-14 tool clang-format-14
            need clang-14 tool clang-14
            need libclang-rt-14-dev clang_runtime
            need gcc-aarch64-linux-gnu tool aarch64-linux-gnu-gcc
            need libc6-dev-arm64-cross arm_libc
            need qemu-user tool qemu-aarch64
            ;;
        page)
            need chromium tool chromium
            ;;
        *)
            echo "deps: unknown group '$group'; there are: build check page" >&2
            exit 2
            ;;
        esac
    done
}

look
[ -z "$missing" ] && exit 0

# The Debian name of a package -> its name elsewhere; empty when the system has it built in.
translate() {
    case "$1:$2" in
    dnf:libc6-dev) echo glibc-devel ;;
    dnf:libpcre2-dev) echo pcre2-devel ;;
    dnf:libutf8proc-dev) echo utf8proc-devel ;;
    dnf:libjansson-dev) echo jansson-devel ;;
    dnf:libxxhash-dev) echo xxhash-devel ;;
    dnf:libedit-dev) echo libedit-devel ;;
    dnf:libmicrohttpd-dev) echo libmicrohttpd-devel ;;
    dnf:libsqlite3-dev) echo sqlite-devel ;;
    dnf:libcurl4-gnutls-dev) echo libcurl-devel ;;
    dnf:nettle-dev) echo nettle-devel ;;
    dnf:libcmocka-dev) echo libcmocka-devel ;;
    dnf:pkg-config) echo pkgconf-pkg-config ;;
    pacman:libc6-dev) echo glibc ;;
    pacman:pkg-config) echo pkgconf ;;
    pacman:ninja-build | brew:ninja-build) echo ninja ;;
    brew:pkg-config) echo pkgconf ;;
    pacman:libpcre2-dev | brew:libpcre2-dev) echo pcre2 ;;
    pacman:libutf8proc-dev) echo libutf8proc ;;
    brew:libutf8proc-dev) echo utf8proc ;;
    pacman:libjansson-dev | brew:libjansson-dev) echo jansson ;;
    pacman:libxxhash-dev | brew:libxxhash-dev) echo xxhash ;;
    pacman:libedit-dev | brew:libedit-dev) echo libedit ;;
    pacman:libmicrohttpd-dev | brew:libmicrohttpd-dev) echo libmicrohttpd ;;
    pacman:libsqlite3-dev | brew:libsqlite3-dev) echo sqlite ;;
    pacman:libcurl4-gnutls-dev | brew:libcurl4-gnutls-dev) echo curl ;;
    pacman:nettle-dev | brew:nettle-dev) echo nettle ;;
    pacman:libcmocka-dev | brew:libcmocka-dev) echo cmocka ;;
    *) echo "$2" ;;
    esac
}

for manager in apt-get dnf pacman brew none; do
    command -v "$manager" >/dev/null 2>&1 && break
done
names=""
for package in $missing; do
    names="$names $(translate "$manager" "$package")"
done
case $manager in
apt-get) install="apt-get install -y --no-install-recommends -q=2" ;;
dnf) install="dnf install -y -q" ;;
pacman) install="pacman -S --needed --noconfirm" ;;
brew) install="brew install" ;;
none)
    echo "deps: no apt-get, dnf, pacman or brew here; install these (Debian names) and try again:$missing" >&2
    exit 1
    ;;
esac

as_root=""
if [ "$manager" != brew ] && [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "deps: missing packages, and no sudo to install them. As root, run: $install$names" >&2
        exit 1
    fi
    as_root="sudo"
    [ -t 0 ] || as_root="sudo -n"  # nobody there to type a password
fi

echo "deps: installing$names"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
    # shellcheck disable=SC2086  # lists of words
    $as_root env DEBIAN_FRONTEND=noninteractive $1 >>"$log" 2>&1
}
[ "$manager" != apt-get ] || run "apt-get update -q=2" || true  # a stale list may still do; the install will say
if ! run "$install$names"; then
    tail -n 15 "$log" >&2
    echo "deps: the packages could not be installed. By hand: ${as_root:+sudo }$install$names" >&2
    exit 1
fi
look
if [ -n "$missing" ]; then
    echo "deps: installed, but still missing or too old (CMake must be 3.25 or newer):$missing" >&2
    exit 1
fi
