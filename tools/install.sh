#!/usr/bin/env bash
# Installs what the tests need and this machine lacks, from Debian's packages: a Postgres server, Chromium, libfaketime,
# which gives a Postgres server a clock of its own, screen, tmux and ps for the agent's probes, and for others than root
# fusermount3, which mounts the disks that lose power. Those also need the kernel's /dev/fuse.
set -eu

have_postgres() {
  local initdb
  initdb=$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1) || true
  [ -n "$initdb" ] && [ -x "$(dirname "$(readlink -f "$initdb")")/postgres" ]
}
have_chromium() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }
have_faketime() { ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1; }
have_fuse() { [ "$(id -u)" = 0 ] || command -v fusermount3 >/dev/null; }

if [ ! -e /dev/fuse ]; then
  # A container may lack the device although the kernel has it.
  [ "$(id -u)" != 0 ] || { modprobe fuse 2>/dev/null || true; [ -e /dev/fuse ] || mknod -m 666 /dev/fuse c 10 229 2>/dev/null || true; }
  [ -e /dev/fuse ] || echo "no /dev/fuse: the tests of power loss will fail; modprobe fuse, or start the container with --device /dev/fuse --cap-add SYS_ADMIN" >&2
fi

missing=()
have_postgres || missing+=(postgresql)
have_chromium || missing+=(chromium)
have_faketime || missing+=(faketime)
have_fuse || missing+=(fuse3)
command -v screen >/dev/null || missing+=(screen)
command -v tmux >/dev/null || missing+=(tmux)
command -v ps >/dev/null || missing+=(procps)
command -v python3 >/dev/null || missing+=(python3-minimal) # runs the example of docs/webhook.md
command -v gcc >/dev/null || missing+=(gcc libc6-dev) # for the race detector
[ ${#missing[@]} -eq 0 ] && exit 0

echo "missing here: ${missing[*]}"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "install them and run make again, on Debian: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# The tests start clusters of their own: the package need not make one.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
apt-get update -q
apt-get install -y -q --no-install-recommends "${missing[@]}"
have_postgres && have_chromium && have_faketime
