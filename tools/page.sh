#!/bin/sh
# Installs what building and testing the page (web/) takes: its npm packages into web/node_modules, exactly those of
# web/package-lock.json, and Chromium from the system's packages. The program is built without: web/dist is committed.
#   tools/page.sh [--try]    --try: where something cannot be installed, say so in a line and succeed
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/log

packages() {
    # npm writes this file when it is done; it is older than the lock file when that has changed since.
    [ web/node_modules/.package-lock.json -nt web/package-lock.json ] && return 0
    node -e 'const [a, b] = process.versions.node.split(".").map(Number);
if (a < 20 || (a === 20 && b < 19)) { console.error("Node 20.19 or newer is needed"); process.exit(1); }' &&
        timeout 240 npm ci --silent --no-fund --no-audit --fetch-retries=1 --fetch-timeout=15000 --prefix web &&
        touch web/node_modules/.package-lock.json
}
browser() {
    timeout 300 tools/deps.sh page
}

if [ "${1:-}" = --try ]; then
    packages >build/log/page.txt 2>&1 ||
        echo "page: its npm packages cannot be installed here, its checks and tests are skipped (build/log/page.txt)"
    browser >>build/log/page.txt 2>&1 ||
        echo "page: Chromium cannot be installed here, the tests of the page are skipped (build/log/page.txt)"
else
    packages
    browser
fi
