#!/bin/sh
# Installs the clients that tests/clients runs against the server, from PyPI and npm, into build/clients (or
# $IRORI_CLIENTS). Nothing else needs them; without them their tests are skipped. What is there is left as it is.
#   tools/clients.sh [--try]    --try: where they cannot be installed, say so in a line and succeed
set -eu
cd "$(dirname "$0")/.."
folder=${IRORI_CLIENTS:-build/clients}
mkdir -p "$folder" build/log

python_clients() {
    [ -x "$folder/bin/pip" ] || python3 -m venv "$folder" || return 1
    "$folder/bin/python" -c "from importlib.util import find_spec as f
exit(not all(map(f, ('openai', 'ollama', 'anthropic', 'langchain_openai'))))" ||
        timeout 240 "$folder/bin/pip" install -q --disable-pip-version-check --retries 1 --timeout 15 \
            openai ollama anthropic langchain-openai
}
node_clients() {
    [ -d "$folder/node_modules/openai" ] && [ -d "$folder/node_modules/ollama" ] && return 0
    timeout 240 npm install --silent --no-fund --no-audit --fetch-retries=1 --fetch-timeout=15000 --prefix "$folder" \
        openai ollama
}

if [ "${1:-}" = --try ]; then
    python_clients >build/log/clients.txt 2>&1 ||
        echo "clients: those in Python cannot be installed here, their tests are skipped (build/log/clients.txt)"
    node_clients >>build/log/clients.txt 2>&1 ||
        echo "clients: those in JavaScript cannot be installed here, their tests are skipped (build/log/clients.txt)"
else
    python_clients
    node_clients
fi
