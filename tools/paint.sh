#!/bin/sh
# Train and paint into a run folder, or say what stands there already: tools/paint.sh runs/first
set -eu
run=$1
bin=$BIN

if [ -f "$run/result.json" ]; then
    echo "$run is finished; nothing was trained again. For a fresh run: rm -r $run && make paint"
else
    [ ! -f "$run/config.json" ] || echo "$run was interrupted: taking it up from its last checkpoint"
    mkdir -p "$run"
    "$bin/papermill" --log-output --no-progress-bar nbs/train.ipynb "$run/train.ipynb" -r out_dir "$(cd "$run" && pwd -P)"
fi

echo
echo "The pictures are in $run/pictures:"
ls "$run/pictures" | sed 's/^/  /'
echo "The whole story, with its figures: $run/train.ipynb"
