#!/usr/bin/env bash
# Runs a command with what images and the tests of containers need: a docker engine, compose, and the images that others
# make (prepare.sh).
#
#   with.sh COMMAND ARG...
#
# An engine that answers is used as it is. Without one, root on Debian gets docker.io and an engine that lives as long as
# the command does, however that ends: no process, container, mount, network or rule of the firewall is left behind. What
# it built is kept in CONTAINERS_DIR (by default ~/.cache/gensyn-monitor/containers).
# Exit status 69: no engine, or nothing for it, can be had here, and the last lines say why. Else it is the command's.
set -uo pipefail
[ $# -gt 0 ] || { echo "usage: $0 COMMAND ARG..." >&2; exit 2; }
[ -z "${WITH_CONTAINERS:-}" ] || exec "$@" # within another with.sh
export WITH_CONTAINERS=1
here=$(cd "$(dirname "$0")" && pwd)
export ROOT=${CONTAINERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/gensyn-monitor/containers}
mkdir -p "$ROOT"
none() { echo "no Docker engine can be had here: $*" >&2; exit 69; }

# What a way of ending must not skip.
engine='' command=''
end() {
	trap '' INT TERM HUP
	trap - EXIT
	if [ -n "$command" ] && kill -TERM -- "-$command" 2>/dev/null; then
		for _ in $(seq 50); do kill -0 -- "-$command" 2>/dev/null || break; sleep 0.1; done
		kill -KILL -- "-$command" 2>/dev/null
	fi
	[ -z "$engine" ] || stop_engine
	exit "$1"
}
trap 'end $?' EXIT
trap 'end 130' INT
trap 'end 143' TERM HUP

# One at a time: the engine of the first must not end under the second. Signals are heard while it waits.
exec 9>"$ROOT/lock"
flock 9 &
wait $! || exit

install() {
	command -v apt-get >/dev/null || return 1
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >"$ROOT/apt.log" 2>&1 9>&- ||
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } >"$ROOT/apt.log" 2>&1 9>&-
}

# start_engine makes an engine with a folder, a socket and a mount namespace of its own. It ends with this script even
# when that is killed (pdeathsig), and its mounts end with it.
start_engine() {
	[ "$(id -u)" = 0 ] || none "this needs root, or an engine that answers"
	grep -qs '[[:space:]]overlay$' /proc/filesystems || none "the kernel has no overlay file system"
	grep -qs ' /sys/fs/cgroup' /proc/mounts || none "no cgroups are mounted"
	# A package's own engine is not wanted.
	if ! command -v dockerd >/dev/null || ! command -v ip >/dev/null; then
		install docker.io iproute2 || none "docker.io cannot be installed, see $ROOT/apt.log"
	fi
	[ ! -e "$ROOT/before" ] || clean_network # of one that was killed
	pgrep -x dockerd >/dev/null && none "a dockerd runs that does not answer"
	{ cat /proc/sys/net/ipv4/ip_forward && iptables -S FORWARD | head -n 1; } >"$ROOT/before" 2>/dev/null
	export DOCKER_HOST=unix://$ROOT/engine.sock
	mkdir -p "$ROOT/engine"
	rm -f "$ROOT/engine.sock" "$ROOT/engine.pid"
	setsid unshare --mount --propagation private setpriv --pdeathsig TERM dockerd --host "$DOCKER_HOST" --data-root "$ROOT/engine" \
		--exec-root "$ROOT/run" --pidfile "$ROOT/engine.pid" >"$ROOT/dockerd.log" 2>&1 </dev/null 9>&- &
	engine=$!
	for _ in $(seq 120); do docker version >/dev/null 2>&1 && break; kill -0 "$engine" 2>/dev/null || break; sleep 0.5; done
	docker version >/dev/null 2>&1 || none "dockerd does not start: $(tail -n 1 "$ROOT/dockerd.log")"
	# Of one that was killed.
	docker ps -aq | xargs -r docker rm -fv >/dev/null 2>&1
	docker network prune -f >/dev/null 2>&1
	# Containers can be made: all goes well up to the program, which this image lacks.
	tar -c --files-from=/dev/null | docker import - gensyn-monitor/nothing >/dev/null || none "dockerd takes no images"
	said=$(docker run --rm --memory 32m gensyn-monitor/nothing /nothing 2>&1)
	case $said in *'/nothing": '*"no such file"*) ;; *) none "containers do not start: $(tail -n 1 <<<"$said")" ;; esac
}

stop_engine() {
	docker ps -aq 2>/dev/null | xargs -r docker rm -fv >/dev/null 2>&1
	docker network prune -f >/dev/null 2>&1
	docker volume prune -f >/dev/null 2>&1
	kill -TERM "$engine" 2>/dev/null
	for _ in $(seq 200); do kill -0 "$engine" 2>/dev/null || break; sleep 0.1; done
	kill -KILL "$engine" 2>/dev/null
	wait "$engine" 2>/dev/null
	clean_network
	rm -rf "$ROOT/engine.sock" "$ROOT/engine.pid" "$ROOT/run"
}

# clean_network takes away what dockerd leaves of bridges and rules, and sets back what it set.
clean_network() {
	local link table rule chain forwarding policy
	for link in $(ip -o link show type bridge | grep -oE '(docker0|br-[0-9a-f]{12})'); do ip link del "$link"; done
	# The rules that it made name its chains, its bridge or its addresses.
	for table in nat filter; do
		iptables -t $table -S 2>/dev/null | grep -E '^-A ' | grep -E 'DOCKER|docker0|br-[0-9a-f]{12}' | sed 's/^-A/-D/' |
			while read -r rule; do xargs iptables -t $table <<<"$rule" 2>/dev/null; done
		for chain in $(iptables -t $table -S 2>/dev/null | sed -n 's/^-N \(DOCKER.*\)/\1/p'); do
			iptables -t $table -F "$chain"; iptables -t $table -X "$chain"
		done
	done 2>/dev/null
	{ read -r forwarding && read -r policy; } <"$ROOT/before"
	[ -z "$policy" ] || iptables $policy 2>/dev/null
	[ -z "$forwarding" ] || echo "$forwarding" >/proc/sys/net/ipv4/ip_forward
	rm -f "$ROOT/before"
}

docker version >/dev/null 2>&1 || start_engine
run() { # in a process group of its own, which can be ended as a whole
	setsid "$@" <&0 9>&- &
	command=$!
	wait "$command"
	local status=$?
	command=''
	return $status
}
run "$here/prepare.sh" || {
	echo "compose, a builder or an image that others make could not be made: the lines before say why" >&2
	exit 69
}
. "$ROOT/settings"
run "$@"
exit $?
