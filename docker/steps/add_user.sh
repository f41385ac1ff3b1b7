#!/bin/sh
# Make the user that the engine runs as, and the folders that it may write to. The numbers are fixed, so that folders of
# the host can be given to it: chown 10001:10001 out.
set -eu

groupadd --gid 10001 engine
useradd --uid 10001 --gid 10001 --home-dir /cache --no-create-home --shell /usr/sbin/nologin engine
install -d -o engine -g engine -m 0755 /cache /out
install -d -m 0755 /models
