#!/bin/sh
# Process 1 of the container: takes tokens from files, then becomes engine-run, or another command where one is named:
#
#   docker run camring --source rtsp://…         engine-run with these flags
#   docker run camring engine-models list        another of the engine's commands
set -eu

case "${1:-}" in
    engine-run) shift ;;
    engine-* | python) exec "$@" ;;
esac

# Tokens come as files (/run/secrets), so that `docker inspect` does not show them.
read_token() { # variable, file or nothing
    if [ -n "$2" ]; then
        [ -r "$2" ] || { echo "entrypoint: $2: this file cannot be read by user $(id -u)" >&2; exit 2; }
        export "$1=$(cat "$2")"
    fi
}
read_token ENGINE_TOKEN_ADMIN "${CAMRING_ADMIN_TOKEN_FILE:-}"
read_token ENGINE_TOKEN_OPERATOR "${CAMRING_OPERATOR_TOKEN_FILE:-}"
read_token ENGINE_TOKEN_VIEWER "${CAMRING_VIEWER_TOKEN_FILE:-}"

# The engine listens on every address of the container, and does not start there without a token. Whoever brings none
# gets one for this run. Who gives --host or --tokens has thought of it.
tokens="${ENGINE_TOKEN_ADMIN:-}${ENGINE_TOKEN_OPERATOR:-}${ENGINE_TOKEN_VIEWER:-}${ENGINE_CONTROL_TOKENS:-}"
if [ -z "$tokens" ] && [ "${ENGINE_CONTROL_HOST:-}" = 0.0.0.0 ]; then
    case " $* " in
        *" --tokens"* | *" --host"* | *" --new-token"* | *" --help "* | *" -h "* | *" --version "* | *" --print-config "*) ;;
        *)
            ENGINE_TOKEN_ADMIN="$(python -c 'import secrets; print(secrets.token_urlsafe(32))')"
            export ENGINE_TOKEN_ADMIN
            echo "no token was given: log in with $ENGINE_TOKEN_ADMIN (of this run only; docs/security.md)" >&2
            ;;
    esac
fi
exec engine-run "$@"
