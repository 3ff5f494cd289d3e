#!/bin/sh
# Every program that asks PostgreSQL finds the password in ~/.pgpass, health checks and those of
# `docker compose exec` as well; and it is in no variable, which others could read.
set -eu
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    umask 077
    sed 's/[\\:]/\\&/g; s/^/*:*:*:*:/; q' "$POSTGRES_PASSWORD_FILE" > ~/.pgpass
fi
exec "$@"
