#!/bin/sh
# Hang every painting of the runs on one static page, also what failed: tools/gallery.sh runs/gallery
set -eu
out=$1
bin=$BIN

mkdir -p "$out"
"$bin/papermill" --log-output --no-progress-bar nbs/gallery.ipynb "$out/gallery.ipynb" -p out_dir "$out"

echo
echo "The gallery is $out/index.html: open it in a browser; nothing is fetched from a network."
