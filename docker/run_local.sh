#!/usr/bin/env bash
# Start the engine with everything around it on this machine, by docker/compose.yml.
set -euo pipefail
# shellcheck source=docker/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<'TEXT'
usage: docker/run_local.sh [--env dev|prod|FILE] [--device cpu|cuda] [--detach] [--down] [--dry-run] [SERVICE…]

Makes what is missing of secrets and folders, builds what is not built, starts, and says where to look. Ctrl-C stops.

  --env          docker/.env.dev (default: engine on the CPU, simulated cameras, monitoring, broker), docker/.env.prod,
                 or a file of your own after them
  --device       cpu or cuda, instead of DEVICE of the file
  --detach       leave it running
  --down         stop and remove the containers; recordings and figures stay in their volumes
  --dry-run      show the command, make nothing
  SERVICE…       only these, and what they depend on (docker/compose.yml)

Exit status: 0 ended as asked, 1 something is missing or failed, 2 a flag is wrong.
TEXT
}

env_file=dev device="" down="" options=(--build) services=()
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --env) need_value "$1" $#; env_file="$2"; shift 2 ;;
        --device) need_value "$1" $#; device="$2"; shift 2 ;;
        --detach) options+=(--detach); shift ;;
        --down) down=1; shift ;;
        --dry-run) DRY_RUN=1; shift ;;
        -*) fail_usage "$1 is no flag" ;;
        *) services+=("$1"); shift ;;
    esac
done
case "$env_file" in dev | prod) env_file="$ROOT/docker/.env.$env_file" ;; esac
[ -r "$env_file" ] || fail_usage "$env_file: there is no such file"
device="${device:-$(setting DEVICE "$env_file")}"
case "$device" in
    cpu) engine=cpu other=gpu ;;
    cuda) engine=gpu other=cpu ;;
    *) fail_usage "--device $device is neither cpu nor cuda" ;;
esac

# The engine of the device, and the rest of COMPOSE_PROFILES.
profiles="$engine"
IFS=, read -ra listed <<<"$(setting COMPOSE_PROFILES "$env_file")"
for each in "${listed[@]}"; do
    case "$each" in "$engine" | "$other" | "") ;; *) profiles="$profiles,$each" ;; esac
done
export COMPOSE_PROFILES="$profiles"
compose=(docker compose --env-file "$env_file" --file "$ROOT/docker/compose.yml")
# A CPU has no use for the profile of a GPU, nor the other way round; a profile of one's own is kept.
case "$device:$(setting PROFILE "$env_file")" in
    cpu:g5-trt) export PROFILE=m3-cpu ;;
    cuda:m3-cpu) export PROFILE=g5-trt ;;
esac

need_docker
need_compose
if [ -n "$down" ]; then
    carry_out "${compose[@]}" down --remove-orphans
    exit 0
fi
[ "$device" = cpu ] || need_gpu

here() { # a path of the .env file: from docker/, as compose takes it
    case "$1" in /*) printf '%s' "$1" ;; *) printf '%s' "$ROOT/docker/$1" ;; esac
}
secrets="$(here "$(setting SECRETS_DIR "$env_file")")"
models="$(here "$(setting MODELS_DIR "$env_file")")"
cameras="$ROOT/docker/cameras/$(setting CAMERAS "$env_file")"
[ -r "$cameras" ] || fail "$cameras: there is no such file; make it after configs/cameras.example.toml"

make_secret() { # name: 256 random bits, where there is none yet
    [ -s "$secrets/$1" ] || (
        umask 022
        od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$secrets/$1"
        echo "made $secrets/$1"
    )
}
if [ -z "$DRY_RUN" ]; then
    # Closed to others by the folder. The files are readable, because each container reads them as a user of its own.
    [ -d "$secrets" ] || (umask 077 && mkdir -p "$secrets")
    make_secret admin_token
    make_secret viewer_token
    make_secret grafana_password
    mkdir -p "$models"
    port() { setting "$1" "$env_file"; }
    echo "dashboard   http://127.0.0.1:$(port ENGINE_PORT)/       log in with what is in $secrets/admin_token"
    case ",$profiles," in *,monitoring,*)
        echo "Grafana     http://127.0.0.1:$(port GRAFANA_PORT)/       user admin, password in $secrets/grafana_password"
        echo "Prometheus  http://127.0.0.1:$(port PROMETHEUS_PORT)/" ;;
    esac
fi
echo "device $device, profiles $profiles"
carry_out "${compose[@]}" up "${options[@]}" "${services[@]}"
