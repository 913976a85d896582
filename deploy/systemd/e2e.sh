#!/usr/bin/env bash
# Installs the packages on a Debian of its own, boots that with a real systemd in a container (systemd-nspawn), and tries
# what deploy/systemd/README.md says: start, kill -9, update, other data, agent, removal. Needs root.
#   e2e.sh FOLDER    where the .deb packages are (make packages)
set -eu
packages=$(realpath "${1:?folder of the packages}")
cache=${CACHE:-$HOME/.cache/gensyn-monitor/systemd}
arch=$(dpkg --print-architecture)
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
for need in mmdebstrap:mmdebstrap systemd-nspawn:systemd-container; do
	command -v "${need%%:*}" >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need##*:}" >/dev/null
done
mkdir -p "$cache"
# A tar rather than a folder: every run begins with the same machine, and nothing of it is left mounted.
[ -s "$cache/debian.tar" ] || { "$(dirname "$0")/../../tools/containers/mmdebstrap.sh" --quiet --variant=minbase --format=tar --include=systemd,systemd-sysv,dbus,curl bookworm "$cache/debian.tar.new" && mv "$cache/debian.tar.new" "$cache/debian.tar"; }

work=$(mktemp -d)
nspawn=
finish() {
	[ -z "$nspawn" ] || { kill -s RTMIN+4 "$nspawn" 2>/dev/null || true; wait "$nspawn" 2>/dev/null || true; }
	if grep -q " $work/" /proc/mounts; then echo "still mounted below $work: left alone" >&2; else rm -rf "$work"; fi
}
trap finish EXIT
root=$work/root
mkdir "$root"
tar -C "$root" --numeric-owner --exclude=./dev/* -xf "$cache/debian.tar"
cp "$packages"/gensyn-{monitor,agent}_*_"$arch".deb "$root/root/"

systemd-nspawn --quiet --register=no --keep-unit --boot --private-network --kill-signal=RTMIN+4 --directory="$root" \
	--machine="gensyn-e2e-$$" </dev/null >"$work/console" 2>&1 &
nspawn=$!
inside() { nsenter -t "$(pgrep -P "$nspawn" -o)" -m -u -i -n -p -C "$@"; }
for _ in $(seq 120); do
	inside systemctl is-active --quiet multi-user.target 2>/dev/null && break
	kill -0 "$nspawn" 2>/dev/null || { cat "$work/console"; exit 1; }
	sleep 0.5
done
inside systemctl is-active --quiet multi-user.target || { tail -20 "$work/console"; exit 1; }

inside sh -eu <<'INSIDE'
cd /root
at=http://127.0.0.1:18099
failed=0
check() { # check WORDS COMMAND…
	words=$1
	shift
	if "$@" >/tmp/said 2>&1; then echo "ok    $words"; else echo "FAIL  $words"; cat /tmp/said; failed=1; fi
}
not() { ! "$@"; }
eventually() { for _ in $(seq 100); do "$@" && return 0; sleep 0.2; done; return 1; }
main() { systemctl show -p MainPID --value gensyn-monitor; }
ready() { curl -fsS "$at/readyz"; }
knows() { curl -fsS "$at/api/nodes" | grep -q "\"node_id\":\"$1\""; }
secret() { cat /var/lib/private/gensyn-monitor/shared_secret; }

check "the packages install" sh -c 'dpkg -i gensyn-*.deb'
check "the units are sound" systemd-analyze verify gensyn-monitor.service gensyn-agent.service
check "the monitor's exposure is at most 1.5 of 10" systemd-analyze security --threshold=15 gensyn-monitor.service
check "nothing starts at installation" not systemctl is-active --quiet gensyn-monitor gensyn-agent
check "settings are root's alone" sh -c '[ "$(stat -c %a%U /etc/gensyn-monitor.env /etc/gensyn-agent.env | sort -u)" = 600root ]'
echo "LISTEN_ADDR=127.0.0.1:18099" >>/etc/gensyn-monitor.env
check "the monitor starts" systemctl enable --now gensyn-monitor
check "it is ready" eventually ready
check "it is not root" sh -c '[ "$(stat -c %u /proc/$(systemctl show -p MainPID --value gensyn-monitor))" != 0 ]'
check "it takes a heartbeat" curl -fsS -H "Authorization: Bearer $(secret)" -d '{"node_id":"first"}' "$at/api/heartbeat"
before=$(main)
kill -9 "$before"
check "it is back after kill -9" eventually ready
check "as another process" [ "$(main)" != "$before" ]
check "and knows what it acknowledged" eventually knows first

before=$(main)
check "an update" dpkg -i gensyn-monitor_*.deb
check "it was restarted by the update" [ "$(main)" != "$before" ]
check "it is ready after the update" eventually ready
check "the update kept the settings" grep -q 18099 /etc/gensyn-monitor.env
check "and the state" systemctl is-enabled --quiet gensyn-monitor

check "it stops" timeout 10 systemctl stop gensyn-monitor
cp -a /var/lib/private/gensyn-monitor /root/data
rm -rf /var/lib/private/gensyn-monitor /var/lib/gensyn-monitor
mkdir -p /var/lib/gensyn-monitor
cp -a /root/data/. /var/lib/gensyn-monitor/
chown -R root: /var/lib/gensyn-monitor
systemctl start gensyn-monitor
check "data of another place is taken over" eventually knows first

printf 'SERVER_URL=%s\nSHARED_SECRET=%s\nNODE_ID=packaged\n' "$at" "$(secret)" >/etc/gensyn-agent.env
check "the agent starts" systemctl enable --now gensyn-agent
check "and reports" eventually knows packaged

check "removal" dpkg -r gensyn-monitor gensyn-agent
check "both have ended" not systemctl is-active --quiet gensyn-monitor gensyn-agent
check "settings are kept" test -e /etc/gensyn-monitor.env
check "purge" dpkg -P gensyn-monitor gensyn-agent
check "settings are gone" not test -e /etc/gensyn-monitor.env
check "data is kept" test -e /var/lib/private/gensyn-monitor/monitor.db
exit $failed
INSIDE
echo "systemd: all is as promised"
