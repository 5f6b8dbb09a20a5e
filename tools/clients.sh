#!/bin/sh
# Installs the clients that tests/clients runs against the server, from PyPI and npm, into build/clients (or
# $IRORI_CLIENTS). Nothing else needs them; without them their tests are skipped.
set -eu
cd "$(dirname "$0")/.."
folder=${IRORI_CLIENTS:-build/clients}
mkdir -p "$folder"
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check openai ollama anthropic langchain-openai
if command -v npm >/dev/null 2>&1; then
    npm install --silent --no-fund --no-audit --prefix "$folder" openai ollama
fi
