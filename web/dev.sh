#!/usr/bin/env bash
# The api with live reload (air) behind `next dev`, on a data directory of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
export ATELIER_LISTEN=127.0.0.1:8080 ATELIER_DATA=.atelier-dev ATELIER_LOG_LEVEL=warn
export ATELIER_PUBLIC_URL=http://127.0.0.1:3000
trap 'kill 0' EXIT
go tool -modfile=tools/go.mod air -build.cmd 'go build -o bin/atelier-dev ./cmd/atelier' -build.bin bin/atelier-dev -build.args_bin up \
  -build.include_ext go,sql,yaml,avsc -build.exclude_dir web,bin,.atelier,.atelier-dev,docs -build.kill_delay 5s -build.send_interrupt true \
  -misc.clean_on_exit true -tmp_dir .atelier-dev/air &
(cd web && exec npm run --silent dev) &
echo 'screens    http://127.0.0.1:3000  (changes show at once; Ctrl-C stops both)'
wait -n
