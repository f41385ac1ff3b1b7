# Shared by build_image.sh, run_local.sh and run_gpu_test.sh, which source it. Sets ROOT, the repository's folder.
# shellcheck shell=bash
# shellcheck disable=SC2034 # for those who source this
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
DRY_RUN="${DRY_RUN:-}"

fail() { # message: one line, status 1; for wrong flags: fail_usage
    echo "$(basename "$0"): $1" >&2
    exit 1
}

fail_usage() {
    echo "$(basename "$0"): $1; --help shows the flags" >&2
    exit 2
}

need_value() { # flag, number of arguments that are left
    [ "$2" -ge 2 ] || fail_usage "$1 needs a value"
}

need_docker() {
    [ -z "$DRY_RUN" ] || return 0
    command -v docker >/dev/null || fail "docker is missing: https://docs.docker.com/engine/install/"
    docker info >/dev/null 2>&1 || fail "docker is installed, but its daemon cannot be reached: is it running, and may you use it?"
}

need_compose() {
    [ -z "$DRY_RUN" ] || return 0
    docker compose version >/dev/null 2>&1 || fail "docker has no compose plugin: https://docs.docker.com/compose/install/"
}

need_gpu() {
    [ -z "$DRY_RUN" ] || return 0
    command -v nvidia-smi >/dev/null || fail "nvidia-smi is missing: there is no NVIDIA driver on this machine"
    nvidia-smi -L 2>/dev/null | grep -q GPU || fail "nvidia-smi shows no GPU"
    docker info --format '{{json .Runtimes}}' | grep -q nvidia ||
        fail "docker has no runtime nvidia: install the NVIDIA container toolkit, then nvidia-ctk runtime configure"
}

setting() { # name, .env file: its value there; the environment wins, as it does for docker compose
    if [ -n "${!1+set}" ]; then
        printf '%s' "${!1}"
    else
        sed -n "s/^$1=//p" "$2" | tail -n 1
    fi
}

carry_out() { # a command; with --dry-run it is shown instead
    if [ -n "$DRY_RUN" ]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}
