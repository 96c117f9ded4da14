#!/usr/bin/env bash
# One campaign from sign-in to files on disk, as a client of the API would do it.
#
#   examples/campaign.sh http://127.0.0.1:8080 out/
#
# Signs in (embedded issuer; or give a token in ATELIER_TOKEN), saves a brand with
# a logo, asks for a quote, requests one image for each of four placements, follows
# the stream, and leaves four files of the platforms' sizes and a statement in out/.
# Needs curl and python3.
set -euo pipefail

base=${1:?usage: examples/campaign.sh BASE_URL OUT_DIR}
out=${2:?usage: examples/campaign.sh BASE_URL OUT_DIR}
for tool in curl python3; do
  command -v "$tool" >/dev/null || { echo "campaign: missing: $tool" >&2; exit 1; }
done
mkdir -p "$out"
work=$(mktemp -d)
trap 'kill ${follow:-} 2>/dev/null || true; rm -rf "$work"' EXIT

field() { python3 -c 'import json,sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    value = value[int(key)] if isinstance(value, list) else value[key]
print(value)' "$work/body" "$1"; }

position=
# call METHOD PATH [curl arguments]: the body goes to $work/body. 503 says to try
# again later, which is safe: what changes something carries an idempotency key. Any
# other answer that is not 2xx ends the script with what the API said.
call() {
  local method=$1 path=$2 status tries=0
  shift 2
  while :; do
    status=$(curl --silent --show-error --max-time 60 --request "$method" "$base$path" \
      --header "Authorization: Bearer ${token:-}" ${position:+--header "Atelier-Position: $position"} \
      --dump-header "$work/headers" --output "$work/body" --write-out '%{http_code}' "$@")
    [[ $status == 503 && $((tries += 1)) -lt 5 ]] || break
    sleep "$(tr -d '\r' <"$work/headers" | awk 'tolower($1) == "retry-after:" {print $2}' | tail -n 1 | grep . || echo 2)"
  done
  if [[ $status != 2* ]]; then
    echo "campaign: $method $path: $status" >&2
    cat "$work/body" >&2
    exit 1
  fi
}
# What follows a command reads what it led to: no screen shows the past.
remember() { position=$(tr -d '\r' <"$work/headers" | awk 'tolower($1) == "atelier-position:" {print $2}' | tail -n 1); }
json() { call "$1" "$2" --header 'Content-Type: application/json' --header "Idempotency-Key: $3" --data "$4"; }

# 1. Sign in.
token=${ATELIER_TOKEN:-}
if [[ -z $token ]]; then
  call POST /dev/sign-in --header 'Content-Type: application/json' \
    --data "{\"email\": \"campaign-$RANDOM$RANDOM@example.com\"}"
  token=$(field access_token)
fi
call GET /v1/me
call GET /v1/credits
echo "signed in, $(field available) credits"

# 2. A logo and a brand. The logo is drawn here: two bars on white.
python3 - "$work/logo.png" <<'PY'
import struct, sys, zlib
size = 256
def pixel(x, y):
    if 64 <= x < 112 and 48 <= y < 208: return b"\x1f\x4d\x3a\xff"
    if 136 <= x < 192 and 112 <= y < 208: return b"\xe8\x9c\x5a\xff"
    return b"\xff\xff\xff\x00"
rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(size)) for y in range(size))
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
open(sys.argv[1], "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
PY
run=$RANDOM$RANDOM
call POST /v1/assets --header "Idempotency-Key: logo-$run" \
  --form "file=@$work/logo.png;type=image/png" --form kind=logo --form name=Logo
logo=$(field id)
remember
json POST /v1/brands "brand-$run" "{\"kit\": {
  \"name\": \"Fjord & Pine\", \"logo_asset_id\": \"$logo\",
  \"colours\": [{\"name\": \"Pine\", \"hex\": \"#1f4d3a\", \"role\": \"primary\"},
                {\"name\": \"Amber\", \"hex\": \"#e89c5a\", \"role\": \"accent\"},
                {\"name\": \"Mist\", \"hex\": \"#eef2ee\", \"role\": \"background\"}],
  \"voice\": \"calm, exact, a little dry\", \"audience\": \"people who hike before breakfast\",
  \"do\": [\"natural light\"], \"dont\": [\"crowds\"], \"banned_words\": [\"cheap\"]}}"
brand=$(field id)
remember
echo "brand $brand with a logo"

# 3. A quote, and the same request in earnest.
request="{\"brand_id\": \"$brand\", \"workflow\": \"create\", \"tier\": \"standard\", \"variants\": 1,
  \"placements\": [\"meta_feed_square\", \"meta_story\", \"google_landscape\", \"google_portrait\"],
  \"brief\": {\"product\": \"an insulated steel bottle\", \"audience\": \"early risers\",
    \"headline\": \"Hot at the summit\", \"call_to_action\": \"Shop now\", \"scene\": \"a ridge at dawn\"}"
json POST /v1/quotes "quote-$run" "$request}"
credits=$(field credits)
echo "quote: $credits credits, $(field available) available"

# The stream is opened before the request, so that nothing is missed.
curl --silent --no-buffer --max-time 300 "$base/v1/stream" --header "Authorization: Bearer $token" >"$work/stream" &
follow=$!
json POST /v1/generations "batch-$run" "$request, \"max_credits\": $credits}"
batch=$(field batch_id)
remember
echo "batch $batch: $(field credits_reserved) credits reserved"

# 4. Follow the stream until each image has ended and is paid, or its credits are back.
# Reads behind it name the position of the last event, so that they show all of this.
python3 - "$work/stream" "$batch" "$work/position" <<'PY'
import json, pathlib, sys, time
path, batch, last = sys.argv[1:]
ended, settled, event, position, deadline = set(), set(), "", "", time.monotonic() + 280
with open(path) as stream:
    while len(ended) < 4 or len(settled) < 4:
        line = stream.readline()
        if not line:
            if time.monotonic() > deadline:
                sys.exit("campaign: the stream ended before the images")
            time.sleep(0.05)
            continue
        if line.startswith("event:"):
            event = line.split(":", 1)[1].strip()
        elif line.startswith("id:"):
            position = line.split(":", 1)[1].strip()
        elif line.startswith("data:"):
            data = json.loads(line.split(":", 1)[1])
            if data.get("batch_id") != batch:
                continue
            if event in ("CreditsCaptured", "CreditsReleased"):
                settled.add(data["generation_id"])
            elif event in ("GenerationSucceeded", "GenerationFailed", "GenerationCanceled"):
                ended.add(data["generation_id"])
                print(f"  {event} ({len(ended)} of 4)")
pathlib.Path(last).write_text(position)
PY
position=$(<"$work/position")

# 5. The files, and the statement.
call GET "/v1/batches/$batch"
call GET "/v1/generations?batch_id=$batch&limit=100"
python3 -c 'import json,sys
for g in json.load(open(sys.argv[1]))["items"]: print(g["id"], g["placement"], g["status"])' "$work/body" >"$work/images"
while read -r id placement status; do
  [[ $status == succeeded ]] || { echo "campaign: $placement $status" >&2; exit 1; }
  curl --silent --show-error --fail --location --max-time 60 "$base/v1/generations/$id/file?placement=$placement" \
    --header "Authorization: Bearer $token" --output "$out/$placement.jpg"
done <"$work/images"
call GET /v1/credits
cp "$work/body" "$out/credits.json"
call GET /v1/credits/entries --header 'Accept: text/csv'
cp "$work/body" "$out/statement.csv"

python3 - "$out" "$credits" <<'PY'
import csv, json, pathlib, struct, sys
out, price = pathlib.Path(sys.argv[1]), int(sys.argv[2])
want = {"meta_feed_square": (1080, 1080), "meta_story": (1080, 1920), "google_landscape": (1200, 628), "google_portrait": (960, 1200)}
def jpeg_size(data):
    assert data[:2] == b"\xff\xd8", "not a JPEG"
    at = 2
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2:at + 4])[0]
        if 0xC0 <= marker <= 0xC3:
            return tuple(reversed(struct.unpack(">HH", data[at + 5:at + 9])))
        at += 2 + length
for name, size in want.items():
    data = (out / f"{name}.jpg").read_bytes()
    got = jpeg_size(data)
    assert got == size, f"{name}: {got}, want {size}"
    print(f"  {out / name}.jpg  {got[0]}x{got[1]}  {len(data) // 1024} kB")
credits = json.loads((out / "credits.json").read_text())
rows = list(csv.DictReader((out / "statement.csv").open()))
available = sum(int(row["available_change"]) for row in rows)
held = sum(int(row["held_change"]) for row in rows)
assert (available, held) == (credits["available"], credits["held"]), f"statement {available}, {held}; balance {credits}"
captured = -sum(int(row["credits"]) for row in rows if row["kind"] == "captured")
assert captured == price and held == 0, f"paid {captured}, quoted {price}, held {held}"
print(f"paid {captured} credits as quoted, {available} left; the statement's {len(rows)} lines add up")
PY
