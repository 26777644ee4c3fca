#!/bin/sh
# Render one timeline; say something only if there is something to say; return clipcut's exit code.
set -u
timeline="${1:-mix.json}"
cd "$(dirname "$0")" || exit 1

set -- -q --log-format json --log-file nightly.jsonl
if [ -n "${NODE_EXPORTER_TEXTFILES:-}" ]; then # the folder that node_exporter reads; without it there are no metrics
  job="$(basename "$timeline" .json)"
  set -- "$@" --job "$job" --prom-textfile "$NODE_EXPORTER_TEXTFILES/clipcut-$job.prom"
fi
clipcut render "$timeline" "$@"
code=$?

case $code in
  0) ;;
  1) echo "$timeline: failed; the video of the last run was kept" ;;
  2) echo "$timeline: the timeline or a setting has mistakes; nothing was touched" ;;
  3) echo "$timeline: delivered, with placeholders; somebody should look at the report" ;;
  4) echo "$timeline: the run before this one is still at work" ;;
  129 | 130 | 143) echo "$timeline: stopped by a signal; the video of the last run was kept" ;;
  *) echo "$timeline: exit code $code, which is not known here; taken as failure" ;;
esac
exit "$code"
