#!/usr/bin/env bash
# All that a machine with an NVIDIA card is needed for, in one run of about half an hour:
#
#     benchmarks/gpu.sh DIR [PYTHON]
#
# DIR must not exist yet; nothing is written outside of it. PYTHON has stemstream installed with the extras all and test,
# and PyTorch for CUDA. What ends badly is told at the end; the others go on.
#
#   tests.txt     the tests that need a card
#   full-size/    stemstream bench --full-size: the network alone and the whole way from file to files, as shares of the
#                 measured bf16 product speed, and both against the baseline under automatic fp16
#   streams.md    1, 4 and 8 live streams on one worker
#   card.txt      the card and its driver
set -uo pipefail

if (($# < 1 || $# > 2)); then
    echo "usage: benchmarks/gpu.sh DIR [PYTHON]" >&2
    exit 2
fi
if [[ -e $1 ]]; then
    echo "error: $1 exists: name a folder that does not" >&2
    exit 2
fi
python=${2:-python3}
[[ $python == */* && $python != /* ]] && python=$PWD/$python
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "error: $python finds no CUDA device: install a driver, and PyTorch for CUDA" >&2
    exit 4
fi
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

mkdir "$out/tmp"
export TMPDIR="$out/tmp" STEMSTREAM_CACHE="$out/cache" XDG_CACHE_HOME="$out/cache" PYTHONDONTWRITEBYTECODE=1
export TORCHINDUCTOR_CACHE_DIR="$out/cache/inductor" TRITON_CACHE_DIR="$out/cache/triton" CUDA_CACHE_PATH="$out/cache/cuda"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
failed=()

step() {
    local name=$1
    shift
    echo "== $name" >&2
    "$@" || failed+=("$name")
}

tests() { "$python" -m pytest -p no:cacheprovider -m gpu --override-ini addopts= -ra tests >"$out/tests.txt" 2>&1; }
bench() { "$python" -m streamer.cli bench --full-size --device cuda -o "$out/full-size" >"$out/bench.txt"; }
streams() {
    "$python" benchmarks/streams.py --full-size --device cuda --precision bf16 --streams 1 4 8 --seconds 60 \
        --json "$out/streams.json" >"$out/streams.md"
}

nvidia-smi >"$out/card.txt" 2>&1
step tests tests
step bench bench
step streams streams
rm -rf "$out/tmp" "$out/cache"

if ((${#failed[@]})); then
    echo "error: failed: ${failed[*]}; see $out" >&2
    exit 1
fi
echo "all done: $out" >&2
