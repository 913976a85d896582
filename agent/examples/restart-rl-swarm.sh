#!/bin/sh
# Restarts one RL-Swarm node that is down. For ON_DOWN_CMD of gensyn-agent:
#
#   ON_DOWN_CMD=/usr/local/lib/gensyn-agent/restart-rl-swarm.sh
#
# run_rl_swarm.sh deletes the login when it ends, and an orphan p2pd keeps the node's identity taken. So this saves the
# login files, ends what is left of this node and of no other, puts the login back and starts the node in screen. It
# never touches swarm.pem. The exit status is 0 when the node was started.
#
# The agent says which node it is: GENSYN_DIR is its directory, GENSYN_SUPERVISOR what ran it. To be set by you, in the
# settings file's ON_DOWN_CMD ("RL_SWARM_DIR=/root/rl-swarm …/restart-rl-swarm.sh") or here:
: "${RL_SWARM_DIR:=${GENSYN_DIR:-$HOME/rl-swarm}}"   # where run_rl_swarm.sh is
: "${RL_SWARM_SCREEN:=gensyn}"                       # the screen session, unless it was in another one
: "${RL_SWARM_START:=printf 'N\n\n\n' | ./run_rl_swarm.sh}" # what starts it; the answers are those to its questions
: "${RL_SWARM_PATIENCE:=20}"                         # seconds that processes have to end, and the login is watched

set -u

say() { echo "$(date '+%H:%M:%S') $*"; }
fail() { say "$*"; exit 1; }

root=$(cd "$RL_SWARM_DIR" 2>/dev/null && pwd -P) || fail "no directory $RL_SWARM_DIR: set RL_SWARM_DIR"
[ -f "$root/run_rl_swarm.sh" ] || fail "no run_rl_swarm.sh in $root: set RL_SWARM_DIR"
login=$root/modal-login/temp-data
saved=$root/.login-saved
case ${GENSYN_SUPERVISOR:-} in
docker*) fail "it runs in a container: let ON_DOWN_CMD restart that, docker restart …; its login is on a volume" ;;
screen:*) RL_SWARM_SCREEN=${GENSYN_SUPERVISOR#screen:} ;;
esac

# copy FROM TO: the login files, if there are any, with their owner.
copy() {
	for file in "$1"/*.json; do
		[ -s "$file" ] || continue
		mkdir -p "$2" && cp -p "$file" "$2/" || fail "cannot copy $file to $2"
	done
}

# arguments PID: those of a process, one a line.
arguments() { tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline"; }

# in_root PID: whether a process works in this node's directory, and not in one inside it that is a node of its own.
in_root() {
	cwd=$(readlink "/proc/$1/cwd" 2>/dev/null) || return 1
	case $cwd in
	"$root" | "$root"/modal-login* | "$root"/logs* | "$root"/code_gen_exp* | "$root"/rgym_exp*) return 0 ;;
	esac
	return 1
}

# left: the processes of this node. A p2pd is known by the path of its identity, all others by where they work.
left() {
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		[ "$pid" != $$ ] || continue
		args=$(arguments "$pid") || continue
		[ -n "$args" ] || continue
		if echo "$args" | grep -q 'p2pd$'; then
			echo "$args" | grep -qxF -e "-id=$root/swarm.pem" && echo "$pid"
		elif echo "$args" | grep -Eq 'run_rl_swarm\.sh|swarm_launcher|train_single_gpu|next-server|next start|^yarn'; then
			in_root "$pid" && echo "$pid"
		fi
	done
}

# finish: ends what is left, gently first.
finish() {
	pids=$(left)
	[ -n "$pids" ] || return 0
	say "ending" $pids
	kill $pids 2>/dev/null
	waited=0
	while [ -n "$(left)" ]; do
		if [ "$waited" -ge "$RL_SWARM_PATIENCE" ]; then
			say "killing" $(left)
			kill -9 $(left) 2>/dev/null
			sleep 1
			[ -z "$(left)" ] || fail "these do not end:" $(left)
			return 0
		fi
		sleep 1
		waited=$((waited + 1))
	done
}

# as_owner COMMAND: root starts the node as the owner of its directory.
as_owner() {
	owner=$(stat -c %U "$root")
	if [ "$(id -u)" = 0 ] && [ "$owner" != root ]; then
		su -s /bin/sh "$owner" -c "$1"
	else
		sh -c "$1"
	fi
}

umask 077
copy "$login" "$saved"
case ${GENSYN_SUPERVISOR:-} in
systemd:*)
	# The unit starts it; only the login must outlive the end. It needs a moment in which the old one is gone.
	systemctl stop "${GENSYN_SUPERVISOR#systemd:}"
	finish
	copy "$saved" "$login"
	systemctl start "${GENSYN_SUPERVISOR#systemd:}" || fail "cannot start ${GENSYN_SUPERVISOR#systemd:}"
	;;
*)
	as_owner "screen -S '$RL_SWARM_SCREEN' -X quit" >/dev/null 2>&1
	finish
	copy "$saved" "$login"
	# The command travels in the environment, so that nothing in it needs another pair of quotes.
	export RL_SWARM_ROOT="$root" RL_SWARM_SCREEN RL_SWARM_START
	as_owner 'exec screen -dmS "$RL_SWARM_SCREEN" sh -c '\''
		cd "$RL_SWARM_ROOT" || exit
		[ ! -f .venv/bin/activate ] || . .venv/bin/activate
		eval "$RL_SWARM_START"'\' </dev/null >/dev/null 2>&1 || fail "screen did not start it"
	;;
esac
say "started; watching the login for $RL_SWARM_PATIENCE s"

# The end of the old script may come late and delete the login once more.
waited=0
while [ "$waited" -lt "$RL_SWARM_PATIENCE" ]; do
	for file in "$saved"/*.json; do
		[ -s "$file" ] && [ ! -s "$login/${file##*/}" ] && copy "$saved" "$login"
	done
	sleep 1
	waited=$((waited + 1))
done
[ -n "$(left)" ] || fail "it was started and is gone again"
say "it runs:" $(left)
