#!/usr/bin/env bash
# Run the tests that need a GPU, and measure, in the GPU image on this machine; keep what came out.
set -euo pipefail
# shellcheck source=docker/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<'TEXT'
usage: docker/run_gpu_test.sh [--gpu N|UUID] [--out DIR] [--quick] [--data DIR] [--model FILE.onnx] [--base IMAGE]
                              [--cuda 12|13] [--no-build] [--dry-run] [-- PYTEST ARGUMENTS]

Builds the stage `tests` of docker/Dockerfile.gpu, then writes into DIR:

  machine.txt    driver, GPU, CUDA, and versions of torch, TensorRT and CuPy in the image
  tests.txt      pytest -m gpu, and the kernels' tests
  tests.xml      the same as JUnit XML
  bench.txt      bench/gpu.py
  figures.json   its figures

  --gpu          number or UUID (nvidia-smi -L; default: 0)
  --out          default: out/gpu
  --quick        few repetitions of each measurement
  --data         folder with test data (MANIFEST.toml); without it the tests that need it skip
  --model        detector with a free batch, for the measurement of whole cameras
  --base, --cuda base image and its CUDA, as for build_image.sh
  --no-build     the image is there
  --dry-run      show the commands

Exit status: 0 all right, 1 a test failed, a figure is wrong, or docker or a GPU is missing, 2 a flag is wrong.
docs/gpu_status.md says what is to be read out of it.
TEXT
}

gpu=0 out="$ROOT/out/gpu" quick=() data="" model="" build=(--device cuda --target tests) no_build="" tests=()
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --gpu) need_value "$1" $#; gpu="$2"; shift 2 ;;
        --out) need_value "$1" $#; out="$2"; shift 2 ;;
        --quick) quick=(--quick); shift ;;
        --data) need_value "$1" $#; data="$2"; shift 2 ;;
        --model) need_value "$1" $#; model="$2"; shift 2 ;;
        --base | --cuda) need_value "$1" $#; build+=("$1" "$2"); shift 2 ;;
        --no-build) no_build=1; shift ;;
        --dry-run) DRY_RUN=1; build+=(--dry-run); shift ;;
        --) shift; tests=("$@"); break ;;
        *) fail_usage "$1 is no flag" ;;
    esac
done
[ -z "$data" ] || [ -r "$data/MANIFEST.toml" ] || fail_usage "--data $data: there is no MANIFEST.toml"
[ -z "$model" ] || [ -r "$model" ] || fail_usage "--model $model: there is no such file"

need_docker
need_gpu
[ -n "$no_build" ] || "$ROOT/docker/build_image.sh" "${build[@]}"
image="camring:$(setting IMAGE_TAG "$ROOT/docker/.env.dev")-gpu-tests"

in_image() { # command: in the image, with the GPU, as the image's user; /results is the folder for what comes out
    carry_out docker run --rm --gpus "\"device=$gpu\"" --read-only --tmpfs /tmp:size=4g,mode=1777 \
        --cap-drop ALL --security-opt no-new-privileges --volume camring-cache:/cache --volume "$out:/results" \
        "${mounts[@]}" "$image" python "$@"
}
mounts=()
if [ -n "$data" ]; then
    mounts+=(--volume "$(cd "$data" && pwd):/data:ro" --env ENGINE_TEST_DATA=/data)
fi
measured=("${quick[@]}")
if [ -n "$model" ]; then
    mounts+=(--volume "$(cd "$(dirname "$model")" && pwd)/$(basename "$model"):/model.onnx:ro")
    measured+=(--model /model.onnx)
fi
if [ "${#tests[@]}" -eq 0 ]; then
    tests=(-m "gpu or not slow" tests/kernels tests/models/test_prepare_cuda.py tests/models/test_reid_crops_cuda.py
        tests/models/test_backend_conformance.py tests/models/test_trt_graph.py tests/sources/test_nvdec.py
        tests/outputs/test_encode.py tests/tools/test_export_trt.py tests/tools/test_trt_segmenter.py tests/bench/test_gpu.py)
fi

versions='
import cupy, tensorrt, torch, triton
print("torch", torch.__version__, "CUDA", torch.version.cuda, "triton", triton.__version__)
print("tensorrt", tensorrt.__version__, "cupy", cupy.__version__)
print(torch.cuda.get_device_name(0))
'
status=0
if [ -z "$DRY_RUN" ]; then
    mkdir -p "$out"
    out="$(cd "$out" && pwd)"
    chmod 0777 "$out" # the image's user writes there
    nvidia-smi >"$out/machine.txt"
    in_image -c "$versions" >>"$out/machine.txt" 2>&1 || status=1
    in_image -m pytest -o cache_dir=/tmp/pytest --junitxml=/results/tests.xml "${tests[@]}" 2>&1 | tee "$out/tests.txt" || status=1
    in_image bench/gpu.py --json /results/figures.json "${measured[@]}" 2>&1 | tee "$out/bench.txt" || status=1
    echo "written to $out"
else
    in_image -c "$versions"
    in_image -m pytest -o cache_dir=/tmp/pytest --junitxml=/results/tests.xml "${tests[@]}"
    in_image bench/gpu.py --json /results/figures.json "${measured[@]}"
fi
exit "$status"
