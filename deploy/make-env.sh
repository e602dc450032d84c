#!/bin/sh
# Makes .env for docker-compose.yml: a password of the database, the secret that tokens are signed with, and a key for backups and secrets
# of third parties. Once: it never touches an .env that is there. Values that you choose yourself go in single quotes.
set -eu
cd "$(dirname "$0")/.."
umask 077
if [ -e .env ]; then
  echo '.env is there already, and was left as it is: its password is that of the database in the volume.' >&2
  exit 1
fi
hex() { od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }
password=$(hex 24)
secret=$(hex 32)
key=$(head -c 32 /dev/urandom | base64)
set -C
printf '%s\n' \
  '# Made by deploy/make-env.sh. Keep a copy elsewhere: without it tokens are void, and backups cannot be read.' \
  "POSTGRES_PASSWORD=$password" \
  "AUTH_SECRET=$secret" \
  "ENCRYPTION_KEYS=k1:$key" >.env
echo 'Made .env. Keep a copy elsewhere: without it tokens are void, and backups cannot be read.'
