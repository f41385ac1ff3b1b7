#!/usr/bin/env bash
# Build the image for a device.
set -euo pipefail
# shellcheck source=docker/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<'TEXT'
usage: docker/build_image.sh [--env dev|prod|FILE] [--device cpu|cuda] [--tag TAG] [--base IMAGE] [--cuda 12|13]
                             [--target STAGE] [--no-cache] [--dry-run]

Builds camring:TAG (cpu, docker/Dockerfile) or camring:TAG-gpu (cuda, docker/Dockerfile.gpu).

  --env          file that the defaults come from: docker/.env.dev (default), docker/.env.prod, or your own
  --device       which of the two (default: DEVICE of the file)
  --tag          default: IMAGE_TAG of the file
  --base         base image, also with its digest: IMAGE@sha256:… (default: PYTHON_IMAGE or TORCH_IMAGE of the file)
  --cuda         CUDA of a torch base (default: CUDA of the file)
  --target       stage to stop at: runtime, or tests of Dockerfile.gpu
  --no-cache     from nothing: with the newest base, and the security fixes in it
  --dry-run      show the command

Exit status: 0 built, 1 docker is missing or the build failed, 2 a flag is wrong.
TEXT
}

env_file=dev device="" tag="" base="" cuda="" target="" fresh=()
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --env) need_value "$1" $#; env_file="$2"; shift 2 ;;
        --device) need_value "$1" $#; device="$2"; shift 2 ;;
        --tag) need_value "$1" $#; tag="$2"; shift 2 ;;
        --base) need_value "$1" $#; base="$2"; shift 2 ;;
        --cuda) need_value "$1" $#; cuda="$2"; shift 2 ;;
        --target) need_value "$1" $#; target="$2"; shift 2 ;;
        --no-cache) fresh=(--no-cache --pull); shift ;;
        --dry-run) DRY_RUN=1; shift ;;
        *) fail_usage "$1 is no flag" ;;
    esac
done
case "$env_file" in dev | prod) env_file="$ROOT/docker/.env.$env_file" ;; esac
[ -r "$env_file" ] || fail_usage "$env_file: there is no such file"
device="${device:-$(setting DEVICE "$env_file")}"
tag="${tag:-$(setting IMAGE_TAG "$env_file")}"

revision="$(git -C "$ROOT" describe --always --dirty 2>/dev/null || echo unknown)"
options=(--build-arg "REVISION=$revision" "${fresh[@]}")
case "$device" in
    cpu)
        [ -z "$cuda" ] || fail_usage "--cuda is for --device cuda"
        options+=(--file "$ROOT/docker/Dockerfile" --build-arg "PYTHON_IMAGE=${base:-$(setting PYTHON_IMAGE "$env_file")}")
        name="camring:$tag"
        ;;
    cuda)
        options+=(--file "$ROOT/docker/Dockerfile.gpu" --build-arg "TORCH_IMAGE=${base:-$(setting TORCH_IMAGE "$env_file")}"
            --build-arg "CUDA=${cuda:-$(setting CUDA "$env_file")}")
        name="camring:$tag-gpu"
        ;;
    *) fail_usage "--device $device is neither cpu nor cuda" ;;
esac
[ -z "$target" ] || options+=(--target "$target")
[ "$target" != tests ] || name="$name-tests"

need_docker
# The files use mounts of RUN, which docker's own builder knows from 23.0 on.
export DOCKER_BUILDKIT=1
carry_out docker build "${options[@]}" --tag "$name" "$ROOT"
echo "$name"
