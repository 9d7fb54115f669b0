#!/bin/sh
# Make the environment of this project: tools/setup.sh FOLDER [PYTHON]
set -eu
venv=$1
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

python=
for name in ${2:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
    if command -v "$name" >/dev/null 2>&1 && "$name" -c "$new_enough" 2>/dev/null; then
        python=${python:-$name}
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then python=$name; break; fi
    fi
done

if [ -z "$python" ]; then
    echo "sgpaint needs Python 3.11 or newer, and found none${2:+ as \"$2\"}." \
         "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.11)" \
         "or name it: make PYTHON=/path/to/python3.11 paint" >&2
    exit 1
fi

if ! { [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "$new_enough" && "$venv/bin/python" -m pip --version; } >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$python cannot make virtual environments: its venv module is missing." \
             "Install it (Debian, Ubuntu: apt install $("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])'))" \
             "and run make again." >&2
        exit 1
    fi
    echo "Making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

echo "Installing the versions of pins.txt into $venv (about 2 GB, one minute on a fast line; more with the CUDA build of torch)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r pins.txt
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
