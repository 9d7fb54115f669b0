#!/bin/sh
# Build static pages of every painting under runs/, failed runs included: tools/gallery.sh runs/gallery
set -eu
out=$1
bin=$BIN

mkdir -p "$out"
"$bin/papermill" --log-output --no-progress-bar nbs/gallery.ipynb "$out/gallery.ipynb" -p out_dir "$out"

echo
echo "The gallery is $out/index.html: open it in a browser; nothing is fetched from a network."
