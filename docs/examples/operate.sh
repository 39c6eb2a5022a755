set -eu
# One user, with a token that is shown once.
switchhook users add ann --first-name Ann --journal sqlite:///calls.db > ann.token

# The ready line is the first thing on standard output; logs go to standard error.
switchhook serve --listen 127.0.0.1:0 --journal sqlite:///calls.db > ready.json 2> log.jsonl &
server=$!
until [ -s ready.json ]; do kill -0 $server; sleep 0.1; done
address=$(python -c 'import json, sys; print(json.load(sys.stdin)["listening"][0])' < ready.json)

python - "$address" <<'PYTHON'
import sys, urllib.request
for path in ("/healthz", "/readyz"):
    with urllib.request.urlopen(sys.argv[1] + path) as answer:
        print(path, answer.status, answer.read().decode())
PYTHON

# A copy that is sound while the server writes.
switchhook backup backup.db --journal sqlite:///calls.db > /dev/null

kill -TERM $server
wait $server && echo "the server ended with 0"
switchhook replay sqlite:///backup.db
